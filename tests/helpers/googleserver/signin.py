"""People who sign in: the consent screen, and the grants that follow from it (a code with PKCE, refresh)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from .errors import OAuthRefusal, Refusal
from .state import Json
from .world import OWNER

CODE, REFRESH = "authorization_code", "refresh_token"
LOOPBACK = ("127.0.0.1", "::1", "localhost")  # where a desktop program may have its users sent
CODE_SECONDS = 600


@dataclass
class Person:
    """The person at the browser, and what they do at the consent screen."""

    user: str = OWNER
    refuses: bool = False
    unticks: tuple[str, ...] = ()  # scopes that are not given


@dataclass(frozen=True)
class Grant:
    """The scopes that a person granted to an OAuth client."""

    client: str
    user: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class Code:
    """A grant on its way back to the program that asked."""

    grant: Grant
    redirect: str
    challenge: str
    until: float


@dataclass
class SignIns:
    """OAuth clients, and the grants of people to them."""

    person: Person = field(default_factory=Person)
    rotates: bool = False  # whether a refresh token is good for one use, as with some servers and not with Google
    clients: dict[str, str] = field(default_factory=dict)  # id -> secret
    codes: dict[str, Code] = field(default_factory=dict)
    lasting: dict[str, Grant] = field(default_factory=dict)  # refresh token -> what it stands for

    # --- what tests do ------------------------------------------------------------------------------

    def client(self) -> Json:
        """A new OAuth client."""
        number = f"{len(self.clients) + 100000000000}-{secrets.token_hex(16)}.apps.googleusercontent.com"
        self.clients[number] = "GOCSPX-" + secrets.token_urlsafe(21)
        return {"client_id": number, "client_secret": self.clients[number]}

    def refresh_token(self, client: str, user: str, scopes: frozenset[str]) -> str:
        """A new refresh token for a grant."""
        token = "1//0" + secrets.token_urlsafe(72)
        self.lasting[token] = Grant(client, user, scopes)
        return token

    # --- what the server does -----------------------------------------------------------------------

    def consent(self, asked: dict[str, str], now: float) -> str:
        """Return where the consent screen redirects the browser; refuse, with a page, what it cannot redirect."""
        if asked.get("client_id") not in self.clients:
            raise Refusal(400, "Error 401: invalid_client. The OAuth client was not found.")
        where = urlsplit(asked.get("redirect_uri", ""))
        if where.scheme != "http" or where.hostname not in LOOPBACK:
            raise Refusal(400, "Error 400: redirect_uri_mismatch")
        if asked.get("response_type") != "code" or not asked.get("scope"):
            raise Refusal(400, "Error 400: invalid_request")
        if asked.get("code_challenge_method", "S256") != "S256":
            raise Refusal(400, "Error 400: invalid_request. Only S256 is implemented by this server.")
        said = {"error": "access_denied"} if self.person.refuses else self._code(asked, now)
        state = {"state": asked["state"]} if "state" in asked else {}
        return f"{asked['redirect_uri']}?{urlencode(state | said)}"

    def _code(self, asked: dict[str, str], now: float) -> dict[str, str]:
        scopes = frozenset(asked["scope"].split()) - set(self.person.unticks)
        code = "4/0A" + secrets.token_urlsafe(48)
        grant = Grant(asked["client_id"], self.person.user, scopes)
        self.codes[code] = Code(grant, asked["redirect_uri"], asked.get("code_challenge", ""), now + CODE_SECONDS)
        return {"code": code, "scope": " ".join(sorted(scopes))}

    def redeem(self, form: dict[str, str], header: str | None, now: float) -> tuple[Grant, Json]:
        """Return the grant behind a code or a refresh token, and what is answered beside the access token."""
        client = self._client(form, header)
        if form["grant_type"] == CODE:
            grant = self._of_code(form, client, now)
            return grant, {"refresh_token": self.refresh_token(client, grant.user, grant.scopes)}
        old = form.get("refresh_token", "")
        grant = self._of_refresh(form, client)
        if not self.rotates:
            return grant, {}
        new = self.refresh_token(client, grant.user, self.lasting.pop(old).scopes)
        return grant, {"refresh_token": new}

    def _client(self, form: dict[str, str], header: str | None) -> str:
        """Return the client that asks: it is named in the form, or in an Authorization header (Basic)."""
        kind, _, words = (header or "").partition(" ")
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        if kind.lower() == "basic":
            name, _, secret = base64.b64decode(words).decode().partition(":")
        if name not in self.clients:
            raise OAuthRefusal("invalid_client", "The OAuth client was not found.", 401)
        if self.clients[name] != secret:
            raise OAuthRefusal("invalid_client", "The provided client secret is invalid.", 401)
        return name

    def _of_code(self, form: dict[str, str], client: str, now: float) -> Grant:
        code = self.codes.pop(form.get("code", ""), None)  # good for one use
        if code is None or code.grant.client != client or now >= code.until:
            raise OAuthRefusal("invalid_grant", "Malformed auth code.")
        if form.get("redirect_uri") != code.redirect:
            raise OAuthRefusal("redirect_uri_mismatch", "Bad Request")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if code.challenge and base64.urlsafe_b64encode(digest).decode().rstrip("=") != code.challenge:
            raise OAuthRefusal("invalid_grant", "Invalid code verifier.")
        return code.grant

    def _of_refresh(self, form: dict[str, str], client: str) -> Grant:
        grant = self.lasting.get(form.get("refresh_token", ""))
        if grant is None:
            raise OAuthRefusal("invalid_grant", "Token has been expired or revoked.")
        if grant.client != client:
            raise OAuthRefusal("unauthorized_client", "Unauthorized", 401)
        wanted = frozenset(form.get("scope", "").split())
        if not wanted <= grant.scopes:
            raise OAuthRefusal("invalid_scope", "Bad Request")
        return Grant(client, grant.user, wanted or grant.scopes)


def write_client(path: Path, client: Json, url: str, kind: str) -> Path:
    """An OAuth client's file, as the console gives it out; `kind` is installed or web."""
    more = {
        "project_id": "sheets-test",
        "auth_uri": f"{url}/o/oauth2/auth",
        "token_uri": f"{url}/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "redirect_uris": ["http://localhost"],
    }
    path.write_text(json.dumps({kind: client | more}), encoding="utf-8")
    return path


def write_user(path: Path, client: Json, token: str) -> Path:
    """Write the file that `gcloud auth application-default login` stores for a person."""
    path.write_text(json.dumps({"type": "authorized_user", **client, "refresh_token": token}), encoding="utf-8")
    return path
