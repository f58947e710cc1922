"""The contract of every kind of sheet. A new kind is one subclass of `SheetContract` at the end of this file."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.table import AddColumns, AddRow, Book, Calls, CellUpdate, Change, Tab, Table, Value, shows_value
from sheetsync.sheets import Sheet, open_sheet
from sheetsync.sheets.csv.sheet import CsvSheet
from sheetsync.sheets.memory import MemorySheet

EMPTY = Table()
PEOPLE = Table(
    ("image", "label", "note"),
    (("a.png", "iv", "blurred"), ("b.png", "v"), ("c.png", "", "", "beside"), (), ("d.png", "x", "last")),
)
SCORES = Table(("when", "note"), (("monday", "first try"),))
TRICKY = (
    "0042", "TRUE", "1e5", "2020-01-01", "007.50", "1,5", "1;5", "  x ", "a,b;c\td", 'say "iv"', '"', '"iv"', "'iv",
    "two\nlines", "two\r\nlines", "old\rmac", "\n", "é 漢字 👩‍🔬", "\u2028", "null", "-5", "",
)  # fmt: skip
FORMULAS = ("=1+1", '=IMAGE("http://x/y.png")', "+49 123", "-x", "@SUM(A1)", "\t=1", "\r=1", "-", "=")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
cells = texts | st.sampled_from(TRICKY + FORMULAS)
values = cells | st.integers(-99, 10**6) | st.floats(-1e6, 1e6).map(lambda number: round(number, 4))
headers = st.lists(st.sampled_from(["image", "label", "note", "lighting", "über", "size"]), min_size=2, max_size=4)
tables = st.builds(
    lambda header, rows: Table(tuple(header), tuple(map(tuple, rows))),
    headers,
    st.lists(st.lists(cells.filter(lambda cell: "\r" not in cell), max_size=5), max_size=4),
)
places = st.tuples(st.integers(2, 7), st.integers(0, 6))

# The contract's tests are inherited, so each runs on several classes; Hypothesis warns of that.
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


def grid(table: Table) -> list[list[str]]:
    return [list(table.header), *map(list, table.rows)]


def assert_shows(table: Table, expected: Sequence[Sequence[Value]], written: set[tuple[int, int]]) -> None:
    """Check every cell: exactly, or, if a program wrote it, as a spreadsheet shows it."""
    width = 2 + max(map(len, [*grid(table), *expected]), default=0)
    for row in range(1, 3 + max(len(table.rows) + 1, len(expected))):
        for column in range(width):
            line = expected[row - 1] if row <= len(expected) else ()
            wanted = line[column] if column < len(line) else ""
            cell = table.cell(row, column)
            assert shows_value(cell, wanted) if (row, column) in written else cell == wanted, (
                row,
                column,
                cell,
                wanted,
            )


class SheetContract:
    """The laws. A subclass says how such a sheet is made, and how a person edits it meanwhile."""

    @contextmanager
    def make(self, rows: Table, scores: Table = EMPTY) -> Iterator[Sheet]:
        raise NotImplementedError

    def edit(self, sheet: Sheet, row: int, column: int, value: str, tab: Tab = "rows") -> None:
        raise NotImplementedError

    def after(self, rows: Table, *changes: Change, scores: Table = EMPTY) -> Book:
        with self.make(rows, scores) as sheet:
            sheet.write(sheet.read(), changes)
            return sheet.read()

    # --- reading ---

    def test_what_is_in_the_sheet_is_read(self) -> None:
        with self.make(PEOPLE, SCORES) as sheet:
            assert_shows(sheet.read().rows, grid(PEOPLE), set())
            assert_shows(sheet.read().scores, grid(SCORES), set())

    @few
    @given(tables)
    def test_any_table_is_read_to_the_letter(self, table: Table) -> None:
        with self.make(table) as sheet:
            assert_shows(sheet.read().rows, grid(table), set())

    def test_row_numbers_are_those_of_the_spreadsheet_blank_rows_included(self) -> None:
        with self.make(PEOPLE) as sheet:
            assert [sheet.read().rows.cell(number, 0) for number in (1, 2, 5, 6)] == ["image", "a.png", "", "d.png"]

    @pytest.mark.parametrize("label", [cell for cell in TRICKY + FORMULAS if "\r" not in cell])
    def test_a_label_that_people_typed_is_read_as_it_stands(self, label: str) -> None:
        with self.make(Table(("image", "label"), (("a.png", label),))) as sheet:
            assert sheet.read().rows.cell(2, 1) == label

    def test_an_empty_sheet_reads_as_empty_tables(self) -> None:
        with self.make(EMPTY) as sheet:
            book = sheet.read()
        assert (book.rows, book.scores) == (EMPTY, EMPTY)

    def test_a_missing_scores_tab_reads_as_an_empty_table(self) -> None:
        with self.make(PEOPLE) as sheet:
            assert sheet.read().scores == EMPTY

    def test_reading_twice_gives_the_same(self) -> None:
        with self.make(PEOPLE, SCORES) as sheet:
            assert sheet.read() == sheet.read()

    # --- writing ---

    @few
    @given(tables, st.dictionaries(places, values, max_size=5))
    def test_what_is_written_is_read_back_and_nothing_else_changes(
        self, table: Table, updates: dict[tuple[int, int], Value]
    ) -> None:
        book = self.after(table, *(CellUpdate("rows", *place, value) for place, value in updates.items()))
        expected: list[list[Value]] = [list(row) for row in grid(table)]
        for (row, column), value in updates.items():
            expected += [[] for _ in range(row - len(expected))]
            expected[row - 1] += [""] * (column + 1 - len(expected[row - 1]))
            expected[row - 1][column] = value
        assert_shows(book.rows, expected, set(updates))
        assert book.scores == EMPTY

    @pytest.mark.parametrize("label", TRICKY + FORMULAS)
    def test_text_survives_being_written(self, label: str) -> None:
        table = self.after(PEOPLE, CellUpdate("rows", 3, 1, label)).rows
        assert shows_value(table.cell(3, 1), label)
        assert (table.cell(3, 0), table.cell(4, 0), table.cell(2, 1)) == ("b.png", "c.png", "iv")

    @pytest.mark.parametrize("label", FORMULAS)
    def test_text_is_never_a_formula(self, label: str) -> None:
        change, row = CellUpdate("rows", 2, 1, label), AddRow("rows", (label,))
        table = self.after(PEOPLE, change, row, AddColumns("rows", (label,))).rows
        assert [table.cell(2, 1), table.cell(7, 0), table.cell(1, 4)] == [f"'{label}"] * 3

    @pytest.mark.parametrize("label", ["-5", "+1", "-0,5", "-1.5e-7"])
    def test_text_that_is_a_plain_number_needs_no_apostrophe(self, label: str) -> None:
        assert self.after(PEOPLE, CellUpdate("rows", 2, 1, label)).rows.cell(2, 1) == label

    @pytest.mark.parametrize("number", [0, 7, -3, 0.5, -0.25, 0.1 + 0.2, 1e-7, 123456.5])
    def test_a_number_is_read_back_as_that_number(self, number: float) -> None:
        cell = self.after(PEOPLE, CellUpdate("rows", 2, 1, number)).rows.cell(2, 1)
        assert shows_value(cell, number)
        assert not cell.startswith("'")

    def test_a_formula_of_people_stays_one(self) -> None:
        formula = '=IMAGE("http://x/y.png")'
        book = self.after(Table(("image", "label"), ((formula, "iv"),)), CellUpdate("rows", 2, 1, "v"))
        assert book.rows.cell(2, 0) == formula

    def test_a_short_row_is_filled_up_to_the_cell_written(self) -> None:
        assert self.after(PEOPLE, CellUpdate("rows", 5, 2, "here")).rows.rows[3] == ("", "", "here")

    def test_a_cell_can_be_emptied(self) -> None:
        assert_shows(
            self.after(Table(("a", "b"), (("x", "y"), ("z",))), CellUpdate("rows", 2, 0, "")).rows,
            [["a", "b"], ["", "y"], ["z"]],
            set(),
        )

    @few
    @given(tables, st.lists(cells.filter(bool), min_size=1, max_size=3))
    def test_new_columns_stand_right_of_every_cell(self, table: Table, names: list[str]) -> None:
        book = self.after(table, AddColumns("rows", tuple(names)))
        width = max(map(len, grid(table)))
        header = [*table.header, *[""] * (width - len(table.header)), *names]
        written = {(1, column) for column in range(width, width + len(names))}
        assert_shows(book.rows, [header, *map(list, table.rows)], written)

    def test_new_columns_and_their_cells_go_in_one_write(self) -> None:
        columns = AddColumns("rows", ("status", "confidence"))
        table = self.after(PEOPLE, columns, CellUpdate("rows", 2, 5, 0.5), CellUpdate("rows", 4, 4, "ok")).rows
        assert table.header == ("image", "label", "note", "", "status", "confidence")
        assert shows_value(table.cell(2, 5), 0.5)
        assert table.rows[2] == ("c.png", "", "", "beside", "ok")

    @few
    @given(tables, st.lists(values, min_size=1, max_size=4))
    def test_a_new_row_stands_below_all_rows(self, table: Table, row: list[Value]) -> None:
        number = len(table.rows) + 2
        book = self.after(table, AddRow("rows", tuple(row)))
        assert_shows(book.rows, [*grid(table), row], {(number, column) for column in range(len(row))})

    def test_the_scores_tab_is_made_when_it_is_first_written(self) -> None:
        book = self.after(PEOPLE, AddColumns("scores", ("when", "note")), AddRow("scores", ("monday", "")))
        assert_shows(book.scores, [["when", "note"], ["monday"]], set())
        assert_shows(book.rows, grid(PEOPLE), set())

    def test_both_tabs_go_in_one_write_and_do_not_mix(self) -> None:
        changes = (CellUpdate("rows", 2, 1, "vi"), CellUpdate("scores", 2, 0, "tuesday"), AddRow("scores", ("today",)))
        book = self.after(PEOPLE, *changes, scores=SCORES)
        people = grid(PEOPLE)
        people[1][1] = "vi"
        assert_shows(book.rows, people, set())
        assert_shows(book.scores, [["when", "note"], ["tuesday", "first try"], ["today"]], set())

    def test_an_empty_sheet_can_be_filled(self) -> None:
        book = self.after(EMPTY, AddColumns("rows", ("image", "label")), AddRow("rows", ("a.png", "iv")))
        assert_shows(book.rows, [["image", "label"], ["a.png", "iv"]], set())

    # --- calls and changes ---

    def test_calls_are_counted(self) -> None:
        with self.make(PEOPLE) as sheet:
            assert sheet.calls == Calls(0, 0)
            sheet.write(sheet.read(), [CellUpdate("rows", 2, 1, "v"), AddRow("scores", ("x",))])
            assert sheet.calls == Calls(1, 1)

    def test_a_write_without_changes_is_no_call(self) -> None:
        with self.make(PEOPLE) as sheet:
            book = sheet.read()
            self.edit(sheet, 1, 1, "class")
            sheet.write(book, [])
            assert sheet.calls == Calls(1, 0)

    @pytest.mark.parametrize("tab", ["rows", "scores"])
    def test_nothing_is_written_below_a_header_that_changed(self, tab: Tab) -> None:
        with self.make(PEOPLE, SCORES) as sheet:
            book = sheet.read()
            self.edit(sheet, 1, 1, "class", tab)
            seen = sheet.read()
            with pytest.raises(SheetChanged):
                sheet.write(book, [CellUpdate("rows", 2, 0, "v"), CellUpdate("scores", 2, 0, "v")])
            assert sheet.read() == seen

    def test_what_people_do_after_the_reading_stays(self) -> None:
        with self.make(PEOPLE) as sheet:
            sheet.read()
            self.edit(sheet, 3, 2, "sharp")
            sheet.write(sheet.read(), [CellUpdate("rows", 3, 1, "v")])
            assert sheet.read().rows.rows[1] == ("b.png", "v", "sharp")


class CheckingContract(SheetContract):
    """More laws, for sheets that notice every change since a reading."""

    @pytest.mark.parametrize(("tab", "row"), [("rows", 3), ("scores", 2)])
    def test_nothing_is_written_to_a_sheet_that_changed(self, tab: Tab, row: int) -> None:
        with self.make(PEOPLE, SCORES) as sheet:
            book = sheet.read()
            self.edit(sheet, row, 1, "changed", tab)
            seen = sheet.read()
            with pytest.raises(SheetChanged):
                sheet.write(book, [CellUpdate("rows", 2, 0, "v"), CellUpdate("scores", 2, 0, "v")])
            assert sheet.read() == seen

    def test_a_reading_is_good_for_one_write(self) -> None:
        with self.make(PEOPLE) as sheet:
            book = sheet.read()
            sheet.write(book, [CellUpdate("rows", 2, 1, "v")])
            with pytest.raises(SheetChanged):
                sheet.write(book, [CellUpdate("rows", 2, 1, "vi")])


class TestMemory(CheckingContract):
    checks = True

    @contextmanager
    def make(self, rows: Table, scores: Table = EMPTY) -> Iterator[Sheet]:
        yield MemorySheet(rows, scores, checks=self.checks)

    def edit(self, sheet: Sheet, row: int, column: int, value: str, tab: Tab = "rows") -> None:
        assert isinstance(sheet, MemorySheet)
        book = sheet.book()
        sheet.edit(row, (book.rows if tab == "rows" else book.scores).header[column], value, tab)


class TestMemoryWithoutChecks(SheetContract):
    make = TestMemory.make
    edit = TestMemory.edit
    checks = False


class TestCsv(CheckingContract):
    """Comma, line feed, no BOM, quotes only where needed."""

    delimiter, line_end, bom = ",", "\n", ""
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL

    @contextmanager
    def make(self, rows: Table, scores: Table = EMPTY) -> Iterator[Sheet]:
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder, "labels.csv"), grid(rows) if rows != EMPTY else [])
            if scores != EMPTY:
                self.save(Path(folder, "labels.scores.csv"), grid(scores))
            yield CsvSheet(Path(folder, "labels.csv"))

    def edit(self, sheet: Sheet, row: int, column: int, value: str, tab: Tab = "rows") -> None:
        path = Path(sheet.name) if tab == "rows" else Path(sheet.name).with_name("labels.scores.csv")
        content = path.read_bytes().decode().removeprefix(self.bom)
        lines = list(csv.reader(io.StringIO(content, newline=""), delimiter=self.delimiter))
        lines[row - 1] += [""] * (column + 1 - len(lines[row - 1]))
        lines[row - 1][column] = value
        self.save(path, lines)

    def save(self, path: Path, lines: Sequence[Sequence[str]]) -> None:
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=self.delimiter, lineterminator=self.line_end, quoting=self.quoting).writerows(lines)
        path.write_bytes((self.bom + file.getvalue()).encode())


class TestCsvOfASpreadsheetProgram(TestCsv):
    """Semicolon, BOM, carriage return and line feed, everything in quotes: a German Excel, or worse."""

    delimiter, line_end, bom = ";", "\r\n", "\ufeff"
    quoting = csv.QUOTE_ALL


# --- where a sheet lives ---


@pytest.mark.parametrize("name", ["labels.csv", "LABELS.CSV", "deep/labels.tsv", "labels.txt"])
def test_a_path_is_seen_from_the_project(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("image\tlabel\n")
    sheet = open_sheet(name, tmp_path)
    assert sheet.name == str(tmp_path / name)
    assert sheet.read().rows.header == ("image", "label")
    assert open_sheet(str(tmp_path / name), Path("elsewhere")).name == sheet.name


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("https://docs.google.com/spreadsheets/d/x/edit", "there is no key file"),
        ("HTTP://example.org/labels.csv", "give the address of a Google Sheet"),
        ("labels.xlsx", r"\.csv, \.tsv, \.txt"),
        ("", r"\.csv"),
        ("folder", r"\.csv"),
    ],
)
def test_an_address_that_is_no_sheet_is_refused_with_a_hint(address: str, hint: str) -> None:
    with pytest.raises(SheetError, match=hint):
        open_sheet(address, Path())
