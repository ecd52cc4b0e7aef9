#!/usr/bin/env python3
"""Capture opening handshakes of real programs again: `capture.py --scratch DIR` (see ../README.md).

Every step has a deadline, and everything happens on 127.0.0.1. Files in --out are overwritten; then
`captures.txt` is written anew from all of them.
"""

import argparse
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # nothing but captures appears in the tree

from recorder import Recorder, accept_of, read_head, target, values

HERE = Path(__file__).resolve().parent
STEP_TIMEOUT_S = 60
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

RFC_REQUEST = (HERE.parent / "handshake" / "rfc6455-1.3.request").read_bytes()


def without(request: bytes, name: str) -> bytes:
    return re.sub(rb"(?m)^" + name.encode() + rb":.*\r\n", b"", request)


def with_line(request: bytes, line: str) -> bytes:
    """The request with this header line in place of the line of that name, or at the end."""
    name = line.split(":")[0]
    return without(request, name)[:-2] + line.encode() + b"\r\n\r\n"


PLAIN = without(RFC_REQUEST, "Sec-WebSocket-Protocol")
FULL_DEFLATE = (
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=10; client_max_window_bits=10"
)

# What is asked of the servers: the RFC's request, and that request with one thing changed.
SERVER_REQUESTS = {
    "rfc6455": RFC_REQUEST,
    "default": PLAIN,
    "deflate": with_line(PLAIN, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
    "deflate-parameters": with_line(PLAIN, "Sec-WebSocket-Extensions: " + FULL_DEFLATE),
    "no-common-subprotocol": with_line(RFC_REQUEST, "Sec-WebSocket-Protocol: superchat"),
    "bad-key": with_line(PLAIN, "Sec-WebSocket-Key: c2hvcnQ="),
    "bad-version": with_line(PLAIN, "Sec-WebSocket-Version: 12"),
    "bad-origin": with_line(PLAIN, "Origin: http://elsewhere.example"),
    "bad-header": with_line(PLAIN, "X Y: z"),
    "no-upgrade": without(without(PLAIN, "Upgrade"), "Connection"),
    "post": PLAIN.replace(b"GET", b"POST", 1),
    "denied": PLAIN.replace(b"/chat", b"/denied", 1),
}

INDEX_HEADER = """\
# What the captured files say, one record each. Written by ../capture/capture.py from their bytes; see ../README.md.
#
#   file            its name
#   method, target  of a request
#   answers         the request that a response answers; a 101 has the right Sec-WebSocket-Accept for its key
#   status          of a response; `none` when the server closed without a word
#   body            bytes after the head
#
# The other keys are header names in lower case, one line for every such header line, blanks around the value trimmed.
"""


class Capture:
    def __init__(self, scratch: Path, out: Path, port: int):
        self.scratch, self.out, self.port = scratch, out, port
        self.environment = dict(os.environ, NODE_PATH=str(scratch / "node_modules"))
        in_scratch = scratch / "venv" / "bin" / "python3"
        self.python = str(in_scratch) if in_scratch.exists() else sys.executable

    def run(self, *command: str) -> str:
        """Its standard output; raises when it fails or takes too long."""
        done = subprocess.run(
            command, env=self.environment, timeout=STEP_TIMEOUT_S, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    @contextlib.contextmanager
    def running(self, *command: str):
        """The command while the block runs, then no longer."""
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def save(self, name: str, data: bytes):
        (self.out / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes")

    def save_clients(self, program: str, recorder: Recorder, whats):
        for what in whats:
            self.save(f"{program}-client-{what}.request", recorder.wait_for(f"/chat?{what}", STEP_TIMEOUT_S))

    def client(self, program: str, whats, *command: str):
        with Recorder(self.port) as recorder:
            self.run(*command, f"ws://127.0.0.1:{self.port}")
            self.save_clients(program, recorder, whats)

    def server(self, program: str, *command: str):
        requests = dict(SERVER_REQUESTS)
        for captured in sorted(self.out.glob("chromium-*-client-*.request")):
            what = captured.stem.split("-client-")[1]
            # The page's own origin is not one that the servers let in.
            requests[f"chromium-{what}"] = with_line(captured.read_bytes(), "Origin: http://example.com")
        with self.running(*command, str(self.port)) as process:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"{program} did not start")
            for what, request in requests.items():
                self.save(f"{program}-server-{what}.request", request)
                self.save(f"{program}-server-{what}.response", self.ask(request))

    def ask(self, request: bytes) -> bytes:
        """The response: a 101 is its head, anything else goes on to the end of the connection or of its body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            response = b""
            while more := connection.recv(4096):
                response += more
                head, end, body = response.partition(b"\r\n\r\n")
                lengths = values(head + b"\r\n", b"Content-Length")
                if end and (b" 101 " in head or lengths and len(body) >= int(lengths[0])):
                    break
            return response

    # The programs.

    def chromium(self):
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        version = re.search(r"[\d.]+", self.run(chromium, "--version")).group()
        with (
            tempfile.TemporaryDirectory(dir=self.scratch, ignore_cleanup_errors=True) as profile,
            Recorder(self.port, (HERE / "chromium.html").read_bytes()) as recorder,
            self.running(
                chromium, *CHROMIUM_FLAGS, f"--user-data-dir={profile}", f"http://127.0.0.1:{self.port}/page"
            ),
        ):
            self.save_clients(f"chromium-{version}", recorder, ["default", "subprotocols"])

    def curl(self):
        banner = self.run("curl", "--version")
        program = "curl-" + banner.split()[1]
        url = f"127.0.0.1:{self.port}/chat?"
        upgrade = [f"-H{line}" for line in PLAIN.decode().split("\r\n")[2:-2]]
        commands = {
            "upgrade": ["--http1.1", *upgrade, f"http://{url}upgrade"],
            "no-upgrade": ["--http1.1", f"http://{url}no-upgrade"],
            "h2c": ["--http2", f"http://{url}h2c"],
        }
        if " ws " in banner:
            commands["default"] = [f"ws://{url}default"]
        with Recorder(self.port) as recorder:
            for arguments in commands.values():
                # curl makes an error of our Close frame and of the end: only what it sent matters.
                subprocess.run(
                    ["curl", "-s", "--noproxy", "*", "--max-time", "10", *arguments],
                    stdout=subprocess.DEVNULL,
                    timeout=STEP_TIMEOUT_S,
                )
            self.save_clients(program, recorder, commands)

    def node(self):
        version = self.run("node", "--version").lstrip("v")
        script = str(HERE / "client_node.cjs")
        command = ["node", "--no-warnings", "--experimental-websocket", script]
        self.client(f"node-{version}", ["default", "subprotocols"], *command)

    def ws(self):
        program = "ws-" + self.run("node", "-p", "require('ws/package.json').version")
        self.client(program, ["default", "subprotocols", "no-deflate"], "node", str(HERE / "client_ws.cjs"))
        self.server(program, "node", str(HERE / "server_ws.cjs"))

    def websockets(self):
        program = "websockets-" + self.run(self.python, "-c", "import websockets; print(websockets.__version__)")
        whats = ["default", "subprotocols", "no-deflate"]
        self.client(program, whats, self.python, str(HERE / "client_websockets.py"))
        self.server(program, self.python, str(HERE / "server_websockets.py"))


def describe(path: Path) -> str:
    """The record of one captured file: what its bytes say, taken from the bytes alone."""
    data = path.read_bytes()
    head = data[: data.find(b"\r\n\r\n") + 4]
    fields = [("file", path.name)]
    if path.suffix == ".request":
        fields += [("method", head.split(b" ")[0].decode()), ("target", target(head))]
    else:
        # A server that hangs up without a word has no status.
        status = head.split(b" ")[1].decode() if head else "none"
        request = path.with_suffix(".request").read_bytes()
        fields += [("answers", path.stem + ".request"), ("status", status)]
        if status == "101" and values(head, b"Sec-WebSocket-Accept") != [
            accept_of(values(request, b"Sec-WebSocket-Key")[0])
        ]:
            raise ValueError(f"{path.name}: wrong Sec-WebSocket-Accept")
    for name in ("Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Version"):
        fields += [(name.lower(), value.decode()) for value in values(head, name.encode())]
    fields.append(("body", str(len(data) - len(head))))
    return "".join(f"{key}: {value}\n" for key, value in fields)


def write_index(out: Path):
    files = sorted(p for p in out.iterdir() if re.search(r"-(client|server)-.*\.(request|response)$", p.name))
    text = "\n".join([INDEX_HEADER, *map(describe, files)])
    (out / "captures.txt").write_text(text, newline="\n")


def main():
    programs = ["chromium", "curl", "node", "ws", "websockets"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, required=True, help="has node_modules/ and, if wanted, venv/")
    parser.add_argument("--out", type=Path, default=HERE.parent / "handshake")
    parser.add_argument("--port", type=int, default=6455, help="appears in what is captured")
    parser.add_argument("programs", nargs="*", help=f"of {', '.join(programs)}; all when none is named")
    arguments = parser.parse_args()
    if unknown := set(arguments.programs) - set(programs):
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    capture = Capture(arguments.scratch.resolve(), arguments.out.resolve(), arguments.port)
    for program in arguments.programs or programs:
        getattr(capture, program)()
    write_index(capture.out)


if __name__ == "__main__":
    main()
