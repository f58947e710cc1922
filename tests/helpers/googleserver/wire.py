"""Requests and answers as bytes of HTTP."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import GoogleServer

JSON = "application/json; charset=UTF-8"
LARGE = 2000  # rows; a larger answer comes without indents, which take long


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def packed(self) -> Answer:
        """Compress the body of an answer, if that is shorter."""
        body = gzip.compress(self.body, compresslevel=1)
        headers = (*self.headers, ("Content-Encoding", "gzip"))
        return replace(self, body=body, headers=headers) if len(body) < len(self.body) else self


def answer_json(status: int, found: Any, *, pretty: bool = True) -> Answer:
    small = not isinstance(found, dict) or len(found.get("values") or ()) < LARGE
    looks: dict[str, Any] = {"indent": 2 if small else None} if pretty else {"separators": (",", ":")}
    text = json.dumps(found, ensure_ascii=False, **looks)
    return Answer(status, text.encode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    wbufsize = 1 << 16

    def serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        with contextlib.suppress(OSError):  # who asked may have gone
            self.server.google.respond(self, content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass

    def say(self, answer: Answer, *, part: float = 1.0) -> None:
        """Send an answer, or the first part of its body and no more."""
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[: int(len(answer.body) * part)])
        self.wfile.flush()
        if part < 1:
            self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # some answers never come
    request_queue_size = 64

    def __init__(self, google: GoogleServer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.google = google
        self.open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection."""
        for request in list(self.open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        pass
