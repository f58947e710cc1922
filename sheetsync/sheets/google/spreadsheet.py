"""One spreadsheet of Google's: the three calls that are made to it, and its refusals in words for the user."""

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
    """Around whatever takes an answer apart: raises `SheetError` where the answer is not built as Google's are."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SheetError(
            "what came in place of an answer of Google Sheets cannot be understood: look at the network of this "
            "machine and its proxy, and at `endpoint` in sheetsync.toml if it is set"
        ) from error


def a1_range(where: Json) -> str:
    """A range as people write it, such as B2:C or 1:1; "" for a whole tab."""
    bounds = ("startColumnIndex", "startRowIndex", "endColumnIndex", "endRowIndex")
    left, top, right, bottom = (where.get(each) for each in bounds)
    if not (left or top or right or bottom):
        return ""
    if right is None and (left or 0) > 0:
        right = 18_278  # ZZZ, the last column that Google knows
    first, last = (column_letter(left or 0), column_letter(right - 1)) if right else ("", "")
    return f"{first}{(top or 0) + 1 if top or bottom else ''}:{last}{bottom or ''}"


class Spreadsheet:
    """A spreadsheet by its id. Every call raises `SheetError`, or `SheetChanged` where reading again may help."""

    def __init__(self, client: Client, identity: str):
        self.client, self.id = client, identity

    @property
    def name(self) -> str:
        """The address that people open."""
        return f"https://docs.google.com/spreadsheets/d/{self.id}"

    def get(self, **params: Any) -> Json:
        """spreadsheets.get: `fields` is the mask, `ranges` the cells."""
        return self._call("get", "", params={**params, "prettyPrint": "false"})

    def batch_update(self, requests: Sequence[Json]) -> list[Json]:
        """spreadsheets.batchUpdate: all requests or none; gives a reply to each."""
        replies = self._call("post", ":batchUpdate", {"requests": requests}).get("replies", [])
        if not isinstance(replies, list) or not all(isinstance(each, dict) for each in replies):
            raise SheetChanged(f"what was answered to a change of {self.name} cannot be understood: read it again")
        return replies

    def update_values(self, data: Sequence[Json]) -> None:
        """values.batchUpdate: text stays the text that it is."""
        self._call("post", "/values:batchUpdate", {"valueInputOption": "RAW", "data": data})

    def _call(self, method: str, path: str, body: Json | None = None, params: Json | None = None) -> Json:
        try:
            return self.client.call(method, API_URL + self.id + path, params=params, body=body)
        except APIError as error:
            raise self._explain(error) from error

    def _explain(self, error: APIError) -> SheetError:
        status, words = error.response.status_code, shorten_reply(error.error.get("message"), 300)
        if status == 400 and "not supported for this document" in words:
            return SheetError(f"{self.name} is a file of another program: open it there, File > Save as Google Sheets")
        if status == 400 and "protected cell" in words:
            return SheetError(
                f"a part of {self.name} is protected from sheetsync: under Data > Protect sheets and ranges, let "
                f"{self.client.account} edit it"
            )
        if status == 400 and "limit of" in words and "cells" in words:
            return SheetError(
                f"{self.name} is as large as Google lets it become: delete rows, columns or tabs that nobody needs "
                f"(Google says: {words})"
            )
        if status == 400 and "characters in a single cell" in words:
            return SheetError(
                f"what is to be written into a cell of {self.name} is longer than Google allows: use shorter labels "
                f"and headers (Google says: {words})"
            )
        if status == 400:
            return SheetChanged(f"{self.name} is not as it was ({words}): read it again")
        if status == 403 and "authentication scopes" in words:
            return SheetError(
                "these credentials were not given the right to spreadsheets: run `sheetsync login`, or get them again "
                "with the scope https://www.googleapis.com/auth/spreadsheets"
            )
        if status in (401, 403):
            return SheetError(
                f"{self.name} may not be read and written with these credentials: share it as Editor with "
                f"{self.client.account} (Google says: {words})"
            )
        if status == 404:
            return SheetError(f"there is no spreadsheet {self.name}: look at its address in sheetsync.toml")
        return SheetError(f"{self.name}: Google answers {status} ({words})")
