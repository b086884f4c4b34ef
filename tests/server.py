"""A real HTTP server that misbehaves in the ways servers do; see the fixture `serve`."""

import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Serves `body` by `manner`, or bodies by their names; remembers the Range of each request."""

    def __init__(self, body: bytes | dict[str, bytes], manner: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.body, self.manner, self.seen = body, manner, []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/images.tar.gz"


class Answer(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        first = len(self.server.seen) == 0
        self.server.seen.append(asked)
        body, manner = self.server.body, self.server.manner
        if isinstance(body, dict):
            body = body[self.path.removeprefix("/")]
        if manner == "garbage":
            self.wfile.write(b"what is this\r\n\r\n")
            return
        if manner == "missing":
            self.send_error(404)
            return
        start = 0
        if asked and manner != "no ranges":
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        rest = body[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if manner == "wrong":
            rest = bytes(len(rest))
        breaks = (manner in ("breaks", "no ranges") and first) or manner == "always breaks"
        self.wfile.write(rest[: (len(rest) + 1) // 2] if breaks else rest)


Serve = Callable[..., Server]
