"""Checks of the way to a Google Sheet, step by step: credentials, token, API, sharing, tabs, quota."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests
from google.auth.exceptions import GoogleAuthError, TransportError
from gspread.exceptions import APIError

from sheetsync.auth.credentials import other_scopes
from sheetsync.auth.key_file import redact
from sheetsync.auth.tokens import TokenRequest
from sheetsync.common.finding import Finding, note, ok, problem
from sheetsync.common.state_folder import STATE, StateFolder
from sheetsync.common.text import join_names, shorten
from sheetsync.common.types import Json
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.sheets.base import Sheet
from sheetsync.sheets.google.address import GOOGLE_SHEET, spreadsheet_and_gid, trusted_endpoint
from sheetsync.sheets.google.client import CALLS_PER_MINUTE, Client, EndpointAdapter, shorten_reply
from sheetsync.sheets.google.sheet import GoogleSheet
from sheetsync.sheets.google.spreadsheet import Spreadsheet, a1_range, parsing

FIELDS = "sheets(properties(sheetId,title,sheetType),protectedRanges(range,warningOnly,requestingUserCanEdit))"
CONSOLE = "https://console.cloud.google.com"
WORDS = 200  # characters of a message of Google's
REFUSED_TOKENS = (  # what the answer holds -> what it means, what to do; the first one counts
    (
        "short-lived token",
        "the clock of this machine is wrong, so Google does not believe what it signs",
        "set the clock (compare `date -u` with the time on your phone; `timedatectl set-ntp true` keeps it right)",
    ),
    (
        "invalid jwt signature",
        "this key is no longer the account's: it was deleted, or another file was put in its place",
        f"make a new key at {CONSOLE}/iam-admin/serviceaccounts and save it in the place of this one",
    ),
    (
        "account not found",
        "there is no such service account any more",
        f"make one at {CONSOLE}/iam-admin/serviceaccounts, and share the sheet with it",
    ),
    (
        "scope",
        "the credentials do not carry the right to spreadsheets",
        "use the key of a service account, or sign in again and agree to the access to your spreadsheets",
    ),
    ("expired or revoked", "the sign-in has expired or was withdrawn", "sign in again"),
)


@dataclass(frozen=True, slots=True)
class SheetAddress:
    """The address of a Google Sheet: its id, the tab of the rows (None = the first), the title of the scores' tab,
    and another server's address, "" for Google.
    """

    identity: str
    gid: int | None
    scores: str
    endpoint: str


class Probe:
    """Checks on the way to one spreadsheet. Each needs those before it, and returns a finding.

    `load` finds the credentials, in the file `key` if that is there; `patience` is in seconds, for one step. A step
    raises `SheetError` where its message says all.
    """

    def __init__(self, place: SheetAddress, key: Path, load: Callable[[], Any], patience: float):
        self._address, self._key, self._load, self._patience = place, key, load, patience
        self._tokens = requests.Session()
        self._refusal: APIError | None = None
        self._statuses: list[int] = []
        self._tabs: list[Json] = []

    def close(self) -> None:
        """End all connections."""
        self._tokens.close()
        if hasattr(self, "_client"):
            self._client.close()

    def sheet(self) -> Sheet:
        """The sheet itself, over the same connection."""
        return GoogleSheet(self._client, self._address.identity, self._address.gid, self._address.scores)

    # --- credentials -------------------------------------------------------------------------------

    def credentials(self) -> Finding:
        """Find the credentials; say whose they are, and with whom the sheet must be shared."""
        self._credentials = self._load()
        self._open_client()
        source = str(self._key) if self._key.exists() else "this machine (Application Default Credentials)"
        said = f"{self._kind()} from {source}; share the sheet, as Editor, with {self._account}"
        if self._key.exists() and self._key.stat().st_mode & 0o077:
            return note(f"{said}; others on this machine can read the file", f"chmod 600 {self._key}")
        return ok(said)

    def _open_client(self) -> None:
        quarter = self._patience / 4
        self._client = Client(self._credentials, patience=quarter, timeout=(quarter, 2 * quarter))
        self._client.session.hooks["response"].append(lambda answer, **_: self._statuses.append(answer.status_code))
        if self._address.endpoint:
            self._client.session.mount("https://", EndpointAdapter(self._address.endpoint))
        self._spreadsheet = Spreadsheet(self._client, self._address.identity)

    def _kind(self) -> str:
        return "a service account" if hasattr(self._credentials, "service_account_email") else "a person's sign-in"

    @property
    def _account(self) -> str:
        return self._client.account

    def token(self) -> Finding:
        """Get an access token."""
        ask = partial(TokenRequest(self._tokens), timeout=self._patience / 2)
        try:
            self._credentials.refresh(ask)
        except TransportError as error:
            return problem(f"the server of access tokens does not answer ({_cause(error)})", _network())
        except GoogleAuthError as error:
            return _no_token(error)
        return ok(f"Google accepts the credentials, for spreadsheets {other_scopes(self._credentials)}")

    # --- permissions ------------------------------------------------------------------------------

    def api(self) -> Finding:
        """Ask for the tabs. A refusal that is about this spreadsheet alone is kept for `reading`."""
        try:
            self._tabs = self._spreadsheet.get(fields=FIELDS).get("sheets", [])
        except SheetError as error:
            refusal = _refusal(error)
            if refusal is None:
                return problem(str(error), _network())
            if (words := _explain_api_error(refusal)) is not None:
                return words
            self._refusal = refusal
        return ok("the Google Sheets API is enabled, and answers")

    def reading(self) -> Finding:
        """Check that the spreadsheet may be read."""
        if self._refusal is None:
            return ok(f"{self._account} may read the spreadsheet")
        status, words = self._refusal.response.status_code, _message(self._refusal)
        if status == 403:
            return problem(f"{self._account} may not open {self._spreadsheet.name}", self._share())
        if status == 404:
            todo = "look at `sheet` in sheetsync.toml: it must be what the browser shows where you see the rows"
            return problem(f"there is no spreadsheet {self._spreadsheet.name}, or it is in the bin", todo)
        if "not supported for this document" in words:
            todo = "open it there, File > Save as Google Sheets, and put the new address into sheetsync.toml"
            return problem(f"{self._spreadsheet.name} is a file of another program (such as .xlsx)", todo)
        return problem(f"Google answers {status}: {words}", _later())

    def writing(self) -> Finding:
        """Check that it may be written: create invisible metadata and delete it, in one atomic batch."""
        mark = secrets.randbelow(2**31 - 1) + 1
        made = {"metadataId": mark, "metadataKey": "sheetsync_doctor", "visibility": "DOCUMENT"}
        create = {"developerMetadata": {**made, "location": {"spreadsheet": True}}}
        delete = {"dataFilter": {"developerMetadataLookup": {"metadataId": mark}}}
        try:
            self._spreadsheet.batch_update([{"createDeveloperMetadata": create}, {"deleteDeveloperMetadata": delete}])
        except SheetError as error:
            return self._explain_write_error(error)
        return ok(f"{self._account} may write (tried with a mark that came and went in one step)")

    def _explain_write_error(self, error: SheetError) -> Finding:
        refusal = _refusal(error)
        if refusal is not None and refusal.response.status_code == 403:
            return problem(f"{self._account} may look at the spreadsheet, and not write", self._share())
        if refusal is not None:
            return problem(f"Google does not let it be written: {_message(refusal)}", _later())
        return problem(str(error), "run `sheetsync doctor` again" if isinstance(error, SheetChanged) else _network())

    def _share(self) -> str:
        return f"in the sheet: Share, add {self._account}, as Editor"

    # --- tabs ----------------------------------------------------------------------------

    @parsing()
    def tabs(self) -> Finding:
        """Check that the tab of the rows exists and may be edited, and where the scores go."""
        titles = {tab["properties"].get("sheetId", 0): str(tab["properties"].get("title")) for tab in self._grids()}
        gid = next(iter(titles), None) if self._address.gid is None else self._address.gid
        if gid is None or gid not in titles:
            todo = "open the tab that holds the rows, and put the address shown there into sheetsync.toml"
            return problem(f"there is no tab with gid={gid} (tabs: {', '.join(map(_title, titles.values()))})", todo)
        if titles[gid] == self._address.scores:
            todo = "name another tab in sheetsync.toml: [google] scores"
            return problem(f"the scores would go to the tab of the rows, '{_title(self._address.scores)}'", todo)
        todo = f"in the sheet: Data > Protect sheets and ranges, and let {self._account} edit"
        protected = list(self._protected())
        whole = {titles[tab] for tab, cells in protected if not cells}
        if locked := whole & {titles[gid], self._address.scores}:
            return problem(f"the tab '{_title(min(locked))}' is protected from {self._account}", f"{todo} it")
        scores = "is there" if self._address.scores in titles.values() else "is made by the first sync"
        said = f"rows in '{_title(titles[gid])}'; scores in '{_title(self._address.scores)}', which {scores}"
        if parts := [cells for tab, cells in protected if tab == gid]:
            said += f"; cells of the rows are protected from {self._account}: {join_names(parts, ', ')}"
            return note(said, f"{todo} those among them that are in sheetsync's columns or the one of labels")
        return ok(said)

    def _grids(self) -> list[Json]:
        return [tab for tab in self._tabs if tab["properties"].get("sheetType", "GRID") == "GRID"]

    def _protected(self) -> Iterator[tuple[int, str]]:
        """Yield what is protected from us: the tab, and which cells of it, "" for all."""
        for tab in self._grids():
            for each in tab.get("protectedRanges", ()):
                if not each.get("requestingUserCanEdit") and not each.get("warningOnly"):
                    yield tab["properties"].get("sheetId", 0), a1_range(each.get("range", {}))

    def quota(self) -> Finding:
        """Check the quota, as far as refusals show it: Google does not say what is left."""
        calls = self._client.calls
        said = (
            f"reads just now: {calls.reads}, writes: {calls.writes}; Google allows an account 60 of each a minute, "
            f"sheetsync keeps to {CALLS_PER_MINUTE}"
        )
        if 429 not in self._statuses:
            return ok(said)
        todo = "something else uses this account or project: give sheetsync a service account of its own, or wait"
        return problem(f"Google refused a call as one too many; {said}", todo)


# --- what refusals mean ---------------------------------------------------------------------------


def _refusal(error: SheetError) -> APIError | None:
    """Return Google's own response behind an error, if there was one."""
    return error.__cause__ if isinstance(error.__cause__, APIError) else None


