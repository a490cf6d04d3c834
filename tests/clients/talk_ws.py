"""Opens a WebSocket with `websockets`, with permessage-deflate (`deflate`), with a window of 4 KiB for it
(`small-window`), or without (`none`): sends each line of its input as a message, and prints each message as a line."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

OFFERS = {
    "none": {"compression": None},
    "deflate": {},
    "small-window": {"compression": None, "extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=12)]},
}


async def talk(url, offer):
    async with connect(url, proxy=None, **OFFERS[offer]) as socket:

        async def speak():
            while line := await asyncio.to_thread(sys.stdin.readline):
                await socket.send(line.rstrip("\n"))

        speaking = asyncio.create_task(speak())
        async for text in socket:
            print(text, flush=True)
        speaking.cancel()


asyncio.run(talk(sys.argv[1], sys.argv[2]))
