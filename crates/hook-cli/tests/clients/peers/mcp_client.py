"""The client of the official Python SDK, over streamable HTTP."""

import asyncio
from contextlib import AsyncExitStack

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from conversation import converse

connections = AsyncExitStack()
client = None


async def connect(url, token=None, mode="auto"):
    """`mode` is how the version of the protocol is found: by the handshake of old (`legacy`), or as the SDK thinks best."""
    global client
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    http = await connections.enter_async_context(httpx2.AsyncClient(headers=headers))
    transport = streamable_http_client(url, http_client=http)
    client = await connections.enter_async_context(Client(transport, mode=mode))


async def list_tools():
    return (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)


async def call(name, args):
    return (await client.call_tool(name, args)).model_dump(mode="json", by_alias=True, exclude_none=True)


async def main():
    async with connections:
        await converse({"connect": connect, "list": list_tools, "call": call})


asyncio.run(main())