def _message(error: APIError) -> str:
    return shorten_reply(error.error.get("message"), WORDS)


def _title(given: str) -> str:
    return shorten(given, 80)


def _explain_api_error(error: APIError) -> Finding | None:
    """Explain a refusal that concerns every spreadsheet; None when it is about this one."""
    status, words = error.response.status_code, _message(error)
    with parsing():
        details = [each for each in error.error.get("details", ()) if each.get("reason")]
    reason = details[0]["reason"] if details else ""
    if reason == "SERVICE_DISABLED" or "has not been used in project" in words:
        return _disabled(details[0] if details else {}, words)
    if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return problem("these credentials carry no right to spreadsheets", REFUSED_TOKENS[3][2])
    if status == 401:
        return problem(f"Google does not take the access token: {words}", "make a new key, or sign in again")
    if status == 403 and reason:
        return problem(f"Google refuses ({reason}): {words}", f"look at your project at {CONSOLE}")
    return None


def _disabled(detail: Json, words: str) -> Finding:
    consumer = str(detail.get("metadata", {}).get("consumer", ""))
    found = re.search(r"(?:projects/|project )([\w-]+)", f"{consumer} {words}")
    project = found[1] if found else ""
    page = f"{CONSOLE}/apis/library/sheets.googleapis.com" + (f"?project={project}" if project else "")
    said = f"the Google Sheets API is not enabled in the project {project} of these credentials".replace("  ", " ")
    return problem(said, f"press Enable at {page}, and wait a few minutes")


