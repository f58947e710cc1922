"""Web server on 127.0.0.1 for tests, which also does what real ones do wrong."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

Answer: TypeAlias = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):  # the client may have closed the connection
            self.server.web.answer(self)

    def log_message(self, *_: Any) -> None:
        pass

    def send_head(self, status: int, headers: Mapping[str, object]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # some responses never end
    request_queue_size = 64

    def __init__(self, web: WebServer, host: str, tls: ssl.SSLContext | None) -> None:
        super().__init__((host, 0), Handler)
        self.web = web
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, *request: Any) -> None:
        self.web.connections += 1
        super().process_request(*request)

    def handle_error(self, *_: Any) -> None:
        pass


@dataclass
class WebServer:
    """A web server with responses by path: each request takes the next one, and the last one stays.

    `asked` are the paths of all requests, `headers` their headers, `connections` how many were opened.
    """

    address: str = ""
    port: int = 0
    connections: int = 0
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _answers: dict[str, list[Answer]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def give(self, path: str, *answers: Answer | bytes) -> str:
        """Set the responses of a path, and return its address."""
        self._answers[path] = [page(each) if isinstance(each, bytes) else each for each in answers]
        return self.address + path

    def answer(self, handler: Handler) -> None:
        with self._lock:
            self.asked.append(handler.path)
            self.headers.append(dict(handler.headers.items()))
            answers = self._answers.get(handler.path, [status(404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(handler)


@contextlib.contextmanager
def serving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    web = WebServer()
    with Server(web, host, tls) as server:
        web.port = server.server_port
        web.address = f"{'https' if tls else 'http'}://127.0.0.1:{web.port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            web.closing.set()
            server.shutdown()
            thread.join()


# --- answers --------------------------------------------------------------------------------------


def page(body: bytes, kind: str = "image/png", **headers: str) -> Answer:
    more = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(handler: Handler) -> None:
        handler.send_head(200, {"Content-Type": kind, "Content-Length": len(body)} | more)
        handler.wfile.write(body)

    return answer


def status(code: int, **headers: str) -> Answer:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send_head(code, {"Content-Length": 0} | more)


def redirect(to: str, code: int = 302, **headers: str) -> Answer:
    return status(code, Location=to, **headers)


def hang(handler: Handler) -> None:
    """Accept the request and send nothing."""
    handler.server.web.closing.wait()
    handler.hang_up()


def drop(body: bytes, promised: int) -> Answer:
    """Promise so many bytes, send `body` and hang up."""

    def answer(handler: Handler) -> None:
        handler.send_head(200, {"Content-Type": "image/png", "Content-Length": promised})
        handler.wfile.write(body)
        handler.hang_up()

    return answer


def drip(body: bytes, pause: float) -> Answer:
    """Send a byte, a pause, a byte: no read ever times out (slowloris)."""

    def answer(handler: Handler) -> None:
        handler.send_head(200, {"Content-Type": "image/png", "Content-Length": len(body)})
        for byte in body:
            handler.wfile.write(bytes([byte]))
            time.sleep(pause)

    return answer


def drip_header(pause: float) -> Answer:
    """Send a header that never ends, a byte at a time."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not handler.server.web.closing.wait(pause):
            handler.wfile.write(b"x")

    return answer


def endless(code: int = 200, **headers: str) -> Answer:
    """Send a body without end and without a length."""

    def answer(handler: Handler) -> None:
        handler.send_head(code, {"Content-Type": "image/png", "Connection": "close"} | headers)
        while not handler.server.web.closing.is_set():
            handler.wfile.write(bytes(1 << 16))
        handler.hang_up()

    return answer


def raw(content: bytes) -> Answer:
    """Send exactly these bytes, then hang up."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(content)
        handler.hang_up()

    return answer


def flood(start: bytes, again: bytes) -> Answer:
    """Send `start`, and then `again` without end."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(start)
        while not handler.server.web.closing.is_set():
            handler.wfile.write(again)

    return answer
