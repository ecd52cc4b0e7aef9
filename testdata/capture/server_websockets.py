"""A server by the Python package `websockets`. usage: server_websockets.py PORT"""

import logging
import sys
from http import HTTPStatus

from websockets.exceptions import NegotiationError
from websockets.sync.server import serve

logging.disable()  # refusals are what we are after


def process_request(connection, request):
    if request.path == "/denied":
        response = connection.respond(HTTPStatus.UNAUTHORIZED, "Missing credentials\n")
        response.headers["WWW-Authenticate"] = 'Basic realm="chat"'
        return response


def select_subprotocol(connection, offered):
    """`chat` or a refusal, but nothing is asked of those who offer nothing."""
    if offered and "chat" not in offered:
        raise NegotiationError("invalid subprotocol; expected chat")
    return "chat" if offered else None


with serve(
    lambda websocket: [None for _ in websocket],
    "127.0.0.1",
    int(sys.argv[1]),
    select_subprotocol=select_subprotocol,
    origins=["http://example.com"],
    process_request=process_request,
) as server:
    print("ready", flush=True)
    server.serve_forever()
