"""Credentials of a user who signed in: the OAuth refresh token that `sheetsync login` stores in the project."""

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
    """OAuth credentials of a user. A refresh token that Google replaces is saved at once: the old one may expire."""

    def __init__(self, client: Json, refresh_token: str, token_file: Path):
        super().__init__(  # type: ignore[no-untyped-call]
            None,
            refresh_token=refresh_token,
            token_uri=client["token_uri"],
            client_id=client["client_id"],
            client_secret=client["client_secret"],
            scopes=[SCOPE],
        )
        self._token_file = token_file

    def refresh(self, request: Any) -> None:
        """Get an access token. Raises `SheetError` when the sign-in is no longer valid."""
        before = self.refresh_token
        try:
            super().refresh(request)  # type: ignore[no-untyped-call]
        except RefreshError as error:
            raise (_explain_refusal(error) or error) from None  # the cause may quote what was sent
        if self.refresh_token != before:
            save_sign_in(self._token_file, self.client_id, self.refresh_token)
        if SCOPE not in (self.granted_scopes or [SCOPE]):
            raise missing_scope_error(SIGN_IN_AGAIN)


def load_sign_in(key: Path, client: Json, token_file: Path) -> UserCredentials:
    """Load the credentials of the user who signed in with the OAuth client of a key file. Raises `SheetError`."""
    if not token_file.exists():
        raise SheetError(f"{key} is there, but nobody has signed in with it yet: run `sheetsync login`")
    stored = read_json(token_file, SIGN_IN_AGAIN)
    if stored.get("client_id") != client["client_id"]:
        raise SheetError(f"{token_file} was made with another OAuth client than {key} holds now: {SIGN_IN_AGAIN}")
    scopes = stored.get("scopes")
    if not isinstance(scopes, list) or SCOPE not in scopes:
        raise missing_scope_error(SIGN_IN_AGAIN)
    token = stored.get("refresh_token")
    if not isinstance(token, str) or not token:
        raise SheetError(f"{token_file} holds no sign-in: {SIGN_IN_AGAIN}")
    return UserCredentials(client, token, token_file)


def missing_scope_error(todo: str) -> SheetError:
    """Return the error for a sign-in without the scope that was requested: its box was not ticked."""
    return SheetError(f"your sign-in gives no right to your spreadsheets: {todo} and tick the box that gives it")


def save_sign_in(token_file: Path, client_id: str, refresh_token: str) -> None:
    """Replace the stored sign-in atomically; it is never readable by others.

    Raises `OSError` when the disk refuses.
    """
    sign_in = {"client_id": client_id, "refresh_token": refresh_token, "scopes": [SCOPE]}
    token_file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=token_file.parent, prefix=".tmp-", delete=False) as file:  # made with mode 0600
        temporary = Path(file.name)
        try:
            json.dump(sign_in, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(token_file)
        finally:
            temporary.unlink(missing_ok=True)


def _explain_refusal(error: RefreshError) -> SheetError | None:
    """Explain a refusal by the token server to the user; None when it is not the sign-in that is refused."""
    code = error.args[1].get("error") if len(error.args) > 1 and isinstance(error.args[1], dict) else None
    if code == "invalid_scope":
        return missing_scope_error(SIGN_IN_AGAIN)
    if code in ("invalid_grant", "unauthorized_client"):
        return SheetError(f"Google no longer accepts your sign-in ({redact(error.args[0])}): {SIGN_IN_AGAIN}")
    return None
