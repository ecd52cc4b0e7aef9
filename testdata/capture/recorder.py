"""A TCP server that keeps the head of every HTTP request, byte for byte, and makes the client happy.

A WebSocket request gets a 101 (the first subprotocol offered, no extension) and a Close frame;
`/page` gets the page it was given; anything else gets a 404. Standard library only.
"""

import base64
import hashlib
import re
import socket
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEAD_BYTES_MAX = 64 * 1024
READ_TIMEOUT_S = 5


def accept_of(key: bytes) -> bytes:
    """RFC 6455 4.2.2: the Sec-WebSocket-Accept that answers this Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def values(head: bytes, name: bytes) -> list:
    """The values of all header lines of this name, blanks trimmed."""
    pattern = rb"(?im)^" + re.escape(name) + rb":[ \t]*(.*?)[ \t]*\r$"
    return re.findall(pattern, head)


def target(head: bytes) -> str:
    return head.split(b" ", 2)[1].decode()


def read_head(connection: socket.socket) -> bytes:
    """Up to and including the first CRLF CRLF; b"" if the peer never got there."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        data += more
        if not more or len(data) > HEAD_BYTES_MAX:
            return b""
    return data[: data.index(b"\r\n\r\n") + 4]


class Recorder:
    """Listens on 127.0.0.1 from `with` to the end of the block; `heads` maps a target to its request."""

    def __init__(self, port: int, page: bytes = b""):
        self.page = page
        self.heads = {}
        self.recorded = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(0.1)  # so that _listen looks at `closing`
        self.closing = False
        self.thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing = True
        self.thread.join()
        self.listener.close()

    def wait_for(self, wanted: str, timeout_s: float) -> bytes:
        with self.recorded:
            if not self.recorded.wait_for(lambda: wanted in self.heads, timeout_s):
                raise TimeoutError(f"nobody asked for {wanted} within {timeout_s} s")
            return self.heads[wanted]

    def _listen(self):
        while not self.closing:
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket):
        connection.settimeout(READ_TIMEOUT_S)
        try:
            with connection:
                head = read_head(connection)
                if not head:
                    return
                connection.sendall(self._response(head))
                with self.recorded:
                    self.heads[target(head)] = head
                    self.recorded.notify_all()
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):  # until the client closes too
                    pass
        except OSError:
            pass  # the client went away; what it sent is kept

    def _response(self, head: bytes) -> bytes:
        if b"websocket" in b",".join(values(head, b"Upgrade")).lower():
            lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
            lines.append(b"Sec-WebSocket-Accept: " + accept_of(values(head, b"Sec-WebSocket-Key")[0]))
            for offered in values(head, b"Sec-WebSocket-Protocol")[:1]:
                lines.append(b"Sec-WebSocket-Protocol: " + offered.split(b",")[0].strip())
            return b"\r\n".join(lines) + b"\r\n\r\n" + bytes.fromhex("880203e8")  # Close, 1000
        status, body = (b"200 OK", self.page) if target(head) == "/page" else (b"404 Not Found", b"")
        return (
            b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, len(body), body)
        )
