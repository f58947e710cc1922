"""Google in a storm: a pass waits it out, or ends with one sentence, in bounded time and with nothing half done.

One clock rules the client and the server, and only waiting moves it: two minutes pass in a moment.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from threading import Event

import pytest

from sheetsync.auth.tokens import TIMEOUT
from sheetsync.daemon import watch
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.schema import SCORE_COLUMNS
from sheetsync.rows.table import AddColumns, AddRow, CellUpdate, Table
from sheetsync.sheets.google.client import CALLS_PER_MINUTE, JITTER, MAX_LOST_WRITES, MAX_PAUSE, PATIENCE, Client
from sheetsync.sheets.google.sheet import GoogleSheet
from sheetsync.sync.report import Report
from tests.helpers.googleserver import GoogleServer, faults
from tests.helpers.googleserver.faults import Fault, Quota
from tests.helpers.support import CLASSES, MACHINE, QuickTrainer, Web, a_pass, machine_cells, of_one_write, quick_words
from tests.laws.test_laws import GOOD, HEADER
from tests.sheets.test_google import client

PEOPLE = [["Ada", url, CLASSES[n % 2], "train"] for n, url in enumerate(list(GOOD)[:10])]
CALLS = 9  # of a first pass: it reads twice, adds columns, reads with its tabs, adds a row, sets cells, reads
SILENCE = (5.0, 0.2)  # real seconds: only silence costs any
BOUND = PATIENCE + TIMEOUT[1]  # of a whole storm, for only one call lasts until patience ends


@dataclass
class Clock:
    now: float = 1_800_000_000.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.waits.append(seconds)
        self.now += seconds


@dataclass
class Storm:
    """A plan of faults: from a request on, for so many seconds, everything at these addresses goes wrong."""

    server: GoogleServer
    fault: Fault
    seconds: float
    start: int
    where: str
    began: float | None = None

    def __call__(self, method: str, path: str, number: int) -> Fault | None:
        if self.began is None and (number >= self.start if path != "/token" else self.start == 1):
            self._begin()
        raging = self.began is not None and self.server.now() < self.began + self.seconds
        return self.fault if raging and re.fullmatch(self.where, path) else None

    def _begin(self) -> None:
        self.began = self.server.now()
        if self.where == TOKEN:
            self.server.expire_tokens()


@dataclass
class Place:
    """A sheet at a server of its own, and a team's project for it."""

    root: Path
    clock: Clock
    server: GoogleServer
    book: str
    trainer: QuickTrainer = field(default_factory=QuickTrainer)
    timeout: tuple[float, float] = TIMEOUT

    def run(self) -> Report:
        """A pass as the command line makes one: with a client of its own."""
        with self.client() as made:
            return a_pass(of_one_write(self.root), GoogleSheet(made, self.book), Web(GOOD), self.trainer).run()

    def client(self) -> AbstractContextManager[Client]:
        return client(self.server, clock=self.clock, sleep=self.clock.sleep, timeout=self.timeout)

    def storm(self, kind: str, seconds: float, start: int) -> None:
        where, fault = KINDS[kind]
        self.timeout = SILENCE if fault.kind == "silent" else TIMEOUT
        self.server.faults.plan = Storm(self.server, fault, seconds, start, where)

    def look(self) -> None:
        """Whatever is added stands there as a whole, at any time."""
        book = self.server.book(self.book)
        header, *_ = book.values("Sheet1")
        assert tuple(header) in (tuple(HEADER), (*HEADER, *MACHINE)), header
        scores = book.values("scores") if "scores" in book.tabs else []
        assert [tuple(cells) for cells in scores[:1]] in ([], [SCORE_COLUMNS]), scores
        assert all(len(cells) >= SCORE_COLUMNS.index("val_macro_f1") + 1 for cells in scores[1:]), scores

    def check_done(self) -> None:
        """What a pass owes to the sheet is there, once."""
        self.look()
        book = self.server.book(self.book)
        rows = [tuple(map(str, cells)) for cells in book.values("Sheet1")]
        assert [row[:4] for row in rows] == [tuple(HEADER), *map(tuple, PEOPLE)]
        said = [(cells["prediction"], cells["confidence"]) for cells in machine_cells(Table(rows[0], tuple(rows[1:])))]
        assert said == [quick_words(GOOD[url]) for _, url, *_ in PEOPLE]
        runs = [row[SCORE_COLUMNS.index("run")] for row in book.values("scores")[1:]]
        assert sorted(runs) == sorted(run.id for run in self.trainer.runs())


