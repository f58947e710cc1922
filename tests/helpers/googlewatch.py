"""Watch a pass: people edit and faults occur around its requests, and what it must not change is compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tests.helpers.googlepeople import ROWS, Team
from tests.helpers.googleserver import Fault, GoogleServer, faults
from tests.helpers.googleserver.a1 import letters
from tests.helpers.googleserver.server import Asked
from tests.helpers.googleserver.state import Book, Sheet, cell_of
from tests.helpers.support import MACHINE

Json = dict[str, Any]
Moment = int | tuple[str, int]  # a request of a pass, from 0; or the first, second, … that reads, adds, or sets values
Act = Callable[[], object]
LAID_OVER = ("merges", "protected", "filter_views", "groups", "basic_filter", "properties", "sizes")


FAULTS: dict[str, Callable[[], Fault]] = {
    "429": lambda: faults.rate_limited(kind="Read"),
    "429 with a wait": lambda: faults.rate_limited(20),
    "500": faults.server_error,
    "503": faults.unavailable,
    "a page": faults.html,
    "a page with 200": lambda: faults.html(200),
    "dropped": faults.dropped,
    "lost": faults.lost,
    "cut": faults.cut,
    "twice": faults.twice,
    "twice, second answer": lambda: faults.twice(second_answer=True),
}


class Time:
    """A clock that advances only by waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)


@dataclass
class Around:
    """Hooks around the requests of one pass: people edit right before some, and some fail."""

    server: GoogleServer
    team: Team
    acts: Sequence[tuple[Moment, Act]] = ()
    faults: Mapping[Moment, Fault] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _before: Book | None = None
    _seen: int = 0

    def __enter__(self) -> Self:
        self.server.clear_log()
        self._learn()
        self.server.before, self.server.faults.plan = self._between, self._fault
        return self

    def __exit__(self, *_: object) -> None:
        self.server.before = None
        self.server.faults.clear()
        self._compare()

    @property
    def _now(self) -> set[Moment]:
        return {len(self.kinds) - 1, (self.kinds[-1], self.kinds.count(self.kinds[-1]))}

    def _fault(self, method: str, path: str, number: int) -> Fault | None:
        if path == "/token":
            return None
        self.kinds.append("read" if method == "GET" else "set" if path.endswith("/values:batchUpdate") else "add")
        return next((self.faults[moment] for moment in self._now if moment in self.faults), None)

    def _between(self, method: str, path: str) -> None:
        self._compare(running=1)
        for moment, act in self.acts:
            if moment in self._now:
                act()
        self._before = self._state()
        self._learn()

    def _state(self) -> Book | None:
        document = self.server.world.documents.get(self.team.id)
        return document.book if document else None

    def _learn(self) -> None:
        state = self._state()
        self._names |= names_over_ours(state, ROWS) if state else set()

    def _compare(self, running: int = 0) -> None:
        """Compare after a request: right before the next one, or at the end."""
        now = len(self.server.asked) - running
        after, asked, self._seen = self._state(), self.server.asked[self._seen : now], now
        if self._before and after:
            found = harm(self._before, after, asked, self._names, ROWS)
            self.violations += [f"request {len(self.kinds) - running}: {each}" for each in found]
        self._before = None


# --- what a request may not change ---


class Grown(NamedTuple):
    """Rows or columns that a request asks to insert."""

    sheet: int
    dimension: str
    start: int
    end: int


def grown(asked: Iterable[Asked]) -> list[Grown]:
    """Return what these requests insert, in order."""
    wheres = [each["insertDimension"]["range"] for each in _requests(asked) if "insertDimension" in each]
    return [Grown(each.get("sheetId", 0), each["dimension"], each["startIndex"], each["endIndex"]) for each in wheres]


def _requests(asked: Iterable[Asked]) -> Iterator[Json]:
    for each in asked:
        if each.path.endswith(":batchUpdate") and "/values" not in each.path:
            yield from json.loads(each.content)["requests"]


def header(sheet: Sheet) -> list[str]:
    return [str(cell_of(cell).value or "") for cell in sheet.rows[0]] if sheet.rows else []


