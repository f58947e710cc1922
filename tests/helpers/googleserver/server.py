"""Google on this machine: Sheets v4, what is needed of Drive v3, and the token endpoint."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, unquote

from . import drive, oauth, pictures, routes, sheets, signin
from .book import BookOf
from .discovery import violations
from .errors import OAuthRefusal, Refusal, insufficient_scopes, unauthenticated
from .faults import Fault, Faults, Quota
from .masks import applied
from .oauth import Tokens
from .state import Switches
from .wire import Answer, Handler, Server, answer_json
from .world import OWNER, ROBOT, World

KEYS = "X-Goog-Drive-Resource-Keys"
SCOPE = "https://www.googleapis.com/auth/"
SCOPES = {
    ("sheets.v4", True): ("spreadsheets", "spreadsheets.readonly", "drive", "drive.readonly", "drive.file"),
    ("sheets.v4", False): ("spreadsheets", "drive", "drive.file"),
    ("drive.v3", True): ("drive", "drive.readonly", "drive.file", "drive.metadata", "drive.metadata.readonly"),
    ("drive.v3", False): ("drive", "drive.file"),
}


class Entry(NamedTuple):
    """A request: method, path without the query, and the status that was answered (0: no answer)."""

    method: str
    path: str
    status: int


class Asked(NamedTuple):
    method: str
    path: str
    query: str
    content: bytes


@dataclass
class GoogleServer:
    """A server on this machine that answers as Google does.

    Every answer is validated against the discovery documents (of very long lists the beginning); what is wrong is kept
    in `violations` and raised when the server ends. `before(method, path)` is called before each API request is
    handled, with the state locked: what users do in it comes between two requests.
    """

    switches: Switches = field(default_factory=Switches)
    faults: Faults = field(default_factory=Faults)
    quota: Quota = field(default_factory=Quota)
    clock: Callable[[], float] = time.time
    email: str = ROBOT
    before: Callable[[str, str], None] | None = None
    log: list[Entry] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    reads: int = 0
    writes: int = 0
    drive_requests: int = 0
    token_requests: int = 0
    said: int = 0  # bytes of all answers, as they are and
    sent: int = 0  # as packed as whoever asked allows
    url: str = ""

    def __enter__(self) -> Self:
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._handled = 0
        self.world = World(self.switches, self.now)
        self.world.updater.missing = lambda kind: self.violations.append(f"{kind} is not implemented by this server")
        self._server = Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.tokens = Tokens(f"{self.url}/token")
        poll = {"poll_interval": 0.02}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()
        if self.violations and kind is None:
            raise AssertionError("the server broke its own rules:\n" + "\n".join(self.violations))

    def now(self) -> float:
        return self.clock()

    # --- what tests do ------------------------------------------------------------------------------

    def key_file(self, path: Path | str, email: str | None = None) -> Path:
        """Write a service account's key file that gets its tokens here."""
        return oauth.write_key(Path(path), email or self.email, self.tokens.url)

    def client_file(self, path: Path | str, kind: str = "installed") -> Path:
        """Write the file of a new OAuth client whose users sign in here; `kind` is installed or web."""
        return signin.write_client(Path(path), self.people.client(), self.url, kind)

    def user_file(self, path: Path | str, user: str = OWNER, scopes: Sequence[str] = ("spreadsheets",)) -> Path:
        """Write the file that Google's own program stores for a user who signed in with it."""
        client = self.people.client()
        given = frozenset(SCOPE + each for each in scopes)
        return signin.write_user(Path(path), client, self.people.refresh_token(client["client_id"], user, given))

    @property
    def people(self) -> signin.SignIns:
        """The people who signed in, and what the person at the browser will do."""
        return self.tokens.people

    def create(self, title: str = "Untitled", rows: Sequence[Sequence[Any]] = (), *, share: bool = True) -> str:
        """A spreadsheet of the owner's, with these rows typed into Sheet1; the account may edit it."""
        with self._lock:
            document = self.world.add(title, OWNER)
            book = self.book(document.book.id)
            if rows:
                book.type("Sheet1", "A1", rows)
            if share:
                book.grant(self.email)
            return document.book.id

    def book(self, book_id: str) -> BookOf:
        """Return the edits that people can make to a spreadsheet in their browser."""
        return BookOf(self.world, book_id, self._lock)

    def expire_tokens(self) -> None:
        """Refuse every access token that was given out."""
        self.tokens.given.clear()

    def clear_log(self) -> None:
        with self._lock:
            self.log.clear()
            self.asked.clear()
            self.reads = self.writes = self.drive_requests = self.token_requests = 0
            self.said = self.sent = 0

    # --- requests -----------------------------------------------------------------------------------

    def respond(self, handler: Handler, content: bytes) -> None:
        """Answer a request, or carry out a fault instead."""
        path, _, query = handler.path.partition("?")
        asked = Asked(handler.command, path, query, content)
        header = handler.headers.get("Authorization")
        with self._lock:
            fault, answer = self._under_lock(asked, header, handler.headers.get(KEYS, ""))
            silent = fault is not None and fault.kind in ("silent", "dropped", "lost")
            self.log.append(Entry(asked.method, path, 0 if silent else answer.status))
        self._send(handler, fault, answer)

    def _under_lock(self, asked: Asked, header: str | None, keys: str) -> tuple[Fault | None, Answer]:
        self.asked.append(asked)
        if asked.path == "/token":
            self.token_requests += 1
            fault = self.faults.next(asked.method, asked.path, self.token_requests, token=True)
            handle: Callable[[], Answer] = lambda: self._token(asked, header)  # noqa: E731
        elif asked.path == "/o/oauth2/auth":
            fault = None
            handle = lambda: self._consent(asked)  # noqa: E731
        elif asked.path in ("/download", "/ServiceLogin"):
            fault = None
            handle = lambda: pictures.public(self.world, asked.path, asked.query)  # noqa: E731
        else:
            self._handled += 1
            fault = self.faults.next(asked.method, asked.path, self._handled)
            self._count(asked)
            if self.before is not None:
                self._guarded(lambda: self._editor_acts(asked))
            handle = lambda: self._api(asked, header, keys)  # noqa: E731
        if fault and fault.handled:
            self._guarded(handle)
        if fault and fault.kind == "answer":
            return fault, Answer(fault.status, fault.body, fault.content_type, fault.headers)
        if fault and fault.kind in ("silent", "dropped"):
            return fault, Answer(0, b"")
        answer = self._guarded(handle)
        if fault and fault.kind == "twice":
            again = self._guarded(handle)
            answer = again if fault.second_answer else answer
        return fault, answer

    def _editor_acts(self, asked: Asked) -> Answer:
        assert self.before is not None
        self.before(asked.method, asked.path)
        return Answer(200, b"")

    def _send(self, handler: Handler, fault: Fault | None, answer: Answer) -> None:
        kind = fault.kind if fault else ""
        if kind == "silent":
            self._closing.wait()
        elif kind == "slow" and fault:
            self._closing.wait(fault.seconds)
        if kind in ("silent", "dropped", "lost"):
            handler.hang_up()
        else:
            packed = answer.packed() if _takes_packed(handler) else answer
            self.said, self.sent = self.said + len(answer.body), self.sent + len(packed.body)
            handler.say(packed, part=0.5 if kind == "cut" else 1.0)

    def _guarded(self, handle: Callable[[], Answer]) -> Answer:
        """Answer in any case; a request that this server cannot handle is noted as a violation."""
        try:
            return handle()
        except Refusal as refusal:
            return answer_json(refusal.code, refusal.body())
        except Exception:  # noqa: BLE001  a fault of this server or of `before`: the test must hear of it
            self.violations.append(traceback.format_exc())
            return answer_json(500, Refusal(500, "Internal error encountered.").body())

    def _count(self, asked: Asked) -> None:
        if asked.path.startswith("/drive/"):
            self.drive_requests += 1
        elif _is_read(asked):
            self.reads += 1
        else:
            self.writes += 1

    def _token(self, asked: Asked, header: str | None) -> Answer:
        try:
            form = dict(parse_qsl(asked.content.decode()))
            return answer_json(200, self.tokens.grant(form, header, self.clock()))
        except OAuthRefusal as refusal:
            return answer_json(refusal.code, refusal.body())

    def _consent(self, asked: Asked) -> Answer:
        """Redirect the browser at once: what the person does is configured."""
        try:
            where = self.people.consent(dict(parse_qsl(asked.query)), self.clock())
        except Refusal as refusal:
            return Answer(refusal.code, refusal.message.encode(), "text/html; charset=UTF-8")
        return Answer(302, b"", "text/html; charset=UTF-8", (("Location", where),))

    def _api(self, asked: Asked, header: str | None, keys: str) -> Answer:
        now = self.clock()
        holder = self.tokens.holder(header, now)
        if holder is None:
            raise unauthenticated()
        route, path = routes.find(asked.method, asked.path)
        if not holder.scopes & {SCOPE + each for each in SCOPES[route.service, route.is_read]}:
            raise insufficient_scopes(route.service.replace(".v4", ".googleapis.com").replace(".v3", ".googleapis.com"))
        if route.service == "sheets.v4":
            refusal = self.quota.spend(holder.user, "Read" if route.is_read else "Write", now)
            if refusal is not None:
                raise refusal
        request = routes.request_of(route, path, asked.query, asked.content, holder.user)
        if route.name == "files.get" and request.one("alt") == "media":
            return pictures.media(self.world, request, keys)
        methods = sheets.METHODS if route.service == "sheets.v4" else drive.METHODS
        method = methods.get(route.name)
        if method is None:
            raise Refusal(501, f"{route.name} is not implemented")
        return self._answer(request, method(self.world, request))

    def _answer(self, request: routes.Request, found: Any) -> Answer:
        if found is None:
            return Answer(204, b"", "text/html")
        if isinstance(found, bytes):
            return Answer(200, found, "text/csv")
        if request.mask and request.route.name != "spreadsheets.get":
            found = applied(request.mask, found)
        route = request.route
        wrong = violations(route.service, route.answer, found)
        self.violations += [f"{request.route.method} {route.name}: {each}" for each in wrong]
        return answer_json(200, found, pretty=(request.one("prettyPrint") or "true").lower() != "false")


def _takes_packed(handler: Handler) -> bool:
    """True if the client accepts gzip and says so in its User-Agent too, as Google requires."""
    return all("gzip" in handler.headers.get(name, "") for name in ("Accept-Encoding", "User-Agent"))


def _is_read(asked: Asked) -> bool:
    end = unquote(asked.path).rpartition(":")[2]
    return asked.method == "GET" or (asked.method == "POST" and end in routes.READS_BY_POST)
