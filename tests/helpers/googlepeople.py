"""Edits that a team makes to its Google Sheet in a browser, each as the request that the browser sends.

Here is the team, and its work on rows and cells; `googlerebuild` has what it does to columns, tabs and rights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.helpers.googleserver import GoogleServer
from tests.helpers.googleserver.a1 import letters
from tests.helpers.googleserver.book import BookOf
from tests.helpers.googleserver.errors import Refusal
from tests.helpers.googleserver.state import Book, Sheet
from tests.helpers.support import MACHINE

ROWS = 0  # the id of the tab of the rows
NEEDED = ("image", "label", "split", "no image", "no label")  # the latter where somebody renamed them
Lines = Sequence[Sequence[str]]


class Gone(Exception):
    """The target of an edit does not exist, so nothing was done."""


@dataclass
class Team:
    """The people of one spreadsheet. `new_row` makes what they type as a row; `mend` undoes edits that stop a pass."""

    server: GoogleServer
    id: str
    new_row: Callable[[Random], dict[str, str]]
    amends: list[Callable[[], Any]] = field(default_factory=list)

    @property
    def book(self) -> BookOf:
        return self.server.book(self.id)

    @property
    def state(self) -> Book:
        return self.book.state

    def do(self, deed: str, seed: int) -> None:
        """Make an edit, or fail as it fails in the browser."""
        with suppress(Refusal, Gone):
            if self.id in self.server.world.documents:
                DEEDS[deed](self, Random(seed))

    def mend(self) -> None:
        """Undo edits that stop every pass, the last one first."""
        while self.amends:
            self.amends.pop()()
        with suppress(Gone):
            self._give_way()

    def _give_way(self) -> None:
        """Do what a refusal asks for: rename filled columns with our headers that have no named range of ours."""
        header, *lines = self.grid()
        named = {each["range"].get("startColumnIndex", 0) for each in self.state.named if _of_rows(each)}
        for at, name in enumerate(header):
            if name in MACHINE and at not in named and any(line[at : at + 1] not in ([], [""]) for line in lines):
                self.book.type(self.tab, f"{letters(at)}1", f"remark {400 + at}")

    # --- what they see ------------------------------------------------------------------------------

    @property
    def tab(self) -> str:
        found = next((sheet.title for sheet in self.state.sheets if sheet.id == ROWS), None)
        if found is None:
            raise Gone
        return found

    @property
    def sheet(self) -> Sheet:
        return self.state.tab(self.tab)

    def grid(self) -> list[list[str]]:
        """Return the cells of the tab of rows as text, formulas as typed."""
        return [["" if cell is None else str(cell) for cell in line] for line in self.book.raw(self.tab)]

    @property
    def header(self) -> list[str]:
        return self.grid()[0]

    @property
    def height(self) -> int:
        return len(self.grid())

    @property
    def width(self) -> int:
        return max(map(len, self.grid()))

    def column(self, name: str) -> str:
        if name not in self.header:
            raise Gone
        return letters(self.header.index(name))

    def some(self, rng: Random, names: Sequence[str]) -> str:
        """Choose one of these columns."""
        there = [name for name in names if name in self.header]
        if not there:
            raise Gone
        return rng.choice(there)

    def own(self, rng: Random) -> str:
        """Choose a column of the team that sheetsync does not need."""
        return self.some(rng, [n for n in self.header if n and n not in (*MACHINE, *NEEDED)])

    def row(self, rng: Random) -> int:
        if self.height < 3:
            raise Gone
        return rng.randint(2, self.height)

    def scores(self) -> str:
        """Return the tab of scores, whatever its title is now."""
        found = next((sheet.title for sheet in self.state.sheets if "revision" in _first_row(sheet)), None)
        if found is None:
            raise Gone
        return found

    def room(self, rows: int, columns: int) -> None:
        sheet = self.sheet
        self.book.resize(self.tab, max(sheet.row_count, rows), max(sheet.column_count, columns))

    def batch(self, kind: str, **request: Any) -> None:
        self.book.batch({kind: request})

    def type_row(self, rng: Random, at: int) -> None:
        self.room(at, self.width)
        for name, value in self.new_row(rng).items():
            if name in self.header and value:
                self.book.type(self.tab, f"{self.column(name)}{at}", value)


def _of_rows(named: dict[str, Any]) -> bool:
    return bool(named["name"].startswith("sheetsync_rows_") and named["range"].get("sheetId", 0) == ROWS)


def _first_row(sheet: Sheet) -> list[Any]:
    return list(sheet.rows[0]) if sheet.rows else []


DEEDS: dict[str, Callable[[Team, Random], None]] = {}
Deed = Callable[[Team, Random], None]


def deed(act: Deed) -> Deed:
    DEEDS[act.__name__] = act
    return act


# --- rows -------------------------------------------------------------------------------------------


def specs(team: Team, rng: Random) -> list[dict[str, Any]]:
    wanted = rng.sample(range(len(team.header)), min(rng.randint(1, 3), len(team.header)))
    return [{"dimensionIndex": at, "sortOrder": rng.choice(["ASCENDING", "DESCENDING"])} for at in wanted]


@deed
def sort_all(team: Team, rng: Random) -> None:
    area = {"sheetId": ROWS, "startRowIndex": 1, "endRowIndex": team.sheet.row_count}
    team.batch("sortRange", range=area, sortSpecs=specs(team, rng))


@deed
def sort_a_part(team: Team, rng: Random) -> None:
    first, last = sorted([team.row(rng), team.row(rng)])
    area = {"sheetId": ROWS, "startRowIndex": first - 1, "endRowIndex": last}
    team.batch("sortRange", range=area, sortSpecs=specs(team, rng))


@deed
def insert_rows(team: Team, rng: Random) -> None:
    at = team.row(rng)
    team.book.insert_rows(team.tab, at, rng.randint(1, 2))
    if rng.random() < 0.7:
        team.type_row(rng, at)


@deed
def delete_rows(team: Team, rng: Random) -> None:
    if team.height > 6:
        team.book.delete_rows(team.tab, team.row(rng))


@deed
def duplicate_a_row(team: Team, rng: Random) -> None:
    source, at = team.row(rng), team.row(rng)
    team.book.insert_rows(team.tab, at)
    source += source >= at
    team.book.copy_paste(team.tab, f"A{source}:{letters(team.width - 1)}{source}", f"A{at}")


@deed
def cut_and_paste_a_row(team: Team, rng: Random) -> None:
    source, at = team.row(rng), team.row(rng)
    team.book.insert_rows(team.tab, at)
    source += source >= at
    team.book.cut_paste(team.tab, f"A{source}:{letters(team.width - 1)}{source}", f"A{at}")


@deed
def cut_and_paste_a_block_to_the_end(team: Team, rng: Random) -> None:
    first, below = team.row(rng), team.height + 1
    last = min(first + 1, team.height)
    team.room(below + 2, team.width)
    team.book.cut_paste(team.tab, f"A{first}:{letters(team.width - 1)}{last}", f"A{below}")


@deed
def drag_rows(team: Team, rng: Random) -> None:
    first, before = team.row(rng), team.row(rng)
    team.book.move_rows(team.tab, first, min(first + rng.randint(0, 1), team.height), before)


@deed
def type_below_the_last_row(team: Team, rng: Random) -> None:
    team.type_row(rng, team.height + 1)


# --- cells ------------------------------------------------------------------------------------------


def _retype(team: Team, rng: Random, name: str) -> None:
    team.book.type(team.tab, f"{team.column(name)}{team.row(rng)}", team.new_row(rng)[name])


@deed
def relabel(team: Team, rng: Random) -> None:
    _retype(team, rng, "label")


@deed
def retype_an_image(team: Team, rng: Random) -> None:
    _retype(team, rng, "image")


@deed
def retype_a_split(team: Team, rng: Random) -> None:
    _retype(team, rng, "split")


@deed
def clear_a_label(team: Team, rng: Random) -> None:
    at = f"{team.column('label')}{team.row(rng)}"
    team.book.clear(team.tab, f"{at}:{at}")


@deed
def paste_a_block_over_labels(team: Team, rng: Random) -> None:
    column, source, target = team.column("label"), team.row(rng), team.row(rng)
    team.room(target + 3, team.width)
    team.book.copy_paste(team.tab, f"{column}{source}:{column}{source + 1}", f"{column}{target}:{column}{target + 1}")


@deed
def find_and_replace_a_label(team: Team, rng: Random) -> None:
    at = team.header.index("label") if "label" in team.header else None
    old = rng.choice(["i", "ii"])
    for number, line in enumerate(team.grid()[1:], start=2):
        if at is not None and at < len(line) and line[at] == old:
            team.book.type(team.tab, f"{letters(at)}{number}", "iii")


@deed
def scribble_over_ours(team: Team, rng: Random) -> None:
    team.book.type(team.tab, f"{team.column(team.some(rng, MACHINE))}{team.row(rng)}", rng.choice(["mine!", "", "0.5"]))


@deed
def decorate(team: Team, rng: Random) -> None:
    """Colours, bold type, notes, text as a format, a drop-down."""
    at = f"{letters(rng.randrange(team.width))}{rng.randint(1, team.height)}"
    team.book.note(team.tab, at, rng.choice(["ask Ada", ""]))
    team.book.format(team.tab, at, rng.choice([{"backgroundColor": {"red": 1}}, {"textFormat": {"bold": True}}, None]))
    if rng.random() < 0.3:
        team.book.dropdown(team.tab, f"{team.column('label')}2:{team.column('label')}9", ["i", "ii"], strict=False)


@deed
def merge_in_a_team_column(team: Team, rng: Random) -> None:
    column, at = team.column(team.own(rng)), team.row(rng)
    team.book.merge(team.tab, f"{column}{at}:{column}{min(at + 1, team.sheet.row_count)}")


@deed
def unmerge(team: Team, rng: Random) -> None:
    team.batch("unmergeCells", range={"sheetId": ROWS})


@deed
def protect_with_a_warning(team: Team, rng: Random) -> None:
    team.book.protect(team.tab, f"A1:{letters(team.width - 1)}1", warning=True)
