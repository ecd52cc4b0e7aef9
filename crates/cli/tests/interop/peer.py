"""The peer over Python's `websockets`.

    python peer.py client OPTIONS URL    sends the workload, checks the echoes, and prints their lengths or an error
    python peer.py server OPTIONS        prints its URL, and echoes until its stdin ends

OPTIONS is JSON: the parameters of permessage-deflate by their names in RFC 7692.
"""

import asyncio
import json
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

from workload import byte_length, mixed, similar, whole

# The longest time that the client takes, in seconds.
LIMIT = 60


async def send_all(ws, workload):
    for fragments in workload:
        await ws.send(fragments[0] if len(fragments) == 1 else fragments)


async def exchange(url, options, workload):
    """Send all messages at once, and check the echoes. Return the number of bytes of the messages."""
    extensions = [ClientPerMessageDeflateFactory(**options)]
    async with connect(url, compression=None, extensions=extensions, max_size=None, proxy=None) as ws:
        agreed = ws.response.headers.get("Sec-WebSocket-Extensions", "none")
        assert agreed.startswith("permessage-deflate"), f"agreed to {agreed}"
        sending = asyncio.create_task(send_all(ws, workload))
        messages = [whole(fragments) for fragments in workload]
        for number, message in enumerate(messages, 1):
            echo = await ws.recv()
            assert echo == message, (
                f"the echo of message {number} differs: {type(echo).__name__} of length {len(echo)}, "
                f"sent {type(message).__name__} of length {len(message)}"
            )
        await sending
        await ws.close()
        assert ws.close_code == 1000, f"closed with code {ws.close_code}"
    return sum(map(byte_length, messages))


async def client(options, url):
    try:
        async with asyncio.timeout(LIMIT):
            print(json.dumps([await exchange(url, options, workload) for workload in (similar(), mixed())]))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")


async def echo(ws):
    count = 0
    async for message in ws:
        # Every third echo has two fragments.
        middle = len(message) // 2
        count += 1
        await ws.send([message[:middle], message[middle:]] if count % 3 == 0 else message)


async def server(options):
    extensions = [ServerPerMessageDeflateFactory(**options)]
    context = None
    if "TLS_CERTIFICATE" in os.environ:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["TLS_CERTIFICATE"], os.environ["TLS_KEY"])
    serving = serve(echo, "127.0.0.1", 0, compression=None, extensions=extensions, max_size=None, ssl=context)
    async with serving as listening:
        port = listening.sockets[0].getsockname()[1]
        print(f"{'wss' if context else 'ws'}://127.0.0.1:{port}/", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    role, options, *url = sys.argv[1:]
    asyncio.run({"client": client, "server": server}[role](json.loads(options), *url))