def names_over_ours(book: Book, rows: int) -> set[str]:
    """Return our named ranges over columns whose header is another."""
    sheet = next((sheet for sheet in book.sheets if sheet.id == rows), None)
    if sheet is None:
        return set()
    ours = {at for at, name in enumerate(header(sheet)) if name in MACHINE}
    return {named["name"] for named in _of_rows(book, rows) if named["range"].get("startColumnIndex", 0) in ours}


def _of_rows(book: Book, rows: int) -> list[Json]:
    return [each for each in book.named if each["name"].startswith("sheetsync_rows") and _on(each) == rows]


def _on(named: Json) -> int:
    found: int = named["range"].get("sheetId") or 0
    return found


def harm(before: Book, after: Book, asked: Iterable[Asked], names: set[str], rows: int) -> list[str]:
    """Return differences that a pass must not make.

    Changed may be cells below a header of ours in the tab of rows, if a name of ours is there too or nothing else, and
    those below one of `names`: people renamed that column a moment ago. Tabs may come, rows and columns may be
    inserted, and nothing else.
    """
    inserted = grown(asked)
    found = [] if _foreign(before) == _foreign(after) else ["a name of people changed"]
    if [sheet.id for sheet in before.sheets] != [sheet.id for sheet in after.sheets if _in(before, sheet)]:
        return [*found, "a tab is gone, or elsewhere"]
    twins = {sheet.id: sheet for sheet in after.sheets}
    for sheet in before.sheets:
        ours = _ours(before, sheet, names) if sheet.id == rows else set()
        here = [each for each in inserted if each.sheet == sheet.id]
        found += [f"{sheet.title}: {each}" for each in _harm(sheet, twins[sheet.id], here, ours)]
    return found


def _in(book: Book, sheet: Sheet) -> bool:
    return any(sheet.id == each.id for each in book.sheets)


def _foreign(book: Book) -> list[str]:
    return [each["name"] for each in book.named if not each["name"].startswith("sheetsync_")]


def _ours(book: Book, sheet: Sheet, names: set[str]) -> set[int]:
    called = {at for at, name in enumerate(header(sheet)) if name in MACHINE}
    named = {each["name"]: each["range"].get("startColumnIndex", 0) for each in _of_rows(book, sheet.id)}
    filled = {
        at for line in sheet.rows[1:] for at, cell in enumerate(line) if cell_of(cell).value or cell_of(cell).formula
    }
    return called & {*named.values()} | called - filled | {at for name, at in named.items() if name in names}


def _harm(old: Sheet, new: Sheet, inserted: list[Grown], ours: set[int]) -> Iterator[str]:
    if old.title != new.title:
        yield f"now called {new.title}"
    took = (new.row_count, new.column_count) != (old.row_count, old.column_count)
    for dimension in ("ROWS", "COLUMNS"):
        wanted = sum(each.end - each.start for each in inserted if each.dimension == dimension)
        came = new.count(dimension) - old.count(dimension)
        if came != (wanted if took else 0):
            yield f"{came} {dimension.lower()} came, asked for were {wanted}"
            return
    if not took:
        yield from (f"{each} changed" for each in LAID_OVER if getattr(old, each) != getattr(new, each))
    yield from _cells(old, new, inserted if took else [], ours)


def _cells(old: Sheet, new: Sheet, inserted: list[Grown], ours: set[int]) -> Iterator[str]:
    rows, columns = (_without(new, dimension, inserted) for dimension in ("ROWS", "COLUMNS"))
    width = max(map(len, [*old.rows, *new.rows]), default=0)
    for at in range(max(len(old.rows), len(new.rows))):
        for place in range(min(width, old.column_count)):
            if at < old.row_count and not (at and place in ours):
                was, now = old.get(at, place), new.get(rows[at], columns[place])
                if was != now:
                    yield f"{letters(place)}{at + 1} was {was} and is {now}"


def _without(sheet: Sheet, dimension: str, inserted: list[Grown]) -> list[int]:
    """Map the old rows or columns to where they are now."""
    places = list(range(sheet.count(dimension)))
    for each in reversed([each for each in inserted if each.dimension == dimension]):
        del places[each.start : each.end]
    return places
