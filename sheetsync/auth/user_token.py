"""A user who signed in: the refresh token that `sheetsync login` leaves in the project, and what it is good for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials

from sheetsync.auth.key_file import SCOPE, read_json, redact
from sheetsync.common.types import Json
from sheetsync.errors import SheetError

SIGN_IN_AGAIN = "run `sheetsync login` again"


class UserCredentials(Credentials):
    """The credentials of a user. A refresh token that Google replaces is stored at once, for the old one may die."""

    def __init__(self, client: Json, refresh_token: str, kept: Path):
        super().__init__(  # type: ignore[no-untyped-call]
            None,
            refresh_token=refresh_token,
            token_uri=client["token_uri"],
            client_id=client["client_id"],
            client_secret=client["client_secret"],
            scopes=[SCOPE],
        )
        self._kept = kept

    def refresh(self, request: Any) -> None:
        """Get an access token. Raises `SheetError` when the sign-in counts no more."""
        before = self.refresh_token
        try:
            super().refresh(request)  # type: ignore[no-untyped-call]
        except RefreshError as error:
            raise (_refused(error) or error) from None  # the cause may quote what was sent
        if self.refresh_token != before:
            save_sign_in(self._kept, self.client_id, self.refresh_token)
        if SCOPE not in (self.granted_scopes or [SCOPE]):
            raise missing_scope_error(SIGN_IN_AGAIN)


def load_sign_in(key: Path, client: Json, kept: Path) -> UserCredentials:
    """The user who signed in with the OAuth client of a key file. Raises `SheetError`."""
    if not kept.exists():
        raise SheetError(f"{key} is there, but nobody has signed in with it yet: run `sheetsync login`")
    found = read_json(kept, SIGN_IN_AGAIN)
    if found.get("client_id") != client["client_id"]:
        raise SheetError(f"{kept} was made with another OAuth client than {key} holds now: {SIGN_IN_AGAIN}")
    if SCOPE not in _list(found.get("scopes")):
        raise missing_scope_error(SIGN_IN_AGAIN)
    token = found.get("refresh_token")
    if not isinstance(token, str) or not token:
        raise SheetError(f"{kept} holds no sign-in: {SIGN_IN_AGAIN}")
    return UserCredentials(client, token, kept)


def missing_scope_error(todo: str) -> SheetError:
    """The error for a sign-in that was given less than was asked for."""
    return SheetError(f"your sign-in gives no right to your spreadsheets: {todo} and tick the box that gives it")


def save_sign_in(kept: Path, client_id: str, refresh_token: str) -> None:
    """Replace the stored sign-in, whole or not at all, and never readable by others.

    Raises `OSError` when the disk refuses.
    """
    said = {"client_id": client_id, "refresh_token": refresh_token, "scopes": [SCOPE]}
    kept.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=kept.parent, prefix=".tmp-", delete=False) as file:  # made with mode 0600
        temporary = Path(file.name)
        try:
            json.dump(said, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(kept)
        finally:
            temporary.unlink(missing_ok=True)


def _refused(error: RefreshError) -> SheetError | None:
    """What a refusal means for a sign-in; None when it is not the sign-in that is refused."""
    said = error.args[1].get("error") if len(error.args) > 1 and isinstance(error.args[1], dict) else None
    if said == "invalid_scope":
        return missing_scope_error(SIGN_IN_AGAIN)
    if said in ("invalid_grant", "unauthorized_client"):
        return SheetError(f"Google no longer accepts your sign-in ({redact(error.args[0])}): {SIGN_IN_AGAIN}")
    return None


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
