"""A Google Sheet keeps what every sheet promises, over real HTTP with the real client."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.oauth2.service_account import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sheetsync.auth.credentials import load_credentials
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.header import column_letter
from sheetsync.rows.table import AddColumns, AddRow, Calls, CellUpdate, Tab, Table, Value, shows_value
from sheetsync.sheets import Sheet
from sheetsync.sheets.google.client import Client
from sheetsync.sheets.google.metadata import id_of
from sheetsync.sheets.google.response import Grid, NamedColumn, PendingWrite, SpreadsheetState, misplaced_writes
from sheetsync.sheets.google.sheet import GoogleSheet
from sheetsync.sheets.google.spreadsheet import Spreadsheet
from tests.helpers.googleserver import GoogleServer, clients, faults
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, project
from tests.laws.test_laws import GOOD, HEADER
from tests.sheets.test_sheets import EMPTY, FORMULAS, PEOPLE, TRICKY, SheetContract, few, grid, tables, values


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
        assert all(shows_value(now.cell(number, column), value) for column, value in enumerate(row))

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
    assert (full.calls.reads - first.calls.reads, full.calls.writes - first.calls.writes) == (6, 3)
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
        with pytest.raises(SheetError, match=f"share it as Editor with {re.escape(google.email)} "):
            GoogleSheet(made, secret).read()
        with pytest.raises(SheetError, match="there is no spreadsheet"):
            GoogleSheet(made, "nowhere").read()


ODD = {
    "no list": (faults.answered(200, b'{"sheets":5}'), "cannot be understood"),
    "an empty tab": (faults.answered(200, b'{"sheets":[{}]}'), "cannot be understood"),
    "a name that is none": (faults.answered(200, b'{"namedRanges":[{}]}'), "cannot be understood"),
    "no error of Google's": (faults.answered(404, b'{"error":"x"}'), "answers in its place, with status 404"),
    "an empty error": (faults.answered(400, b'{"error":{}}'), "answers in its place, with status 400"),
    "a page, 400": (faults.html(400), "answers in its place, with status 400"),
    "a page, 403": (faults.html(403), "answers in its place, with status 403: look at .* proxy and its firewall"),
    "a page, 404": (faults.html(404), "answers in its place, with status 404"),
    "a circle": (
        faults.answered(302, b"", Location="https://sheets.googleapis.com/v4/a"),
        "an answer that cannot be read",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_not_from_google_is_one_sentence(kind: str) -> None:
    fault, words = ODD[kind]
    with GoogleServer() as server, client(server, patience=0.5) as made:
        server.faults.plan = lambda method, path, number: fault if path.startswith("/v4") else None
        with pytest.raises(SheetError, match=words) as caught:
            GoogleSheet(made, "x").read()
    assert "\n" not in str(caught.value)
    assert "That's an error" not in str(caught.value)


def test_a_change_with_an_odd_answer_is_looked_at_again(google: GoogleServer) -> None:
    book = google.create("Images")
    with client(google) as made:
        for said in (b'{"replies":5}', b'{"replies":[5]}'):
            google.faults.queue(faults.answered(200, said))
            with pytest.raises(SheetChanged, match="read it again"):
                Spreadsheet(made, book).batch_update([])


def test_the_limits_of_google_are_no_change_of_the_sheet(google: GoogleServer) -> None:
    grow = {"appendDimension": {"sheetId": 0, "dimension": "ROWS", "length": 10_000_000}}
    with client(google) as made:
        spreadsheet = Spreadsheet(made, google.create("Images"))
        with pytest.raises(SheetError, match="as large as Google lets it become: delete rows") as caught:
            spreadsheet.batch_update([grow])
        assert not isinstance(caught.value, SheetChanged)
        with pytest.raises(SheetError, match="use shorter labels") as caught:
            spreadsheet.update_values([{"range": "Sheet1!A1", "values": [["x" * 50_001]]}])
        assert not isinstance(caught.value, SheetChanged)


@pytest.mark.parametrize("status", [418, 503])
def test_no_word_of_a_server_reaches_the_terminal_unseen(status: int) -> None:
    fault = faults.answered(status, json.dumps({"error": {"code": status, "message": "\x1b[31mNo\x07"}}).encode())
    with GoogleServer() as server, client(server, patience=0.5) as made:
        server.faults.plan = lambda method, path, number: fault if path.startswith("/v4") else None
        with pytest.raises(SheetError, match="No") as caught:
            GoogleSheet(made, "x").read()
    assert str(caught.value).isprintable()


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


# --- what stands beside ours ------------------------------------------------------------------------


def test_new_columns_and_rows_take_neither_dates_nor_rules_from_their_neighbours(tmp_path: Path) -> None:
    with GoogleServer() as google, filled(google) as (book, made):
        google.world.switches.strict_validation_rejects = True
        google.book(book).type("Sheet1", "E1", [["seen"], ["2026-01-02"]])
        google.book(book).format("Sheet1", "E1:E1000", {"numberFormat": {"type": "DATE"}, "textFormat": {"bold": True}})
        google.book(book).dropdown("Sheet1", "E2:E1000", ["2026-01-02"])
        trainer = QuickTrainer()
        a_pass(project(tmp_path), GoogleSheet(made, book), Web(GOOD), trainer).run()
        header, first, *_ = google.book(book).values("Sheet1")
        assert 0.5 <= float(first[header.index("confidence")]) <= 1
        new = [google.book(book).cell("Sheet1", f"{letter}{row}") for letter in "FGHIJKL" for row in (1, 2, 900)]
        assert {(str(cell.format), cell.validation) for cell in new} == {("{'textFormat': {'bold': True}}", None)}
        google.book(book).dropdown("scores", "A2:Q2", ["no number"])
        google.book(book).type("Sheet1", "C2", "iv")
        a_pass(project(tmp_path), GoogleSheet(made, book), Web(GOOD), trainer).run()
        assert [google.book(book).cell("scores", f"{letter}3").validation for letter in "AQ"] == [None, None]


def test_each_project_of_a_spreadsheet_has_its_scores_in_the_tab_that_it_asks_for(
    google: GoogleServer, tmp_path: Path
) -> None:
    with filled(google) as (book, made):
        google.book(book).add("Two", google.book(book).raw("Sheet1"))
        gid = google.book(book).state.tab("Two").id
        for at, (tab, scores) in enumerate([(0, "scores"), (gid, "scores two"), (0, "scores")]):
            sheet = GoogleSheet(made, book, tab, scores)
            a_pass(project(tmp_path / str(at % 2)), sheet, Web(GOOD), QuickTrainer(f"recipe {tab}")).run()
        assert google.book(book).tabs == ["Sheet1", "Two", "scores", "scores two"]
        recipes = [[line[3] for line in google.book(book).raw(tab)] for tab in ("scores", "scores two")]
        assert recipes == [["recipe", "recipe 0"], ["recipe", f"recipe {gid}"]]
        assert google.book(book).state.tab("scores").id == id_of(0, "tab scores")
        google.book(book).rename("scores", "Results")
        google.book(book).rename("scores two", "scores")
        now = [GoogleSheet(made, book, *each).read().scores.cell(2, 3) for each in [(0, "runs"), (gid, "scores")]]
    assert now == ["recipe 0", f"recipe {gid}"]


def test_rows_and_scores_are_not_one_tab(google: GoogleServer) -> None:
    with filled(google) as (book, made), pytest.raises(SheetError, match=r"the tab Sheet1 of .* holds the rows, and"):
        GoogleSheet(made, book, 0, "Sheet1").read()


def test_an_address_without_a_tab_means_the_one_that_was_synced_or_the_first(google: GoogleServer) -> None:
    with filled(google) as (book, made):
        google.book(book).add("Two", [["image", "label"], ["x.png", "two"]])
        columns = [AddColumns("rows", ("status",))]
        seen = GoogleSheet(made, book)
        assert seen.read().rows.header == tuple(HEADER)
        seen.write(seen.read(), columns)
        google.book(book).move("Sheet1", 2)
        assert GoogleSheet(made, book).read().rows.header == (*HEADER, "status")
        two = GoogleSheet(made, book, google.book(book).state.tab("Two").id)
        two.write(two.read(), columns)
        with pytest.raises(
            SheetError, match=r"several tabs of .* hold sheetsync's columns \(Two, Sheet1\): open the tab"
        ):
            GoogleSheet(made, book).read()
        assert two.identity != GoogleSheet(made, book).identity != GoogleSheet(made, book, 0).identity


def test_a_tab_of_peoples_that_is_called_scores_is_told_before_anything_is_done(
    google: GoogleServer, tmp_path: Path
) -> None:
    with filled(google) as (book, made):
        google.book(book).add("scores", [["name", "points", "note"], ["Ada", 3]])
        before, trainer = google.book(book).state, QuickTrainer()
        with pytest.raises(SheetError, match=r"scores belong \(name, note, points\): .* name another tab"):
            a_pass(project(tmp_path), GoogleSheet(made, book), Web(GOOD), trainer).run()
        assert (google.book(book).state, trainer.trained) == (before, [])
        a_pass(project(tmp_path), GoogleSheet(made, book, scores="Runs"), Web(GOOD), trainer).run()
        assert GoogleSheet(made, book, scores="runs").read().scores.rows != ()
        assert google.book(book).tabs == ["Sheet1", "scores", "Runs"]


def test_only_what_was_written_in_this_very_row_is_taken_back() -> None:
    """An equal value in another row stays: people typed it, or a sort moved it there."""
    table = Table(("image", "", "review"), (("a", "iv"), ("b", "ii"), ("c", "iv"), ("d", "ii")))
    view = SpreadsheetState({0: Grid(0, "Rows", 9, 9, table)}, (NamedColumn("x", "sheetsync_rows_review", 0, 1),))
    wrote = {"sheetsync_rows_review": PendingWrite("review", {2: "iv", 3: "iv"})}
    assert list(misplaced_writes(view, wrote)) == [("sheetsync_rows_review", {2: ""})]
