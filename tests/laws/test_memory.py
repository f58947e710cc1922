"""The sheet for tests does what people and networks do to a real one."""

from __future__ import annotations

import pytest

from sheetsync.errors import SheetChanged
from sheetsync.rows.table import AddColumns, Calls, CellUpdate, Table
from sheetsync.sheets.memory import MemorySheet

ROWS = Table(("image", "label"), (("b.png", "v"), ("a.png", "iv"), ("c.png",)))


def column(sheet: MemorySheet, index: int) -> list[str]:
    return [sheet.book().rows.cell(number, index) for number in range(1, len(sheet.book().rows.rows) + 2)]


def online() -> MemorySheet:
    return MemorySheet(ROWS, checks=False)


def test_people_edit_insert_append_delete_and_sort_rows() -> None:
    sheet = MemorySheet(ROWS)
    sheet.edit(4, "label", "x")
    sheet.insert(2, ("new.png", "i"))
    sheet.append(("last.png",))
    assert column(sheet, 0) == ["image", "new.png", "b.png", "a.png", "c.png", "last.png"]
    assert column(sheet, 1) == ["label", "i", "v", "iv", "x", ""]
    sheet.delete(3)
    sheet.sort("image")
    assert column(sheet, 0) == ["image", "a.png", "c.png", "last.png", "new.png"]
    sheet.sort("label", reverse=True)
    assert column(sheet, 1) == ["label", "x", "iv", "i", ""]
    assert sheet.calls == Calls(0, 0)


def test_people_rename_and_move_columns_with_their_cells() -> None:
    sheet = MemorySheet(ROWS)
    sheet.rename("label", "class")
    sheet.move_column("class", 0)
    assert sheet.book().rows == Table(("class", "image"), (("v", "b.png"), ("iv", "a.png"), ("", "c.png")))


def test_people_write_notes_on_the_scores() -> None:
    sheet = MemorySheet(ROWS, Table(("when", "note"), (("monday",),)))
    sheet.edit(2, "note", "good", "scores")
    assert sheet.book().scores.rows == (("monday", "good"),)


def test_without_checks_a_write_hits_whatever_row_stands_there_by_now() -> None:
    sheet = online()
    book = sheet.read()
    sheet.sort("image")
    sheet.write(book, [CellUpdate("rows", 2, 1, "meant for b")])
    assert sheet.book().rows.rows[0] == ("a.png", "meant for b")


def test_without_checks_a_write_may_go_past_the_end() -> None:
    sheet = online()
    book = sheet.read()
    sheet.delete(2)
    sheet.delete(2)
    sheet.write(book, [CellUpdate("rows", 4, 1, "late")])
    assert sheet.book().rows.rows == (("c.png",), (), ("", "late"))


def test_without_checks_a_moved_column_is_noticed() -> None:
    sheet = online()
    book = sheet.read()
    sheet.move_column("label", 0)
    seen = sheet.book()
    with pytest.raises(SheetChanged):
        sheet.write(book, [CellUpdate("rows", 2, 1, "v")])
    assert sheet.book() == seen


def test_without_checks_the_header_of_a_tab_that_is_not_written_may_change() -> None:
    sheet = online()
    book = sheet.read()
    sheet.rename("label", "class")
    sheet.write(book, [AddColumns("scores", ("when",))])
    assert sheet.book().scores.header == ("when",)


def test_somebody_may_act_before_every_call() -> None:
    heard: list[str] = []

    def editor(sheet: MemorySheet, call: str) -> None:
        heard.append(call)
        sheet.append((f"{len(heard)}.png",))

    sheet = online()
    sheet.before = editor
    book = sheet.read()
    sheet.write(book, [CellUpdate("rows", 2, 1, "x")])
    sheet.write(book, [])
    assert heard == ["read", "write"]
    assert book.rows.rows[-1] == ("1.png",)
    assert sheet.book().rows.rows[-1] == ("2.png",)


def test_an_edit_just_before_a_checked_write_is_noticed() -> None:
    sheet = MemorySheet(ROWS)
    book = sheet.read()
    sheet.before = lambda sheet, call: sheet.edit(2, "label", "vi")
    with pytest.raises(SheetChanged):
        sheet.write(book, [CellUpdate("rows", 2, 1, "x")])
    assert sheet.book().rows.cell(2, 1) == "vi"


def test_a_call_fails_on_request_and_changes_nothing() -> None:
    sheet = online()
    book = sheet.read()
    sheet.fail(TimeoutError())
    with pytest.raises(TimeoutError):
        sheet.write(book, [CellUpdate("rows", 2, 1, "x")])
    assert sheet.book() == book
    sheet.write(book, [CellUpdate("rows", 2, 1, "x")])
    assert sheet.calls == Calls(1, 2)


def test_an_answer_may_be_lost_after_the_write_has_taken_effect() -> None:
    sheet = online()
    book = sheet.read()
    sheet.fail(TimeoutError(), after=True)
    with pytest.raises(TimeoutError):
        sheet.write(book, [CellUpdate("rows", 2, 1, "x")])
    assert sheet.book().rows.cell(2, 1) == "x"


def test_several_calls_fail_in_the_order_asked() -> None:
    sheet = online()
    sheet.fail(TimeoutError())
    sheet.fail(ConnectionResetError())
    with pytest.raises(TimeoutError):
        sheet.read()
    with pytest.raises(ConnectionResetError):
        sheet.read()
    assert sheet.read().rows == ROWS