def _no_token(error: GoogleAuthError) -> Finding:
    words = redact(error.args[0] if error.args else error)
    for sign, said, todo in REFUSED_TOKENS:
        if sign in words.casefold():
            return problem(f"{said} (Google says: {words})", todo)
    return problem(f"Google does not accept the credentials: {words}", "make a new key, or sign in again")


def _cause(error: BaseException) -> str:
    """Say why there was no response, without the address and other parts of such an error."""
    inner: Any = error.args[0] if error.args else error
    if isinstance(inner, str):
        return f"an unusable answer: {inner}"
    return "no answer in time" if isinstance(inner, requests.Timeout) else "no connection"


def _network() -> str:
    return "look at the network of this machine, its proxy and its firewall; if others reach Google, try again later"


def _later() -> str:
    return "try again later; if it stays, look at the sheet in a browser"


def open_probe(
    address: str,
    base: Path,
    *,
    patience: float,
    credentials: str = "credentials.json",
    scores: str = "scores",
    endpoint: str = "",
) -> Probe | None:
    """Return a probe of a Google Sheet, each step within `patience` seconds; None for any other address."""
    google = GOOGLE_SHEET.fullmatch(address)
    if google is None:
        return None
    from sheetsync.auth.credentials import load_credentials

    place = SheetAddress(*spreadsheet_and_gid(google), scores, trusted_endpoint(endpoint))
    key = base / credentials
    return Probe(place, key, lambda: load_credentials(key, StateFolder(base / STATE).google_token), patience)
