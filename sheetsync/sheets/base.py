"""What every sheet can do, and the only words in which the rest of sheetsync speaks to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sheetsync.rows.table import Book, Calls, Change


class Sheet(Protocol):
    """A spreadsheet with a tab of rows and a tab of scores.

    A sheet carries changes out and decides nothing: which cells to write is planned from a reading, and
    who writes reads again afterwards to see whether the rows stood still (`writeback.py`).
    """

    @property
    def name(self) -> str:
        """What people call it: a file path or an address."""

    @property
    def identity(self) -> str:
        """What it is remembered by. Two tabs of rows in one spreadsheet have two."""

    @property
    def calls(self) -> Calls:
        """How often it was read and written so far."""

    def read(self) -> Book:
        """Both tabs as they are now. A formula is given as its text. A missing scores tab is an empty table.

        Raises `SheetError` when the sheet is missing or cannot be read.
        """

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out, all or none, leaving every other cell as it is, to the byte where it has bytes.

        Text is stored as text, never as a formula. Raises `SheetChanged`, having written nothing, when
        the sheet can tell that it is no longer the one that `book` was read from.
        """
