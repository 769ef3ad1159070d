// A server of the official TypeScript SDK: `mcp_server.mjs stdio FILE` or `mcp_server.mjs http FILE [TOKEN]`. It writes the
// arguments of each call to FILE, a line each.
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const [transport, file, token] = process.argv.slice(2);

function server() {
  const server = new McpServer({ name: "typescript", version: "1.0.0" });
  const inputSchema = z.looseObject({ id: z.string() });
  server.registerTool("take_event", { description: "Takes an event.", inputSchema }, (event) => {
    appendFileSync(file, `${JSON.stringify(event)}\n`);
    return { content: [{ type: "text", text: `taken: ${event.id}` }] };
  });
  server.registerTool("refuse_event", { description: "Refuses every event.", inputSchema }, () => ({
    content: [{ type: "text", text: "not today" }],
    isError: true,
  }));
  return server;
}

if (transport === "stdio") {
  await server().connect(new StdioServerTransport());
} else {
  const sessions = new Map();
  const http = createServer(async (request, response) => {
    if (token && request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401, { "www-authenticate": "Bearer" }).end();
      return;
    }
    const id = request.headers["mcp-session-id"];
    let session = sessions.get(id);
    if (id && !session) {
      response.writeHead(404).end();
      return;
    }
    if (!session) {
      session = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => crypto.randomUUID(),
        onsessioninitialized: (id) => sessions.set(id, session),
        onsessionclosed: (id) => sessions.delete(id),
      });
      await server().connect(session);
    }
    await session.handleRequest(request, response);
  });
  http.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: `http://127.0.0.1:${http.address().port}/mcp` })));
  // Whoever has started it holds its stdin open.
  process.stdin.on("end", () => process.exit(0)).resume();
}
