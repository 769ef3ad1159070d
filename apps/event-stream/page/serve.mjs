// Serves the page on http://127.0.0.1:8091: a page from a file has no origin that a contract could allow.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";

const FILES = new Map([
  ["/", ["index.html", "text/html; charset=utf-8"]],
  ["/built/page.js", ["built/page.js", "text/javascript"]],
  ["/built/stream.js", ["built/stream.js", "text/javascript"]],
]);
const [host, port] = ["127.0.0.1", 8091];

createServer(async (request, response) => {
  const [file, type] = FILES.get(new URL(request.url, "http://page").pathname) ?? [];
  if (file === undefined) {
    response.writeHead(404).end();
    return;
  }
  try {
    const body = await readFile(new URL(file, import.meta.url));
    response.writeHead(200, { "content-type": type }).end(body);
  } catch {
    response.writeHead(500).end("run `npm run build` first\n");
  }
}).listen(port, host, () => console.log(`http://${host}:${port}`));
