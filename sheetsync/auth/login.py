"""Sign in to Google as a user, with the browser of this machine (OAuth 2.0 for native apps, RFC 8252)."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from google_auth_oauthlib.flow import InstalledAppFlow, WSGITimeoutError
from oauthlib.oauth2 import OAuth2Error

from sheetsync.auth.key_file import DESKTOP_CLIENT, SCOPE, read_key, redact
from sheetsync.auth.tokens import TIMEOUT
from sheetsync.auth.user_token import SIGN_IN_AGAIN, missing_scope_error, save_sign_in
from sheetsync.common.types import Json
from sheetsync.errors import SheetError

SIGN_IN_SECONDS = 600  # that somebody has to sign in
SUCCESS_MESSAGE = "You are signed in to sheetsync. This page can be closed."


class _Flow(InstalledAppFlow):  # type: ignore[misc]  # it comes without types
    """Google's flow, which shows the address to open, and has a timeout."""

    show_address: Callable[[str], None]

    def authorization_url(self, **kwargs: Any) -> Any:
        address_and_state = super().authorization_url(**kwargs)
        self.show_address(address_and_state[0])
        return address_and_state

    def fetch_token(self, **kwargs: Any) -> Any:
        return super().fetch_token(timeout=TIMEOUT, **kwargs)


def sign_in(key: Path, token_file: Path, show_address: Callable[[str], None], *, browser: bool) -> None:
    """Have somebody sign in with the OAuth client of a key file, and store the sign-in in `token_file`.

    `show_address` is called with the address to open; with `browser` it is opened as well, where there is a browser.
    Raises `SheetError`, never with a secret in it.
    """
    client = _read_client(key)
    flow = _Flow.from_client_config({DESKTOP_CLIENT: client}, [SCOPE], autogenerate_code_verifier=True)
    flow.show_address = show_address
    with flow.oauth2session:
        token = _run_flow(flow, browser=browser and _has_browser())
    if SCOPE not in token.get("scope", [SCOPE]):
        raise missing_scope_error(SIGN_IN_AGAIN)
    if not token.get("refresh_token"):
        raise SheetError(f"Google gave no lasting sign-in (no refresh token): {SIGN_IN_AGAIN}")
    save_sign_in(token_file, client["client_id"], token["refresh_token"])


def _read_client(key: Path) -> Json:
    if not key.exists():
        raise SheetError(
            f"there is no {key}: make an OAuth client of type “Desktop app” in the Google console and save its file "
            "there (docs/google.md: As yourself)"
        )
    kind, client = read_key(key)
    if kind != DESKTOP_CLIENT:
        raise SheetError(f"{key} is a key that works without signing in: go on with `sheetsync plan`")
    return client


def _run_flow(flow: _Flow, *, browser: bool) -> Json:
    """Wait for the sign-in and return Google's token. No error keeps its cause, for that may quote what was sent."""
    try:
        flow.run_local_server(
            host="127.0.0.1",
            port=0,
            authorization_prompt_message=None,
            success_message=SUCCESS_MESSAGE,
            open_browser=browser,
            timeout_seconds=SIGN_IN_SECONDS,
            prompt="consent",  # else whoever signed in before cannot grant more than then
        )
    except Warning as warning:  # the library raises it where other scopes were granted than requested
        return dict(vars(warning)["token"])
    except WSGITimeoutError:
        raise SheetError(f"nobody signed in within {SIGN_IN_SECONDS // 60} minutes: {SIGN_IN_AGAIN}") from None
    except OAuth2Error as error:
        raise SheetError(f"Google did not sign you in ({redact(error.error)}): {SIGN_IN_AGAIN}") from None
    except requests.RequestException:
        raise SheetError("Google does not answer, so you are not signed in: try again later") from None
    return dict(flow.oauth2session.token)


def _has_browser() -> bool:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
