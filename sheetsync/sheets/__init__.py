"""Read and write a spreadsheet: a CSV file, a Google Sheet, or one in memory."""

from __future__ import annotations

from pathlib import Path

from sheetsync.common.state_folder import STATE, StateFolder
from sheetsync.errors import SheetError
from sheetsync.sheets.base import Sheet
from sheetsync.sheets.csv.sheet import CsvSheet
from sheetsync.sheets.google.address import GOOGLE_SHEET, spreadsheet_and_gid, trusted_endpoint

__all__ = ["Sheet", "open_sheet"]

_SUFFIXES = (".csv", ".tsv", ".txt")


def open_sheet(
    address: str, base: Path, *, credentials: str = "credentials.json", scores: str = "scores", endpoint: str = ""
) -> Sheet:
    """Open the sheet at an address: a CSV file, by its path relative to `base`, or a Google Sheet. No call is made.

    For a Google Sheet: `credentials` is the path of a key file, `scores` the title of the tab for scores, `endpoint`
    another server of the same API (see `trusted_endpoint`); the sign-in is kept in `base`. Raises `SheetError`.
    """
    if google := GOOGLE_SHEET.fullmatch(address):
        access = base / credentials, StateFolder(base / STATE).google_token
        return _google(*spreadsheet_and_gid(google), access, scores, endpoint)
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


def _google(spreadsheet: str, gid: int | None, access: tuple[Path, Path], scores: str, endpoint: str) -> Sheet:
    from sheetsync.auth.credentials import load_credentials
    from sheetsync.sheets.google.client import Client, EndpointAdapter
    from sheetsync.sheets.google.sheet import GoogleSheet

    endpoint = trusted_endpoint(endpoint)
    client = Client(load_credentials(*access))
    if endpoint:
        client.session.mount("https://", EndpointAdapter(endpoint))
    return GoogleSheet(client, spreadsheet, gid, scores)
