"""Watches an address with `websockets`, as a careful user does: a JSON line for each frame, and for each end of a
connection one that tells how; comes back with the last cursor until the server says that there is no use."""

import asyncio
import json
import sys
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

RETRY_SECONDS = 0.05


def say(line):
    print(line, flush=True)


def end(how, final):
    say(json.dumps({"ended": how, "final": final}))
    return final


async def watch(url):
    cursor = None
    while True:
        target = url if cursor is None else f"{url}{'&' if '?' in url else '?'}after={quote(cursor)}"
        try:
            async with connect(target, subprotocols=["tidegate.v1"], proxy=None) as socket:
                while True:
                    text = await socket.recv()
                    cursor = json.loads(text).get("cursor", cursor)
                    say(text)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
            over = end(code, 4400 <= code < 4500)
        except InvalidStatus as refused:
            status = refused.response.status_code
            over = end(status, status < 500)
        except OSError as failed:
            over = end(type(failed).__name__, False)
        if over:
            return
        await asyncio.sleep(RETRY_SECONDS)


asyncio.run(watch(sys.argv[1]))
