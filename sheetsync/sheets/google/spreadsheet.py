"""The three API calls to one spreadsheet, and Google's errors (400, 401, 403, 404) explained to the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gspread.exceptions import APIError

from sheetsync.common.types import Json
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.header import column_letter
from sheetsync.sheets.google.client import Client, shorten_reply

API_URL = "https://sheets.googleapis.com/v4/spreadsheets/"


@contextmanager
def parsing() -> Iterator[None]:
    """Raise `SheetError` if the block, which parses a response, finds that it is not of Google's form."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SheetError(
            "what came in place of an answer of Google Sheets cannot be understood: look at the network of this "
            "machine and its proxy, and at `endpoint` in sheetsync.toml if it is set"
        ) from error


def a1_range(grid_range: Json) -> str:
    """Format a GridRange in A1 notation, such as B2:C or 1:1; "" for a whole tab."""
    bounds = ("startColumnIndex", "startRowIndex", "endColumnIndex", "endRowIndex")
    left, top, right, bottom = (grid_range.get(bound) for bound in bounds)
    if not (left or top or right or bottom):
        return ""
    if right is None and (left or 0) > 0:
        right = 18_278  # ZZZ, the last column that Google allows
    first, last = (column_letter(left or 0), column_letter(right - 1)) if right else ("", "")
    return f"{first}{(top or 0) + 1 if top or bottom else ''}:{last}{bottom or ''}"


class Spreadsheet:
    """A spreadsheet by its id. Every call raises `SheetError`, or `SheetChanged` if reading again may help."""

    def __init__(self, client: Client, identity: str):
        self.client, self.id = client, identity

    @property
    def name(self) -> str:
        """Its address in a browser."""
        return f"https://docs.google.com/spreadsheets/d/{self.id}"

    def get(self, **params: Any) -> Json:
        """Call spreadsheets.get: `fields` is the mask, `ranges` the cells."""
        return self._call("get", "", params={**params, "prettyPrint": "false"})

    def batch_update(self, requests: Sequence[Json]) -> list[Json]:
        """Call spreadsheets.batchUpdate: it carries out all requests or none. Returns a reply to each."""
        replies = self._call("post", ":batchUpdate", {"requests": requests}).get("replies", [])
        if not isinstance(replies, list) or not all(isinstance(each, dict) for each in replies):
            raise SheetChanged(f"the answer to a change of {self.name} cannot be understood: read it again")
        return replies

    def update_values(self, data: Sequence[Json]) -> None:
        """Call values.batchUpdate with raw values: text is stored as it is, never as a formula or a number."""
        self._call("post", "/values:batchUpdate", {"valueInputOption": "RAW", "data": data})

    def _call(self, method: str, path: str, body: Json | None = None, params: Json | None = None) -> Json:
        try:
            return self.client.call(method, API_URL + self.id + path, params=params, body=body)
        except APIError as error:
            raise self._explain(error) from error

    def _explain(self, error: APIError) -> SheetError:
        """Say what the user can do about an error of Google's; a `SheetChanged` is one that reading again may solve."""
        status, message = error.response.status_code, shorten_reply(error.error.get("message"), 300)
        if status == 400 and "not supported for this document" in message:
            return SheetError(f"{self.name} is a file of another program: open it there, File > Save as Google Sheets")
        if status == 400 and "protected cell" in message:
            return SheetError(
                f"a part of {self.name} is protected from sheetsync: under Data > Protect sheets and ranges, let "
                f"{self.client.account} edit it"
            )
        if status == 400 and "limit of" in message and "cells" in message:
            return SheetError(
                f"{self.name} is as large as Google lets it become: delete rows, columns or tabs that nobody needs "
                f"(Google says: {message})"
            )
        if status == 400 and "characters in a single cell" in message:
            return SheetError(
                f"what is to be written into a cell of {self.name} is longer than Google allows: use shorter labels "
                f"and headers (Google says: {message})"
            )
        if status == 400:
            return SheetChanged(f"{self.name} is not as it was ({message}): read it again")
        if status == 403 and "authentication scopes" in message:
            return SheetError(
                "these credentials were not given the right to spreadsheets: run `sheetsync login`, or get them again "
                "with the scope https://www.googleapis.com/auth/spreadsheets"
            )
        if status in (401, 403):
            return SheetError(
                f"{self.name} may not be read and written with these credentials: share it as Editor with "
                f"{self.client.account} (Google says: {message})"
            )
        if status == 404:
            return SheetError(f"there is no spreadsheet {self.name}: look at its address in sheetsync.toml")
        return SheetError(f"{self.name}: Google answers {status} ({message})")