@contextmanager
def placed(root: Path, **options: object) -> Iterator[Place]:
    clock = Clock()
    with GoogleServer(clock=clock, **options) as server:
        place = Place(root, clock, server, server.create("Images", [HEADER, *PEOPLE]))
        server.before = lambda *_: place.look()
        yield place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path) as made:
        yield made


# What goes wrong, and where. An error that is "late" comes after the request took effect.
ALL, TOKEN, ADDITIONS = "/v4/.*", "/token", "/v4/spreadsheets/[^/]+:batchUpdate"
KINDS: dict[str, tuple[str, Fault]] = {
    "429": (ALL, faults.rate_limited()),
    "429, wait 30": (ALL, faults.rate_limited(30)),
    "503": (ALL, faults.unavailable()),
    "late 503": (ALL, faults.in_effect(faults.unavailable(10))),
    "a page": (ALL, faults.html(200)),
    "late 502 page": (ALL, faults.in_effect(faults.html(502))),
    "nothing in it": (ALL, faults.in_effect(faults.answered(200, b""))),
    "dropped": (ALL, faults.dropped()),
    "lost": (ALL, faults.lost()),
    "cut": (ALL, faults.cut()),
    "silence": (ALL, faults.silent()),
    "late silence": (ALL, faults.in_effect(faults.silent())),
    "no additions, 503": (ADDITIONS, faults.unavailable()),
    "no additions, dropped": (ADDITIONS, faults.dropped()),
    "no token, 503": (TOKEN, faults.unavailable()),
    "no token, page": (TOKEN, faults.html(200)),
    "no token, 502 page": (TOKEN, faults.html(502)),
    "no token, dropped": (TOKEN, faults.dropped()),
    "no token, silence": (TOKEN, faults.silent()),
}
MINUTES = [(kind, 120.0 if kind.startswith(("429", "no additions")) else 60.0) for kind in KINDS]


@pytest.mark.parametrize("start", [1, 4, 7, 8])
@pytest.mark.parametrize(("kind", "seconds"), MINUTES)
def test_a_storm_is_waited_out(place: Place, kind: str, seconds: float, start: int) -> None:
    place.storm(kind, seconds, start)
    report = place.run()
    place.check_done()
    assert sum(place.clock.waits) <= BOUND
    if "token" not in kind:
        assert (report.calls.reads, report.calls.writes) == (place.server.reads, place.server.writes)
    assert place.trainer.trained == [report.revision]


