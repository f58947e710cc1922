"""One spreadsheet of Google's: the three calls that are made to it, and its refusals in words for the user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gspread.exceptions import APIError

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.sheets.client import Client

URL = "https://sheets.googleapis.com/v4/spreadsheets/"
Json = dict[str, Any]


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

    def batch(self, requests: Sequence[Json]) -> list[Json]:
        """spreadsheets.batchUpdate: all requests or none; gives a reply to each."""
        replies: list[Json] = self._call("post", ":batchUpdate", {"requests": requests}).get("replies", [])
        return replies

    def set_values(self, data: Sequence[Json]) -> None:
        """values.batchUpdate: text stays the text that it is."""
        self._call("post", "/values:batchUpdate", {"valueInputOption": "RAW", "data": data})

    def _call(self, method: str, path: str, body: Json | None = None, params: Json | None = None) -> Json:
        try:
            return self.client.ask(method, URL + self.id + path, params=params, body=body)
        except APIError as error:
            raise self._sorry(error) from error

    def _sorry(self, error: APIError) -> SheetError:
        status, words = error.response.status_code, str(error.error.get("message", ""))[:300]
        if status == 400 and "not supported for this document" in words:
            return SheetError(f"{self.name} is a file of another program: open it there, File > Save as Google Sheets")
        if status == 400 and "protected cell" in words:
            return SheetError(
                f"a part of {self.name} is protected from sheetsync: under Data > Protect sheets and ranges, let the "
                "address that `sheetsync doctor` shows edit it"
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
                f"{self.name} may not be read and written with these credentials: share it as Editor with the address "
                f"that `sheetsync doctor` shows (Google says: {words})"
            )
        if status == 404:
            return SheetError(f"there is no spreadsheet {self.name}: look at its address in sheetsync.toml")
        return SheetError(f"{self.name}: Google answers {status} ({words})")
