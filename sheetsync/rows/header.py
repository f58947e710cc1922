"""The header of a sheet: which column holds what."""

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

BLANK_CATEGORIES = ("Zs", "Zl", "Zp", "Cf")  # Unicode categories: blanks, and what has no width at all


@dataclass(frozen=True, slots=True)
class ColumnHeaders:
    """The headers to look for. `image` may have several names, the first found counts.

    `machine` maps the columns sheetsync fills (`records.MACHINE_COLUMNS`) to what they are called here.
    """

    image: tuple[str, ...] = ("image", "image_url", "url")
    label: str = "label"
    split: str = "split"
    tags: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=lambda: {name: name for name in MACHINE_COLUMNS})


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """Where the columns stand in one reading, counted from 0; None or absent where there is none."""

    image: int
    label: int
    split: int | None
    tags: Mapping[str, int]
    machine: Mapping[str, int]

    @property
    def width(self) -> int:
        """As many cells as a row needs for all of them."""
        return 1 + max(self.image, self.label, self.split or 0, *self.tags.values())


def find_columns(table: Table, columns: ColumnHeaders) -> ColumnLayout:
    """Find the columns by their headers, ignoring case and surrounding blanks.

    Raises `SheetError` for an empty sheet, a missing column, or one of ours that occurs twice.
    """
    places = _positions_by_name(table.header)
    image = next((place for name in columns.image if (place := _position(places, name)) is not None), None)
    label = _position(places, columns.label)
    tags = {tag: _position(places, tag) for tag in columns.tags}
    _require(table, {" or ".join(columns.image): image, columns.label: label, **tags})
    assert image is not None  # noqa: S101  # just required
    assert label is not None  # noqa: S101
    machine = {name: _position(places, header) for name, header in columns.machine.items()}
    return ColumnLayout(image, label, _position(places, columns.split), _found(tags), _found(machine))


def _positions_by_name(header: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(header):
        places[_normalised(name)].append(place)
    return places


def _normalised(name: str) -> str:
    plain = name.strip()
    return (plain if has_piled_accents(plain) else unicodedata.normalize("NFC", plain)).casefold()


def _position(places: Mapping[str, list[int]], name: str) -> int | None:
    found = places.get(_normalised(name), [])
    if len(found) > 1:
        where = " and ".join(column_letter(place) for place in found)
        raise SheetError(f"the header '{name}' occurs twice, in columns {where}: rename one of them")
    return found[0] if found else None


def _require(table: Table, wanted: Mapping[str, int | None]) -> None:
    missing = [name for name, place in wanted.items() if place is None]
    if not any(cell.strip() for cell in table.header):
        raise SheetError(f"the sheet is empty: its first row must hold the headers {', '.join(wanted)}")
    if missing:
        found = ", ".join(quote_inline(cell.strip()) for cell in table.header if cell.strip())
        raise SheetError(
            f"no column is called {', nor '.join(missing)} (found: {found}): rename a header in row 1, "
            "or name yours under [columns] in sheetsync.toml"
        )


def _found(places: Mapping[str, int | None]) -> dict[str, int]:
    return {name: place for name, place in places.items() if place is not None}


def column_letter(column: int) -> str:
    """The letters a spreadsheet shows for a column counted from 0.

    >>> column_letter(0), column_letter(25), column_letter(26)
    ('A', 'Z', 'AA')
    """
    letters = ""
    while column >= 0:
        column, rest = divmod(column, 26)
        letters = chr(ord("A") + rest) + letters
        column -= 1
    return letters


def is_blank_row(cells: Sequence[str], where: ColumnLayout) -> bool:
    """Whether people left this row empty; what the machine wrote and boxes nobody ticked do not count."""
    machine = set(where.machine.values())
    return all(cell.strip() in ("", "FALSE") for place, cell in enumerate(cells) if place not in machine)
