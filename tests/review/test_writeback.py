"""The plan of which cells to write: never a human one, and none that is right already."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetsync.errors import SheetError
from sheetsync.review.verdicts import Verdict
from sheetsync.review.writeback import plan_row_changes
from sheetsync.rows.cells import image_key
from sheetsync.rows.header import ColumnHeaders
from sheetsync.rows.ownership import check_ownership, machine_headers, owned_headers
from sheetsync.rows.parse import parse_rows
from sheetsync.rows.schema import MACHINE_COLUMNS
from sheetsync.rows.table import AddColumns, Book, CellUpdate, Table, Value
from sheetsync.sheets.memory import MemorySheet
from tests.helpers.support import MACHINE, table

A, B = (f"http://pics.example/{name}.png" for name in "ab")
HEADER = ("image", "label", "split", *MACHINE)
RENAMED = ColumnHeaders(("bild",), "klasse", "teil", ("licht",), {name: f"m {name}" for name in MACHINE_COLUMNS})
PEOPLES = ["who", "who", "", "prediction (ours)"]
CELLS = ["", " ", A, B, f'=IMAGE("{A}")', "ftp://h/x", "i", "iv", "train", "skip", "0.5", "'ok", "ok", "=1+1", "x\ty"]


@st.composite
def sheets(draw: st.DrawFn) -> tuple[Table, ColumnHeaders]:
    """A sheet with columns in any order, under any names, some missing, and rows of any length."""
    columns = draw(st.sampled_from([ColumnHeaders(), RENAMED]))
    machine = draw(st.lists(st.sampled_from(MACHINE_COLUMNS), unique=True) | st.just(MACHINE_COLUMNS))
    split = draw(st.sampled_from([[columns.split], []]))
    ours = [columns.image[0], columns.label, *columns.tags, *split, *(columns.machine[name] for name in machine)]
    spelled = [draw(st.sampled_from([str.upper, str.title, " {} ".format]))(name) for name in ours]
    header = draw(st.permutations([*spelled, *PEOPLES]))
    rows = draw(st.lists(st.lists(st.sampled_from(CELLS), max_size=len(header) + 2), max_size=6))
    return table(*rows, header=header), columns


def machine_columns(sheet: Table, columns: ColumnHeaders) -> set[int]:
    names = {name.casefold() for name in columns.machine.values()}
    return {column for column, name in enumerate(sheet.header) if name.strip().casefold() in names}


def some_values(sheet: Table, columns: ColumnHeaders) -> Mapping[str, Verdict]:
    values: dict[str, Value] = {"status": "ok", "prediction": "=iv", "confidence": 0.1234, "review_rank": 3}
    return {row.key: Verdict(row.label, values) for row in parse_rows(sheet, columns).rows}


def ours(sheet: Table, columns: ColumnHeaders) -> set[str]:
    """Return the headers of a sheet that go by our names, as of columns that people never filled."""
    return machine_headers(sheet, columns)


@given(sheets())
def test_no_cell_is_addressed_outside_the_machines_columns_and_the_rows_there_are(
    case: tuple[Table, ColumnHeaders],
) -> None:
    sheet, columns = case
    for change in plan_row_changes(Book(sheet), columns, some_values(*case), ours(*case), local=False):
        if isinstance(change, CellUpdate):
            assert change.tab == "rows"
            assert change.column in machine_columns(sheet, columns)
            assert 2 <= change.row < len(sheet.rows) + 2
        else:
            assert isinstance(change, AddColumns)
            assert not set(change.names) & {sheet.header[column].strip().lower() for column in machine_columns(*case)}


@given(sheets())
def test_two_writes_are_enough_and_touch_nothing_of_peoples(case: tuple[Table, ColumnHeaders]) -> None:
    before, columns = case
    sheet, values = MemorySheet(before), some_values(*case)
    for _ in range(2):  # columns, then cells
        sheet.write(
            sheet.book(), plan_row_changes(sheet.book(), columns, values, ours(sheet.book().rows, columns), local=False)
        )
    after = sheet.book()
    assert plan_row_changes(after, columns, values, ours(after.rows, columns), local=False) == ()
    widest = max(map(len, (before.header, *before.rows)))
    for column in set(range(widest)) - machine_columns(*case):
        for number in range(1, len(before.rows) + 2):
            assert after.rows.cell(number, column) == before.cell(number, column)


def changed(*rows: tuple[str, ...], values: Mapping[str, Mapping[str, Value]]) -> list[tuple[int, str, Value]]:
    """Return row, machine column and value of each cell to be written."""
    verdicts = {key: Verdict("i", each) for key, each in values.items()}
    changes = plan_row_changes(Book(table(*rows, header=HEADER)), ColumnHeaders(), verdicts, (), local=False)
    return [(each.row, HEADER[each.column], each.value) for each in changes if isinstance(each, CellUpdate)]


def test_a_value_goes_to_every_row_of_its_image() -> None:
    values: Mapping[str, Mapping[str, Value]] = {image_key(A): {"prediction": "iv", "confidence": 0.5}}
    assert changed((A, "i"), ("",), (f'=IMAGE("{A}")', "i"), (B, "i"), values=values) == [
        (2, "prediction", "iv"),
        (2, "confidence", 0.5),
        (4, "prediction", "iv"),
        (4, "confidence", 0.5),
    ]


def test_what_stands_on_a_wrong_row_is_cleared() -> None:
    stale = (A, "i", "", "ok", "iv", "0.5")
    assert changed(stale, values={}) == [(2, "status", ""), (2, "prediction", ""), (2, "confidence", "")]
    assert changed(("", *stale[1:]), values={image_key(A): {"prediction": "iv"}}) == [
        (2, "status", "no image: put its URL here (a picture inserted into the cell has no URL to read)"),
        (2, "prediction", ""),
        (2, "confidence", ""),
    ]
    assert changed(("", "", "", "ok"), values={}) == [(2, "status", "")]


def test_a_row_with_a_problem_says_that_and_nothing_else() -> None:
    values: Mapping[str, Mapping[str, Value]] = {image_key(A): {"status": "ok", "prediction": "iv"}}
    problem = "this image has several labels: i, ii"
    assert changed((A, "i"), (A, "ii"), values=values) == [(2, "status", problem), (3, "status", problem)]


def test_a_warning_takes_the_place_of_ok_but_hides_no_failure() -> None:
    values: Mapping[str, Mapping[str, Value]] = {
        image_key(A): {"status": "ok", "prediction": "iv"},
        image_key(B): {"status": "no answer in time"},
    }
    assert changed((A, "i"), (B, "ii"), values=values) == [
        (2, "status", "only one image has the label “i”"),
        (2, "prediction", "iv"),
        (3, "status", "no answer in time"),
    ]


@pytest.mark.parametrize("cell", ["0.5", "0,5", "0.50", "5e-1", " 0.5 "])
def test_a_number_is_not_written_again_because_a_program_spelled_it_otherwise(cell: str) -> None:
    values: Mapping[str, Mapping[str, Value]] = {image_key(A): {"confidence": 0.5}}
    assert changed((A, "", "", "", "", cell), values=values) == []
    assert changed((A, "", "", "", "", "0.51"), values=values) == [(2, "confidence", 0.5)]


@pytest.mark.parametrize("cell", ["1" + ",000" * 2000, "1" * 6000, "9e999", "-nan", "٣,٠٠٠", "½"])
def test_whatever_stands_in_a_cell_of_ours_is_put_right(cell: str) -> None:
    values: Mapping[str, Mapping[str, Value]] = {image_key(A): {"review_rank": 1000, "confidence": 0.5}}
    row = (A, "i", *(cell if name in values[image_key(A)] else "" for name in HEADER[2:]))
    assert {(2, "confidence", 0.5), (2, "review_rank", 1000)} == {*changed(row, values=values)}


def test_missing_columns_come_first_and_alone_under_the_names_the_team_chose() -> None:
    sheet = table(("ftp://h/x", "i"), header=("bild", "klasse", "licht", "M STATUS"))
    assert plan_row_changes(Book(sheet), RENAMED, {}, (), local=False) == (
        AddColumns("rows", tuple(f"m {name}" for name in MACHINE_COLUMNS[1:])),
    )


# --- whose columns these are ----------------------------------------------------------------------


def test_a_column_that_people_filled_under_our_name_is_not_taken_over() -> None:
    sheet = table((A, "i", ""), (B, "i", "see Ada"), header=("image", "label", "Status "))
    with pytest.raises(SheetError) as caught:
        check_ownership(sheet, ColumnHeaders(), ())
    assert "column C is called 'Status ' and holds values that may not be sheetsync's" in str(caught.value)
    assert '[columns] status = "…"' in str(caught.value)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        (("image", "label", "status", "who"), (A, "i", " ", "Ada")),  # empty
        (("image", "label", "who", *MACHINE), (A, "i", "Ada", "ok", "iv")),  # ours from an earlier time
        (("image", "label"), (A, "i", "over the edge")),
    ],
)
def test_columns_that_nobody_filled_or_that_are_all_there_are_ours(header: tuple[str], cells: tuple[str]) -> None:
    check_ownership(table(cells, header=header), ColumnHeaders(), ())


def test_a_column_is_ours_by_its_name_and_another_one_is_not() -> None:
    cells = (A, "i", "Ada", *("x" for _ in MACHINE))
    sheet = table(cells, header=("image", "label", "who", *MACHINE))
    with pytest.raises(SheetError, match="called 'status'"):
        check_ownership(sheet, ColumnHeaders(), {"review", "prediction"})
    check_ownership(sheet, ColumnHeaders(), set(MACHINE))


@pytest.mark.parametrize(
    ("ours", "headers"), [(None, {"review"}), (frozenset(), set()), (frozenset({1, 3}), {"label", "status"})]
)
def test_a_sheet_that_can_tell_which_columns_are_ours_is_believed(
    ours: frozenset[int] | None, headers: set[str]
) -> None:
    assert owned_headers(Book(table(header=("image", "label", "split", " Status")), owned=ours), {"review"}) == headers


def test_a_column_that_is_taken_over_is_written_as_a_whole() -> None:
    """A write makes the column ours in the sheet, so it is written although its values are right already."""
    values: Mapping[str, Mapping[str, Value]] = {image_key(A): dict(zip(MACHINE, "abcdefg", strict=True))}
    verdicts = {key: Verdict("i", each) for key, each in values.items()}
    now, later = (
        Book(table((A, "i", "", *"abcdefg"), header=HEADER), owned=frozenset(each)) for each in ((), range(3, 10))
    )
    written = [
        [
            (each.column, each.value)
            for each in plan_row_changes(book, ColumnHeaders(), verdicts, owned_headers(book, ()), local=False)
        ]
        for book in (now, later)
    ]
    assert written == [list(enumerate("abcdefg", start=3)), []]


def test_what_was_said_of_a_label_does_not_stand_beside_another() -> None:
    verdicts = {image_key(A): Verdict("i", {"prediction": "iv", "label_quality": 0.9, "review": "x", "review_rank": 1})}
    now = (Book(table((A, label), header=HEADER)) for label in ("i", "ii"))
    columns = [
        [HEADER[each.column] for each in plan_row_changes(book, ColumnHeaders(), verdicts, (), local=False)]
        for book in now
    ]
    assert columns == [["prediction", "label_quality", "review", "review_rank"], ["prediction"]]