@pytest.mark.parametrize("start", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_storm_that_outlasts_patience_ends_the_pass_with_a_sentence(place: Place, kind: str, start: int) -> None:
    place.storm(kind, float("inf"), start)
    with pytest.raises(SheetError, match=r"^Google Sheets does not answer: [^\n<]{4,250}; try again later$"):
        place.run()
    assert 60 < sum(place.clock.waits) <= BOUND
    place.server.faults.clear()
    place.run()
    place.check_done()
    assert len(place.trainer.trained) == 1


def test_a_first_pass_makes_the_calls_among_which_storms_begin(place: Place) -> None:
    place.run()
    assert place.server.reads + place.server.writes == CALLS
    made = [entry.path.rpartition("/")[2].partition(":")[::2] for entry in place.server.log if entry.method == "POST"]
    assert [kind for _, kind in made if kind] == ["batchUpdate", "batchUpdate", "batchUpdate"]


@pytest.mark.parametrize("start", [1, 3, 4, 7, 8])
def test_a_quota_that_others_eat_is_waited_out(tmp_path: Path, start: int) -> None:
    """Whoever shares the account may use it up for two minutes, and leave little in the third."""
    with placed(tmp_path, quota=Quota(60, 60)) as place:
        used, user = place.server.quota.used, place.server.email

        def others(method: str, path: str, number: int) -> None:
            minute = int(place.clock() // 60)
            for kind in ("Read", "Write"):
                if number == start:
                    used.update({(user, kind, minute): 60, (user, kind, minute + 1): 60, (user, kind, minute + 2): 55})

        place.server.faults.plan = others
        place.run()
        place.check_done()
    assert 429 in [entry.status for entry in place.server.log]
    assert 60 < sum(place.clock.waits) <= BOUND


def test_watch_outlives_a_storm(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.storm("503", float("inf"), 1)
    stop = Event()

    def one_pass() -> None:
        if caplog.records:  # one pass has failed: the storm is over
            place.server.faults.clear()
            stop.set()
        place.run()

    with caplog.at_level(logging.ERROR, "sheetsync"):
        watch.watch(one_pass, 1 / 60, stop)
    assert [record.getMessage()[:42] for record in caplog.records] == ["Google Sheets does not answer: 503, The se"]
    place.check_done()


# --- what a server asks for -------------------------------------------------------------------------


def date(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        (lambda: "30", 30, 30 + JITTER),
        (lambda: date(30), 28, 31 + JITTER),
        (lambda: "0", 1, 1 + JITTER),
        (lambda: "-5", 1, 1 + JITTER),
        (lambda: "soon", 1, 1 + JITTER),
        (lambda: date(-3600), 1, 1 + JITTER),
        (lambda: "86400", PATIENCE, PATIENCE),
        (lambda: "9" * 400, PATIENCE, PATIENCE),
        (lambda: date(86_400), PATIENCE, PATIENCE),
    ],
    ids=["number", "date", "zero", "negative", "word", "past", "day", "huge", "date tomorrow"],
)
def test_what_a_server_asks_to_wait_is_obeyed_within_bounds(
    place: Place, said: Callable[[], str], least: float, most: float
) -> None:
    place.server.faults.queue(faults.rate_limited(said()))
    with place.client() as made:
        GoogleSheet(made, place.book).read()
    assert least <= sum(place.clock.waits) <= most


def test_waits_grow_and_no_two_clients_wait_alike(tmp_path: Path) -> None:
    waits = []
    for name in ("one", "two"):
        with placed(tmp_path / name) as place:
            place.storm("503", float("inf"), 1)
            with pytest.raises(SheetError):
                place.run()
            waits.append(place.clock.waits)
    assert waits[0][:6] != waits[1][:6]
    for tries in waits:
        assert tries[0] <= 1 + JITTER < 8 <= tries[3]
        assert max(tries) <= MAX_PAUSE + JITTER
        assert sum(tries) == pytest.approx(PATIENCE, abs=1)


def test_a_burst_stays_below_the_quota(tmp_path: Path) -> None:
    with placed(tmp_path, quota=Quota(60, 60)) as place, place.client() as made:
        sheet = GoogleSheet(made, place.book)
        for _ in range(2 * CALLS_PER_MINUTE + 20):
            sheet.read()
        spent = place.server.quota.used
    assert [entry.status for entry in place.server.log if entry.status != 200] == []
    assert sum(spent.values()) == made.calls.reads == 2 * CALLS_PER_MINUTE + 21
    assert max(spent.values()) <= CALLS_PER_MINUTE
    assert sum(place.clock.waits) == 120, "no longer than it must, and a minute is full of others' calls by then"


def test_reading_takes_nothing_from_the_budget_of_writing(place: Place) -> None:
    with place.client() as made:
        sheet = GoogleSheet(made, place.book)
        sheet.write(sheet.read(), [AddColumns("rows", MACHINE)])
        seen = sheet.read()
        for _ in range(CALLS_PER_MINUTE - 3):
            sheet.read()
        for _ in range(CALLS_PER_MINUTE - 1):
            sheet.write(seen, [CellUpdate("rows", 2, 4, "ok")])
        assert (made.calls.reads, made.calls.writes, place.clock.waits) == (CALLS_PER_MINUTE, CALLS_PER_MINUTE, [])
        sheet.write(seen, [CellUpdate("rows", 2, 4, "well")])
        assert place.clock.waits == [60]


# --- one call ---------------------------------------------------------------------------------------

FORBIDDEN = json.dumps(
    {
        "error": {
            "code": 403,
            "message": "User Rate Limit Exceeded",
            "errors": [{"domain": "usageLimits", "reason": "userRateLimitExceeded", "message": "slow down"}],
        }
    }
).encode()


@pytest.mark.parametrize("fault", [faults.rate_limited(), faults.answered(403, FORBIDDEN)], ids=["429", "403"])
def test_what_was_refused_for_the_quota_is_said_again_an_addition_too(place: Place, fault: Fault) -> None:
    with place.client() as made:
        sheet = GoogleSheet(made, place.book)
        seen = sheet.read()
        place.server.faults.queue(fault, fault)
        sheet.write(seen, [AddRow("rows", ("Bob",))])
        assert [row[0] for row in sheet.read().rows.rows].count("Bob") == 1
        assert made.calls.writes == 3


def test_an_addition_that_found_no_token_is_said_again(place: Place) -> None:
    with place.client() as made:
        sheet = GoogleSheet(made, place.book)
        seen = sheet.read()
        place.server.expire_tokens()
        place.server.faults.plan = lambda _, path, number: KINDS["503"][1] if path == TOKEN and number < 4 else None
        sheet.write(seen, [AddRow("rows", ("Bob",))])
        assert [row[0] for row in sheet.read().rows.rows].count("Bob") == 1
    assert place.server.token_requests == 4


def test_only_losses_in_a_row_end_a_pass(place: Place) -> None:
    row = [AddRow("rows", ("Bob",))]
    with place.client() as made:
        sheet = GoogleSheet(made, place.book)
        seen = sheet.read()
        for _ in range(2):
            place.server.faults.queue(*[faults.dropped()] * MAX_LOST_WRITES)
            for _ in range(MAX_LOST_WRITES):
                with pytest.raises(SheetChanged):
                    sheet.write(seen, row)
            sheet.write(seen, row)
        place.server.faults.queue(*[faults.dropped()] * (MAX_LOST_WRITES + 1))
        for _ in range(MAX_LOST_WRITES):
            with pytest.raises(SheetChanged):
                sheet.write(seen, row)
        with pytest.raises(SheetError, match="does not answer"):
            sheet.write(seen, row)


LATE = {
    "lost": faults.lost(),
    "cut": faults.cut(),
    "500": faults.in_effect(faults.server_error()),
    "503": faults.in_effect(faults.unavailable()),
    "502 page": faults.in_effect(faults.html(502)),
    "page": faults.in_effect(faults.html(200)),
    "silence": faults.in_effect(faults.silent()),
}


@pytest.mark.parametrize("late", LATE)
def test_no_write_is_repeated_before_the_sheet_was_read_again(place: Place, late: str) -> None:
    place.timeout = SILENCE if late == "silence" else TIMEOUT
    with place.client() as made:
        sheet = GoogleSheet(made, place.book)
        sheet.write(sheet.read(), [AddColumns("rows", MACHINE)])
        seen = sheet.read()
        place.server.faults.queue(LATE[late])
        with pytest.raises(SheetChanged, match="the answer of Google Sheets was lost"):
            sheet.write(seen, [CellUpdate("rows", 2, 4, "ok")])
        seen = sheet.read()
        place.server.faults.queue(LATE[late])
        with pytest.raises(SheetChanged, match="the answer of Google Sheets was lost"):
            sheet.write(seen, [AddRow("rows", ("Bob",))])
        rows = sheet.read().rows
    assert rows.cell(2, 4) == "ok", "all of these faults come after it took effect"
    assert [row[0] for row in rows.rows].count("Bob") == 1
    assert made.calls.writes == 3, "columns, the cell and the row, each once"


def test_a_token_that_ends_in_between_is_renewed(place: Place) -> None:
    place.server.faults.plan = lambda method, path, number: (
        place.server.expire_tokens() if number in (2, 4, 8) else None
    )
    place.run()
    place.check_done()
    assert place.server.token_requests == 4
    assert place.clock.waits == []


def test_credentials_that_are_refused_are_no_storm(place: Place) -> None:
    place.server.tokens.refused = "invalid_grant"
    with pytest.raises(SheetError, match="Google does not accept the credentials: invalid_grant"):
        place.run()
    assert place.clock.waits == []
