"""A client of the library `websockets`: sends events, and takes the answers."""

import asyncio
import json

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from conversation import converse

connection = None


async def open(url, token=None):
    global connection
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection = await connect(url, additional_headers=headers)
    except InvalidStatus as refused:
        response = refused.response
        return {"status": response.status_code, "www_authenticate": response.headers.get("WWW-Authenticate")}


async def send(frames):
    """Sends all, then takes as many answers."""
    for frame in frames:
        await connection.send(json.dumps(frame))
    return {"answers": [json.loads(await connection.recv()) for _ in frames]}


async def send_pieces(pieces):
    """Sends one message in fragments."""
    await connection.send(iter(pieces))
    return json.loads(await connection.recv())


async def ping():
    return {"seconds": await (await connection.ping())}


async def close():
    await connection.close()
    return {"code": connection.close_code}


async def receive():
    """The next message."""
    return json.loads(await connection.recv())


async def ended():
    """Waits until the server has closed the connection."""
    await connection.wait_closed()
    return {"code": connection.close_code}


asyncio.run(
    converse(
        {
            "open": open,
            "send": send,
            "send_pieces": send_pieces,
            "receive": receive,
            "ping": ping,
            "close": close,
            "ended": ended,
        }
    )
)
