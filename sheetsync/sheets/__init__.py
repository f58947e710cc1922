"""Where a sheet can live."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sheetsync.errors import SheetError
from sheetsync.sheets.base import Sheet
from sheetsync.sheets.csvfile import CsvSheet

if TYPE_CHECKING:
    from sheetsync.rows import Columns
    from sheetsync.sheets.dresser import Dresser
    from sheetsync.sheets.probe import Probe
    from sheetsync.sheets.robot import DriveRobot

__all__ = ["SIGN_IN", "Sheet", "open_probe", "open_sheet", "same_sheet"]

SIGN_IN = ".sheetsync/google-token.json"  # who signed in to Google, seen from the project's folder
_SUFFIXES = (".csv", ".tsv", ".txt")
_GOOGLE = re.compile(r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]+)(?:.*?[#?&]gid=(\d+))?.*")

_ENDPOINT = re.compile(r"(https?)://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(?::\d+)?(?:/[\w./~-]*)?", re.ASCII | re.IGNORECASE)
HOST = "SHEETSYNC_ENDPOINT_HOST"


def open_sheet(
    address: str, base: Path, *, credentials: str = "credentials.json", scores: str = "scores", endpoint: str = ""
) -> Sheet:
    """The sheet at an address: a CSV file, by its path seen from `base`, or a Google Sheet. Nothing is read yet.

    For a Google Sheet: `credentials` is the path of a key file, `scores` the title of the tab for scores, `endpoint`
    another server that speaks the same protocol (see `_trusted`); who signed in is kept in `base`. Raises `SheetError`.
    """
    if google := _GOOGLE.fullmatch(address):
        access = base / credentials, base / SIGN_IN
        return _google(*_place(google), access, scores, endpoint)
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


def drive_access(address: str, base: Path, *, credentials: str, endpoint: str) -> tuple[DriveRobot | None, str]:
    """Who may see images in Google Drive, None unless the sheet is Google's; and the endpoint. Raises `SheetError`."""
    if not _GOOGLE.fullmatch(address):
        return None, _trusted(endpoint)
    from sheetsync.sheets.robot import DriveRobot

    return DriveRobot(base / credentials, base / SIGN_IN), _trusted(endpoint)


def _google(spreadsheet: str, gid: int | None, access: tuple[Path, Path], scores: str, endpoint: str) -> Sheet:
    from sheetsync.sheets.client import Client, Elsewhere
    from sheetsync.sheets.credentials import load_credentials
    from sheetsync.sheets.google import GoogleSheet

    endpoint = _trusted(endpoint)
    client = Client(load_credentials(*access))
    if endpoint:
        client.session.mount("https://", Elsewhere(endpoint))
    return GoogleSheet(client, spreadsheet, gid, scores)


def same_sheet(one: str, other: str) -> bool:
    """Whether two addresses lead to the same tab of a Google Sheet, or are the same."""
    first, second = _GOOGLE.fullmatch(one), _GOOGLE.fullmatch(other)
    return one == other or bool(first and second and _place(first) == _place(second))


def _place(google: re.Match[str]) -> tuple[str, int | None]:
    return google[1], int(google[2]) if google[2] else None


def _trusted(endpoint: str) -> str:
    """An endpoint that may get access tokens: on this machine, or over https the host that `HOST` names.

    sheetsync.toml comes from others, and the credentials are those of whoever runs it. Raises `SheetError`.
    """
    found = _ENDPOINT.fullmatch(endpoint)
    scheme, host = (found[1].lower(), found[2].lower().strip("[]")) if found else ("", "")
    if not endpoint or _is_loopback(host) or (scheme == "https" and host == os.environ.get(HOST, "").lower()):
        return endpoint
    raise SheetError(
        f"[google] endpoint = {endpoint!r} in sheetsync.toml would get your access to Google: take it out; only a "
        f"server on this machine (http://127.0.0.1:…) may stand there, or one with https:// whose host the environment "
        f"variable {HOST} names"
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def dresser_of(sheet: Sheet, columns: Columns, state: Path) -> Dresser | None:
    """What dresses a Google Sheet for the people in it; None for a sheet that cannot be dressed."""
    if isinstance(sheet, CsvSheet):  # and spare it what follows
        return None
    from sheetsync.sheets.dresser import Dresser
    from sheetsync.sheets.google import GoogleSheet

    if not isinstance(sheet, GoogleSheet):
        return None
    name = hashlib.sha256(sheet.identity.encode()).hexdigest()[:16]
    return Dresser(sheet, columns, state / "offered" / f"{name}.txt")


def open_probe(
    address: str,
    base: Path,
    *,
    patience: float,
    credentials: str = "credentials.json",
    scores: str = "scores",
    endpoint: str = "",
) -> Probe | None:
    """What asks the way to a Google Sheet step by step, each within `patience` seconds; None for any other address."""
    google = _GOOGLE.fullmatch(address)
    if google is None:
        return None
    from sheetsync.sheets.credentials import load_credentials
    from sheetsync.sheets.probe import Place, Probe

    place = Place(*_place(google), scores, _trusted(endpoint))
    key = base / credentials
    return Probe(place, key, lambda: load_credentials(key, base / SIGN_IN), patience)
