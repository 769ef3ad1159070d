"""A server of the official Python SDK: `mcp_server.py stdio FILE` or `mcp_server.py http FILE`. It writes the arguments of each
call to FILE, a line each."""

import json
import os
import socket
import sys
import threading

from mcp.server.mcpserver import MCPServer

transport, file = sys.argv[1:3]
server = MCPServer("python", log_level="WARNING")


@server.tool()
def take_event(
    id: str, source: str, event_type: str, received_at: str, payload: dict, meta: dict | None = None
) -> dict[str, str]:
    """Takes an event."""
    event = {"id": id, "source": source, "event_type": event_type, "received_at": received_at, "payload": payload}
    with open(file, "a") as calls:
        print(json.dumps(event | ({"meta": meta} if meta else {})), file=calls)
    return {"taken": id}


def end_with_stdin():
    """Whoever has started it holds its stdin open."""
    sys.stdin.read()
    os._exit(0)


if transport == "stdio":
    server.run("stdio")
else:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threading.Thread(target=end_with_stdin, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{port}/mcp"}), flush=True)
    server.run("streamable-http", host="127.0.0.1", port=port)
