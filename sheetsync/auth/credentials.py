"""Load Google credentials: a service account, a sign-in, or Application Default Credentials.

The only scope that is requested is to read and write spreadsheets.
"""

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
KEY_FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"  # where Google's own programs look for a key file


def load_credentials(path: Path, token_file: Path) -> Any:
    """Load the credentials in a key file, or, if there is none, this machine's Application Default Credentials.

    For an OAuth client, they are those of the sign-in in `token_file`. Raises `SheetError`, never with a secret in it.
    """
    if not path.exists():
        return _default_credentials(path)
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


def other_scopes(loaded: Any) -> str:
    """Say in words which scopes credentials have besides spreadsheets, as far as is known once they have a token."""
    granted = getattr(loaded, "granted_scopes", None)
    if more := sorted({*(granted or ())} - {SCOPE}):
        return f"and for more than sheetsync needs: {shorten(' '.join(more), 200)}"
    if granted or isinstance(loaded, (service_account.Credentials, UserCredentials)):
        return "and nothing else"
    return "and perhaps for more: what Application Default Credentials open is not known here"


def _default_credentials(path: Path) -> Any:
    """Find Application Default Credentials.

    On a machine that has none, Google's library ends by asking the metadata server that every cloud has: about a
    dozen seconds where there is no such server. Only a user without a key file waits for it.
    """
    try:
        loaded, _ = google.auth.default(scopes=SCOPES)
    except (GoogleAuthError, ValueError, TypeError, AttributeError) as error:
        raise SheetError(_no_credentials(path)) from error
    return loaded


def _no_credentials(path: Path) -> str:
    if variable := os.environ.get(KEY_FILE_VARIABLE):
        return (
            f"there is no key file {path}, and {variable}, which {KEY_FILE_VARIABLE} names, is none that can be used: "
            f"correct or unset {KEY_FILE_VARIABLE}"
        )
    return (
        f"there is no key file {path}: save the key of a service account there; or an OAuth client of type “Desktop "
        "app”, and run `sheetsync login`; or set up Application Default Credentials (docs/google.md)"
    )
