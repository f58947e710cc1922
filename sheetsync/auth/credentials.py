"""Who sheetsync is to Google. Only the right to read and write spreadsheets is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import credentials, service_account

from sheetsync.auth.key_file import SCOPE, read_key
from sheetsync.auth.user_token import UserCredentials, load_sign_in
from sheetsync.common.text import shorten
from sheetsync.errors import SheetError

SCOPES = (SCOPE,)
KEY_FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"  # where Google's own programs look for a key file as well


def load_credentials(path: Path, token_file: Path) -> Any:
    """The credentials in a key file, or, if there is none, those of this machine (Application Default Credentials).

    With an OAuth client the sign-in in `kept` counts. Raises `SheetError`, never with a secret in it.
    """
    if not path.exists():
        return _of_this_machine(path)
    kind, info = read_key(path)
    if kind == "installed":
        return load_sign_in(path, info, token_file)
    try:
        if kind == "service_account":
            return service_account.Credentials.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]
        return credentials.Credentials.from_authorized_user_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError, GoogleAuthError) as error:
        raise SheetError(
            f"{path} holds a key that cannot be used: download it again from the Google console"
        ) from error


def other_scopes(found: Any) -> str:
    """What credentials open besides spreadsheets, as far as that can be known once they have a token."""
    granted = getattr(found, "granted_scopes", None)
    if more := sorted({*(granted or ())} - {SCOPE}):
        return f"and for more than sheetsync needs: {shorten(' '.join(more), 200)}"
    if granted or isinstance(found, (service_account.Credentials, UserCredentials)):
        return "and nothing else"
    return "and perhaps for more: what Application Default Credentials open is not known here"


def _of_this_machine(path: Path) -> Any:
    """Application Default Credentials.

    On a machine that has none, the last thing Google's library does is to look for a metadata server, at an address
    that every cloud has: a dozen seconds where nothing answers there. Only who has no key file waits for it.
    """
    try:
        found, _ = google.auth.default(scopes=SCOPES)
    except (GoogleAuthError, ValueError, TypeError, AttributeError) as error:
        raise SheetError(_missing(path)) from error
    return found


def _missing(path: Path) -> str:
    if given := os.environ.get(KEY_FILE_VARIABLE):
        return (
            f"there is no key file {path}, and {given}, which {KEY_FILE_VARIABLE} names, is none that can be used: "
            f"correct or unset {KEY_FILE_VARIABLE}"
        )
    return (
        f"there is no key file {path}: save the key of a service account there; or an OAuth client of type “Desktop "
        "app”, and run `sheetsync login`; or set up Application Default Credentials (README: A Google Sheet)"
    )
