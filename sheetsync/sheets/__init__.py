"""Where a sheet can live."""

from __future__ import annotations

import re
from pathlib import Path

from sheetsync.errors import SheetError
from sheetsync.sheets.base import Sheet
from sheetsync.sheets.csvfile import CsvSheet

__all__ = ["Sheet", "open_sheet"]

_SUFFIXES = (".csv", ".tsv", ".txt")
_GOOGLE = re.compile(r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]+)(?:.*?[#?&]gid=(\d+))?.*")


def open_sheet(
    address: str, base: Path, *, credentials: str = "credentials.json", scores: str = "scores", endpoint: str = ""
) -> Sheet:
    """The sheet at an address: a CSV file, by its path seen from `base`, or a Google Sheet. Nothing is read yet.

    For a Google Sheet: `credentials` is the path of a key file, `scores` the title of the tab for scores, `endpoint`
    another server that speaks the same protocol. Raises `SheetError`.
    """
    if google := _GOOGLE.fullmatch(address):
        gid = int(google[2]) if google[2] else None
        return _google(google[1], gid, base / credentials, scores, endpoint)
    if address.lower().startswith(("http://", "https://")):
        raise SheetError(
            f"{address} is no sheet: give the address of a Google Sheet (https://docs.google.com/spreadsheets/d/…), "
            "or the path of a CSV file"
        )
    if Path(address).suffix.lower() not in _SUFFIXES:
        raise SheetError(
            f"{address!r} is no sheet: give the path of a CSV file, with a name that ends in {', '.join(_SUFFIXES)}"
        )
    return CsvSheet(base / address)


def _google(spreadsheet: str, gid: int | None, key: Path, scores: str, endpoint: str) -> Sheet:
    from sheetsync.sheets.client import Client, Elsewhere
    from sheetsync.sheets.credentials import load_credentials
    from sheetsync.sheets.google import GoogleSheet

    client = Client(load_credentials(key))
    if endpoint:
        client.session.mount("https://", Elsewhere(endpoint))
    return GoogleSheet(client, spreadsheet, gid, scores)
