"""The `Sheet` protocol, through which the rest of sheetsync reads and writes any spreadsheet, and its `Formatter`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sheetsync.rows.header import ColumnHeaders
from sheetsync.rows.table import Book, Calls, Change


class Formatter(Protocol):
    """Adds formatting for the people in a sheet (notes, colours, filter views, a drop-down), and removes it."""

    def add(self, labels: Sequence[str], *, with_preview: bool = False) -> list[str]:
        """Add what is missing, with `with_preview` a column of pictures too; return what in the sheet is sheetsync's.

        `labels` are those of the drop-down. Raises `SheetError`.
        """

    def remove(self) -> list[str]:
        """Remove what `add` made; return what was removed and what was kept, and why. Raises `SheetError`."""

    def update_dropdown(self, labels: Sequence[str]) -> None:
        """Update the drop-down of a formatted sheet that was read before. Raises `SheetError`."""


class Sheet(Protocol):
    """A spreadsheet with a tab of rows and a tab of scores.

    A sheet carries changes out and decides nothing: which cells to write is planned from a reading, and
    the writer reads again afterwards to see whether the rows have moved (`sheets.write`).
    """

    @property
    def name(self) -> str:
        """The name that people know it by: a file path or an address."""

    @property
    def identity(self) -> str:
        """The key that it is remembered by. Two tabs of rows in one spreadsheet have two."""

    @property
    def calls(self) -> Calls:
        """How often it was read and written so far."""

    def read(self) -> Book:
        """Read both tabs. A formula is returned as its text. A missing scores tab is an empty table.

        Raises `SheetError` when the sheet is missing or cannot be read.
        """

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out, all or none, leaving every other cell as it is, to the byte where it has bytes.

        Text is stored as text, never as a formula. Raises `SheetChanged`, having written nothing, when
        the sheet can tell that it is no longer the one that `book` was read from.
        """

    def formatter(self, columns: ColumnHeaders, memory: Path) -> Formatter | None:
        """Return the formatter of this sheet, or None for a sheet that holds cells only, such as a CSV file.

        `memory` is a file in which the formatter remembers from pass to pass which labels the drop-down had last.
        """
