"""Unmodified clients of Google whose requests go to this server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import gspread
import requests
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter


class Rewriting(HTTPAdapter):
    """An adapter that sends the requests for any host to one server, over plain HTTP."""

    def __init__(self, url: str):
        self.place = urlsplit(url)
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        request.url = urlunsplit((self.place.scheme, self.place.netloc, parts.path, parts.query, ""))
        return super().send(request, *args, **kwargs)


def rewriting(session: requests.Session, url: str) -> requests.Session:
    """The session, with all its requests to https hosts sent to this server."""
    session.mount("https://", Rewriting(url))
    return session


def http_client(url: str, base: type[gspread.HTTPClient] = gspread.HTTPClient) -> type[gspread.HTTPClient]:
    """Gspread's client, sent to this server."""

    class Client(base):  # type: ignore[valid-type, misc]
        def __init__(self, auth: Any, session: Any = None):
            super().__init__(auth, session)
            rewriting(self.session, url)

    return Client


def gspread_client(url: str, key_file: Any, **more: Any) -> gspread.Client:
    """Gspread with a service account's key file; close its `http_client.session` in the end."""
    return gspread.service_account(str(key_file), http_client=http_client(url, **more))


def close(client: gspread.Client) -> None:
    session = client.http_client.session
    session.close()
    if isinstance(session, AuthorizedSession) and session._auth_request_session is not None:
        session._auth_request_session.close()
