"""The number of calls that a pass makes to Google, and their size: quotas and time limits count calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pytest

from sheetsync.rows.table import AddColumns, Calls, CellUpdate, Value, shows_value
from sheetsync.sheets.google.client import Client
from sheetsync.sheets.google.sheet import GoogleSheet
from sheetsync.sync.report import Report
from tests.helpers.googleserver import GoogleServer
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, machine_cells, png, project, quick_words
from tests.sheets.test_google import client

PAGES = {f"http://pics.example/{n}.png": png(n % 40) for n in range(3000)}
VALUES = ("ok", 'a "quoted" word', "римское четыре", "🙂" * 7, 3, 0.8125, "", "line\nbreak", "x" * 300)


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


def sheet_of(google: GoogleServer, rows: int) -> str:
    """Make a spreadsheet with exactly so many rows, every tenth with its image as a formula."""
    cells = [f'=IMAGE("{url}")' if n % 10 == 0 else url for n, url in enumerate(list(PAGES)[:rows])]
    book = google.create(
        "Images", [["who", "image", "label"], *(["Ada", cells[n], CLASSES[n % 4]] for n in range(rows))]
    )
    google.book(book).resize("Sheet1", rows + 1, 3)
    return book


def run(made: Client, book: str, root: Path, trainer: QuickTrainer, **limits: int) -> tuple[Report, Calls]:
    """Run a pass; return its report, and the calls that it alone made."""
    before = made.calls
    report = a_pass(project(root), GoogleSheet(made, book, **limits), Web(PAGES), trainer).run()
    return report, Calls(report.calls.reads - before.reads, report.calls.writes - before.writes)


def sizes(google: GoogleServer) -> list[int]:
    """Return the size in bytes of every request that set values."""
    return [len(each.content) for each in google.asked if each.path.endswith("values:batchUpdate")]


def test_a_pass_over_3000_rows_costs_a_handful_of_calls(google: GoogleServer, tmp_path: Path) -> None:
    book, trainer = sheet_of(google, 3000), QuickTrainer()
    with client(google) as made:
        first, once = run(made, book, tmp_path, trainer)
        google.book(book).type("Sheet1", "C2", [[CLASSES[(n + 1) % 4]] for n in range(100)])
        full, again = run(made, book, tmp_path, trainer)
        idle, least = run(made, book, tmp_path, trainer)
    assert (first.trained, full.trained, idle.trained) == (True, True, False)
    assert full.cells > 3000, "all ranks move"
    assert once.reads <= 9
    assert once.writes <= 5
    assert again.reads <= 6
    assert again.writes <= 3
    assert least.reads <= 2
    assert (least.writes, idle.cells) == (0, 0)
    assert max(sizes(google)) <= 2_000_000


def test_a_long_sheet_is_read_and_written_in_parts(google: GoogleServer, tmp_path: Path) -> None:
    rows, part = 130, 50
    book, trainer, limits = sheet_of(google, rows), QuickTrainer(), {"rows_per_read": part, "bytes_per_write": 2000}
    before, after = ceil((rows + 1) / part), ceil((rows + 1) / part) + 1000 // part - 1  # the tab of scores: 1000 rows
    with client(google) as made:
        _, first = run(made, book, tmp_path, trainer, **limits)
        _, idle = run(made, book, tmp_path, trainer, **limits)
        whole, cut = GoogleSheet(made, book).read(), GoogleSheet(made, book, **limits).read()
    looks = 4  # at the tabs: a tab that is read in parts is looked at again after it grew
    assert first.reads == looks + 5 * before + 2 * after + 1
    assert idle == Calls(1 + after + 1, 0), "the row of scores made it 1001"
    assert first.writes == 3 + len(sizes(google))
    assert len(sizes(google)) > 6
    assert whole == cut
    said = [(cells["prediction"], cells["confidence"]) for cells in machine_cells(cut.rows)]
    assert said == [quick_words(PAGES[url]) for url in list(PAGES)[:rows]]


def test_columns_that_people_insert_in_a_long_sheet_hide_none_of_those_behind_them(google: GoogleServer) -> None:
    """Such a sheet is read in ranges of the columns that it had in the last reading."""
    book = sheet_of(google, 130)
    with client(google) as made:
        sheet = GoogleSheet(made, book, rows_per_read=50)
        before = sheet.read().rows
        google.book(book).insert_columns("Sheet1", "A")
        after = sheet.read().rows
    assert after.header == ("", *before.header)
    assert [cells[1:] for cells in after.rows] == list(before.rows)


@pytest.mark.parametrize(("columns", "rows", "values"), [(2, 128, VALUES), (12, 10, ("римское четыре",))])
def test_no_request_is_larger_than_it_may_be_whatever_the_script(
    google: GoogleServer, columns: int, rows: int, values: tuple[Value, ...]
) -> None:
    """The limit is in bytes as they are sent: a letter may take six of them."""
    most = 4000
    places = [(row, column) for row in range(2, rows + 2) for column in range(3, columns + 3)]
    wanted = {place: values[(place[0] * place[1]) % len(values)] for place in places}
    book = sheet_of(google, rows)
    with client(google) as made:
        sheet = GoogleSheet(made, book, bytes_per_write=most)
        sheet.write(sheet.read(), [AddColumns("rows", tuple(f"ours {n}" for n in range(columns)))])
        sheet.write(sheet.read(), [CellUpdate("rows", *place, value) for place, value in wanted.items()])
        table = sheet.read().rows
    assert [place for place, value in wanted.items() if not shows_value(table.cell(*place), value)] == []
    assert max(sizes(google)) <= most * 4 / 3, "Google advises a third more than we allow ourselves"
    sent = sum(len(json.dumps(value)) for value in wanted.values())
    assert sent / most < len(sizes(google)) < 4 * sent / most


def test_answers_come_packed(google: GoogleServer) -> None:
    book = sheet_of(google, 300)
    with client(google) as made:
        GoogleSheet(made, book).read()
    assert google.sent < google.said / 5
