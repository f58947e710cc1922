"""The sheet's credentials as far as files in Google Drive go: a token to read what is shared with them."""

from __future__ import annotations

import logging
import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sheetsync.errors import SheetError
from sheetsync.images.fetch.base import TransientError

DRIVE = "https://www.googleapis.com/auth/drive.readonly"
log = logging.getLogger("sheetsync")


class AccountDriveToken:
    """A service account, or the machine's own. Nothing is read or imported before a file in Drive is asked for.

    People who signed in gave the right to spreadsheets and nothing else: for them there is no token.
    """

    def __init__(self, key: Path, kept: Path):
        self._key, self._kept, self._lock = key, kept, threading.Lock()

    @property
    def who(self) -> str:
        """The address with which to share a file; "" = nobody is there to share with."""
        found = self._credentials
        return str(getattr(found, "service_account_email", "")) if found else ""

    def token(self) -> str:
        """An access token, new where the old one is about to end; "" where there can be none.

        Raises `TransientError` where Google gives out none just now.
        """
        from google.auth.exceptions import GoogleAuthError, TransportError

        with self._lock:
            found = self._credentials
            try:
                if found and not found.valid:
                    found.refresh(self._request)
            except TransportError:
                raise TransientError("Google gives no access token just now") from None
            except GoogleAuthError as error:  # the sheet's own calls say more of it
                log.debug("no token for Drive: %s", type(error).__name__)
                return ""
            return str(found.token) if found else ""

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
            found = load_credentials(self._key, self._kept)
        except SheetError:
            return None
        return found.with_scopes([DRIVE]) if isinstance(found, Scoped) else None  # type: ignore[no-untyped-call]
