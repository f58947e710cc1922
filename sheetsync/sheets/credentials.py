"""Who sheetsync is to Google. Only the right to read and write spreadsheets is asked for."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import credentials, service_account

from sheetsync.errors import SheetError

SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)
log = logging.getLogger("sheetsync")


def load_credentials(path: Path) -> Any:
    """The credentials in a key file, or, if there is none, those of this machine (Application Default Credentials).

    Raises `SheetError`, never with a secret in it.
    """
    if not path.exists():
        return _of_this_machine(path)
    if path.stat().st_mode & 0o077:
        log.warning("%s can be read by others on this machine: chmod 600 %s", path, path)
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        kind = info.get("type")
        if kind == "service_account":
            return service_account.Credentials.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]
        if kind == "authorized_user":
            return credentials.Credentials.from_authorized_user_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, AttributeError, GoogleAuthError) as error:
        raise SheetError(
            f"{path} is not a key file of Google's: download the key of your service account again"
        ) from error
    raise SheetError(f"{path} is not the key of a service account: see “A Google Sheet” in the README")


def _of_this_machine(path: Path) -> Any:
    try:
        found, _ = google.auth.default(scopes=SCOPES)
    except GoogleAuthError as error:
        raise SheetError(
            f"there is no key file {path}: save the key of your service account there (README: A Google Sheet)"
        ) from error
    return found
