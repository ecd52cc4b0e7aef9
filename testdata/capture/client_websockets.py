"""Opening handshakes by the Python package `websockets`. usage: client_websockets.py ws://127.0.0.1:PORT"""

import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

CASES = {
    "default": {},
    "subprotocols": {"subprotocols": ["chat", "superchat"]},
    "no-deflate": {"compression": None},
}

for what, options in CASES.items():
    with connect(f"{sys.argv[1]}/chat?{what}", proxy=None, **options) as websocket:
        try:
            websocket.recv(timeout=5)
        except ConnectionClosed:
            pass
