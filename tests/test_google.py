"""A Google Sheet keeps what every sheet promises, over real HTTP with the real client."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.oauth2.service_account import Credentials
from googleserver import GoogleServer, clients, faults
from hypothesis import given
from hypothesis import strategies as st
from support import CLASSES, QuickTrainer, Web, a_pass, project
from test_laws import GOOD, HEADER
from test_sheets import EMPTY, FORMULAS, PEOPLE, TRICKY, SheetContract, few, grid, tables, values

from sheetsync.errors import SheetError
from sheetsync.rows import column_letter
from sheetsync.sheets import Sheet
from sheetsync.sheets.client import Client
from sheetsync.sheets.credentials import load_credentials
from sheetsync.sheets.google import GoogleSheet
from sheetsync.tables import AddColumns, AddRow, Calls, CellUpdate, Tab, Table, Value, same


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


@contextmanager
def client(server: GoogleServer, **options: object) -> Iterator[Client]:
    with tempfile.TemporaryDirectory() as folder:
        key = server.key_file(Path(folder, "key.json"))
        scopes = ["https://www.googleapis.com/auth/spreadsheets"]
        credentials = Credentials.from_service_account_file(str(key), scopes=scopes)
        made = Client(credentials, **{"sleep": lambda _: None} | options)  # the budget is a minute long
    clients.rewriting(made.session, server.url)
    try:
        yield made
    finally:
        made.close()


headers_ = st.text("abc", min_size=1, max_size=3)


class TestGoogle(SheetContract):
    @pytest.fixture(autouse=True)
    def _served(self, google: GoogleServer) -> None:
        type(self).server = google

    @contextmanager
    def make(self, rows: Table, scores: Table = EMPTY) -> Iterator[Sheet]:
        book = self.server.create("Images")
        if rows != EMPTY:
            self.server.book(book).type("Sheet1", "A1", grid(rows), raw=True)
        if scores != EMPTY:
            self.server.book(book).add("scores")
            self.server.book(book).type("scores", "A1", grid(scores), raw=True)
        with client(self.server) as made:
            sheet = GoogleSheet(made, book)
            yield sheet

    def edit(self, sheet: Sheet, row: int, column: int, value: str, tab: Tab = "rows") -> None:
        book = self.server.book(sheet.name.rpartition("/")[2])
        title = book.tabs[0] if tab == "rows" else "scores"
        book.type(title, f"{column_letter(column)}{row}", value, raw=True)

    # --- where Google differs ---

    @pytest.mark.parametrize("label", TRICKY + FORMULAS)
    def test_text_is_never_a_formula(self, label: str) -> None:
        """It needs no apostrophe: text goes as text, and comes back to the letter."""
        change, row = CellUpdate("rows", 2, 1, label), AddRow("rows", (label, "x"))
        table = self.after(PEOPLE, change, row, AddColumns("rows", (label or "x",))).rows
        assert [table.cell(2, 1), table.cell(7, 0), table.cell(1, 4)] == [label, label, label or "x"]

    def test_calls_are_counted(self) -> None:
        with self.make(PEOPLE) as sheet:
            sheet.write(sheet.read(), [AddColumns("rows", ("status",)), AddRow("scores", ("x",))])
            sheet.write(sheet.read(), [CellUpdate("rows", 2, 4, "v")])
            assert sheet.calls == Calls(4, 2), (
                "before the first reading, and after a tab was made, it looks for the tabs"
            )

    def test_a_write_without_changes_is_no_call(self) -> None:
        with self.make(PEOPLE) as sheet:
            sheet.write(sheet.read(), [])
            assert sheet.calls == Calls(2, 0)

    def test_nothing_is_written_below_a_header_that_changed(self) -> None:
        """A column is known by its name, so it is found wherever it moved, and nothing else is hit."""
        with self.make(PEOPLE) as sheet:
            sheet.write(sheet.read(), [AddColumns("rows", ("status",))])
            book = sheet.read()
            self.server.book(sheet.name.rpartition("/")[2]).insert_columns("Sheet1", "A", 2)
            sheet.write(book, [CellUpdate("rows", 2, 4, "ok")])
            table = sheet.read().rows
        assert (table.cell(2, 6), table.cell(2, 4), table.cell(2, 2)) == ("ok", "blurred", "a.png")

    @few
    @given(tables, st.lists(values.filter(lambda value: value != ""), min_size=1, max_size=4))
    def test_a_new_row_stands_below_all_rows(self, table: Table, row: list[Value]) -> None:
        with self.make(table) as sheet:
            seen = sheet.read().rows
            sheet.write(sheet.read(), [AddRow("rows", tuple(row))])
            now = sheet.read().rows
        assert now.rows[: len(seen.rows)] == seen.rows
        number = len(seen.rows) + 2 if seen.header or seen.rows else 1
        assert all(same(now.cell(number, column), value) for column, value in enumerate(row))

    @few
    @given(
        tables.filter(lambda table: all(not row or row[-1] for row in table.rows)),
        st.lists(headers_, min_size=1, max_size=3),
    )
    def test_new_columns_stand_right_of_every_cell(self, table: Table, names: list[str]) -> None:
        SheetContract.test_new_columns_stand_right_of_every_cell.hypothesis.inner_test(self, table, names)


# --- calls, faults, words ---------------------------------------------------------------------------


@contextmanager
def filled(google: GoogleServer, rows: int = 12) -> Iterator[tuple[str, Client]]:
    book = google.create("Images")
    people = [["Ada", url, CLASSES[n % 2], "train"] for n, url in enumerate(list(GOOD)[:rows])]
    google.book(book).type("Sheet1", "A1", [HEADER, *people])
    with client(google) as made:
        yield book, made


def test_a_pass_on_a_google_sheet_costs_few_calls(google: GoogleServer, tmp_path: Path) -> None:
    trainer = QuickTrainer()
    with filled(google) as (book, made):
        first = a_pass(project(tmp_path), GoogleSheet(made, book), Web(GOOD), trainer).run()
        google.book(book).type("Sheet1", "C2", "iv")
        full = a_pass(project(tmp_path), GoogleSheet(made, book), Web(GOOD), trainer).run()
        idle = a_pass(project(tmp_path), GoogleSheet(made, book), Web(GOOD), trainer).run()
    assert first.trained
    assert full.trained
    assert (full.calls.reads - first.calls.reads, full.calls.writes - first.calls.writes) == (4, 2)
    assert (idle.calls.reads - full.calls.reads, idle.calls.writes - full.calls.writes, idle.cells) == (2, 0, 0)
    values = google.book(book).values("scores")
    assert [row[0] for row in values] == ["when", "2026-01-01T00:00:00000", "2026-01-01T00:00:00001"]


@pytest.mark.parametrize("kind", ["a 429", "a 503", "a page", "a drop"])
def test_a_fault_that_passes_is_waited_out(google: GoogleServer, kind: str) -> None:
    fault = {
        "a 429": faults.rate_limited(0, "Read"),
        "a 503": faults.unavailable(),
        "a page": faults.html(),
        "a drop": faults.dropped(),
    }[kind]
    with filled(google) as (book, made):
        sheet = GoogleSheet(made, book)
        sheet.read()
        google.faults.queue(fault)
        assert sheet.read().rows.header == tuple(HEADER)


def test_who_may_not_read_is_told_to_share(google: GoogleServer) -> None:
    secret = google.create("Private", share=False)
    with client(google) as made:
        with pytest.raises(SheetError, match="share it as Editor"):
            GoogleSheet(made, secret).read()
        with pytest.raises(SheetError, match="there is no spreadsheet"):
            GoogleSheet(made, "nowhere").read()


def test_credentials_without_the_right_to_spreadsheets_are_told_so(google: GoogleServer, tmp_path: Path) -> None:
    scopes = ["https://www.googleapis.com/auth/drive.metadata.readonly"]
    credentials = Credentials.from_service_account_file(str(google.key_file(tmp_path / "key.json")), scopes=scopes)
    made = Client(credentials)
    clients.rewriting(made.session, google.url)
    with pytest.raises(SheetError, match="not given the right to spreadsheets"):
        GoogleSheet(made, google.create("Images")).read()
    made.close()


def test_a_key_that_is_none_gets_a_clear_error_without_its_content(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    for content in ("{}", "[]", "no json", '{"type": "service_account", "private_key": "TOPSECRET"}'):
        key.write_text(content)
        key.chmod(0o600)
        with pytest.raises(SheetError) as caught:
            load_credentials(key, tmp_path / "token.json")
        assert "TOPSECRET" not in str(caught.value)


def test_the_command_line_syncs_a_google_sheet(google: GoogleServer, tmp_path: Path) -> None:
    book = google.create("Images", [["image", "label"]])
    google.key_file(tmp_path / "credentials.json").chmod(0o600)
    (tmp_path / "sheetsync.toml").write_text(
        f'sheet = "https://docs.google.com/spreadsheets/d/{book}/edit#gid=0"\n[google]\nendpoint = "{google.url}"\n'
    )
    google.book(book).type("Sheet1", "A2", [["ftp://nowhere", "i"]])
    command = [str(Path(sys.executable).with_name("sheetsync")), "sync"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = dict(zip(*google.book(book).values("Sheet1"), strict=False))
    assert shown["status"] == "not an image URL (it must begin with http:// or https://): “ftp://nowhere”"


def test_a_column_that_people_add_just_then_is_not_written_over(google: GoogleServer) -> None:
    with filled(google) as (book, made):
        sheet = GoogleSheet(made, book)
        seen = sheet.read()
        google.book(book).type("Sheet1", "E1", [["mine"], ["keep this"]])
        sheet.write(seen, [AddColumns("rows", ("status",)), AddRow("rows", ("Bob",))])
        table = sheet.read().rows
    assert table.cell(2, table.header.index("mine")) == "keep this"
    assert "status" in table.header


def test_a_row_that_people_add_just_then_is_not_written_over(google: GoogleServer) -> None:
    with filled(google, rows=1) as (book, made):
        sheet = GoogleSheet(made, book)
        seen = sheet.read()
        google.book(book).type("Sheet1", "A3", [["Eve", "http://new"]])
        sheet.write(seen, [AddRow("rows", ("Bob", "ours"))])
        rows = sheet.read().rows.rows
    assert {row[:2] for row in rows[1:]} == {("Eve", "http://new"), ("Bob", "ours")}
