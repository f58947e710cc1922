"""Find the columns of a sheet by their headers."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sheetsync.common.text import quote_inline
from sheetsync.errors import SheetError
from sheetsync.rows.cells import has_piled_accents
from sheetsync.rows.schema import MACHINE_COLUMNS
from sheetsync.rows.table import Table

BLANK_CATEGORIES = ("Zs", "Zl", "Zp", "Cf")  # Unicode categories: blanks, and characters of no width


@dataclass(frozen=True, slots=True)
class ColumnHeaders:
    """The headers to look for. `image` may have several names: the first that is found is used.

    `machine` maps the columns that sheetsync fills (`schema.MACHINE_COLUMNS`) to their headers in this sheet.
    """

    image: tuple[str, ...] = ("image", "image_url", "url")
    label: str = "label"
    split: str = "split"
    tags: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=lambda: {name: name for name in MACHINE_COLUMNS})


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The index of each column in one reading, counted from 0; None or absent if the sheet has none."""

    image: int
    label: int
    split: int | None
    tags: Mapping[str, int]
    machine: Mapping[str, int]

    @property
    def width(self) -> int:
        """The number of cells that a row needs to have all columns of people."""
        return 1 + max(self.image, self.label, self.split or 0, *self.tags.values())


def find_columns(table: Table, columns: ColumnHeaders) -> ColumnLayout:
    """Find the columns by their headers, ignoring case and surrounding blanks.

    Raises `SheetError` for an empty sheet, a missing column, or a header that occurs twice.
    """
    positions: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(table.header):
        positions[_normalise(name)].append(position)
    image = next((found for name in columns.image if (found := _position(positions, name)) is not None), None)
    label = _position(positions, columns.label)
    tags = {tag: _position(positions, tag) for tag in columns.tags}
    _check_required(table, {" or ".join(columns.image): image, columns.label: label, **tags})
    assert image is not None  # noqa: S101  # just checked
    assert label is not None  # noqa: S101
    machine = {name: _position(positions, header) for name, header in columns.machine.items()}
    return ColumnLayout(image, label, _position(positions, columns.split), _present(tags), _present(machine))


def _normalise(name: str) -> str:
    stripped = name.strip()
    return (stripped if has_piled_accents(stripped) else unicodedata.normalize("NFC", stripped)).casefold()


def _position(positions: Mapping[str, list[int]], name: str) -> int | None:
    found = positions.get(_normalise(name), [])
    if len(found) > 1:
        letters = " and ".join(map(column_letter, found))
        raise SheetError(f"the header '{name}' occurs twice, in columns {letters}: rename one of them")
    return found[0] if found else None


def _check_required(table: Table, required: Mapping[str, int | None]) -> None:
    missing = [name for name, position in required.items() if position is None]
    if not any(cell.strip() for cell in table.header):
        raise SheetError(f"the sheet is empty: its first row must hold the headers {', '.join(required)}")
    if missing:
        found = ", ".join(quote_inline(cell.strip()) for cell in table.header if cell.strip())
        raise SheetError(
            f"no column is called {', nor '.join(missing)} (found: {found}): rename a header in row 1, "
            "or name yours under [columns] in sheetsync.toml"
        )


def _present(positions: Mapping[str, int | None]) -> dict[str, int]:
    return {name: position for name, position in positions.items() if position is not None}


def column_letter(column: int) -> str:
    """Return the letters that a spreadsheet shows for a column counted from 0.

    >>> column_letter(0), column_letter(25), column_letter(26)
    ('A', 'Z', 'AA')
    """
    letters = ""
    while column >= 0:
        column, rest = divmod(column, 26)
        letters = chr(ord("A") + rest) + letters
        column -= 1
    return letters


def is_blank_row(cells: Sequence[str], layout: ColumnLayout) -> bool:
    """True if people left this row empty; machine columns and checkboxes that nobody ticked do not count."""
    machine = set(layout.machine.values())
    return all(cell.strip() in ("", "FALSE") for column, cell in enumerate(cells) if column not in machine)
