"""Access token for Google Drive, from the credentials of the sheet: it may read the files shared with them."""

from __future__ import annotations

import logging
import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sheetsync.errors import SheetError
from sheetsync.images.fetch.base import TransientError

DRIVE_SCOPE = "https://www.googleapis.com/auth/drive.readonly"
log = logging.getLogger("sheetsync")


class AccountDriveToken:
    """A token of a service account, or of the machine's own. Nothing is read or imported before it is needed.

    People who signed in granted access to spreadsheets and nothing else: for them there is no token.
    """

    def __init__(self, key_file: Path, sign_in_file: Path):
        self._key_file, self._sign_in_file, self._lock = key_file, sign_in_file, threading.Lock()

    @property
    def email(self) -> str:
        """The address with which to share a file; "" = there is none."""
        credentials = self._credentials
        return str(getattr(credentials, "service_account_email", "")) if credentials else ""

    def token(self) -> str:
        """Return an access token, refreshed when it is about to expire; "" where there can be none.

        Raises `TransientError` where Google's server cannot be reached.
        """
        from google.auth.exceptions import GoogleAuthError, TransportError

        with self._lock:
            credentials = self._credentials
            try:
                if credentials and not credentials.valid:
                    credentials.refresh(self._request)
            except TransportError:
                raise TransientError("Google gives no access token just now") from None
            except GoogleAuthError as error:  # the calls for the sheet report it in full
                log.debug("no token for Drive: %s", type(error).__name__)
                return ""
            return str(credentials.token) if credentials else ""

    @cached_property
    def _request(self) -> Any:
        import requests

        from sheetsync.auth.tokens import TIMEOUT, TokenRequest

        return partial(TokenRequest(requests.Session()), timeout=TIMEOUT)

    @cached_property
    def _credentials(self) -> Any:
        from google.auth.credentials import Scoped

        from sheetsync.auth.credentials import load_credentials

        try:
            credentials = load_credentials(self._key_file, self._sign_in_file)
        except SheetError:
            return None
        return credentials.with_scopes([DRIVE_SCOPE]) if isinstance(credentials, Scoped) else None  # type: ignore[no-untyped-call]
