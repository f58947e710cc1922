"""Where a sheet can live."""

from __future__ import annotations

from pathlib import Path

from sheetsync.errors import SheetError
from sheetsync.sheets.base import Sheet
from sheetsync.sheets.csvfile import CsvSheet

__all__ = ["Sheet", "open_sheet"]

_SUFFIXES = (".csv", ".tsv", ".txt")


def open_sheet(address: str, base: Path) -> Sheet:
    """The sheet at an address: a CSV file, by its path seen from `base`. Nothing is read yet."""
    if address.lower().startswith(("http://", "https://")):
        raise SheetError(
            f"{address}: Google Sheets are not supported in this version yet; "
            "download the sheet as CSV and give the path of that file"
        )
    if Path(address).suffix.lower() not in _SUFFIXES:
        raise SheetError(
            f"{address!r} is no sheet: give the path of a CSV file, with a name that ends in {', '.join(_SUFFIXES)}"
        )
    return CsvSheet(base / address)
