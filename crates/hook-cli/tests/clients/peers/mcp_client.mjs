// The client of the official TypeScript SDK, over streamable HTTP.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { converse } from "./conversation.mjs";

let client;

await converse({
  connect: async ({ url, token }) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    client = new Client({ name: "tests", version: "1.0.0" });
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    return { server: client.getServerVersion(), capabilities: client.getServerCapabilities() };
  },
  list: () => client.listTools(),
  // Checks what comes against the output schema that the tool was listed with.
  call: ({ name, args }) => client.callTool({ name, arguments: args }),
});
await client.close();
