"""Access tokens: for the signed claim of a service account, or the grant of a person at the consent screen."""

from __future__ import annotations

import base64
import functools
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .errors import OAuthRefusal
from .signin import CODE, REFRESH, SignIns
from .state import Json

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"  # what google-auth always names
LIFETIME = 3600
SKEW = 300  # seconds by which the clock of who asks may be wrong
NOT_OF_NOW = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp "
    "values in the JWT claim."
)


@functools.cache
def key_pair() -> rsa.RSAPrivateKey:
    """A key for this run of the tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Token:
    user: str
    scopes: frozenset[str]
    until: float


@dataclass
class Tokens:
    """Access tokens that were given out."""

    url: str
    given: dict[str, Token] = field(default_factory=dict)
    people: SignIns = field(default_factory=SignIns)
    refused: str = ""  # set it and claims are refused with this error, as for a deleted account: invalid_grant
    why: str = "Invalid JWT Signature."  # what is said then
    strict: bool = False  # claims must be of this hour by the server's clock, as Google wants them

    def grant(self, form: dict[str, str], header: str | None, now: float) -> Json:
        """Answer a claim, a code or a refresh token; refuse one that is not valid."""
        if form.get("grant_type") in (CODE, REFRESH):
            grant, more = self.people.redeem(form, header, now)
            return self._new(grant.user, grant.scopes, now) | {"scope": " ".join(sorted(grant.scopes))} | more
        return self._of_claim(form, now)

    def _of_claim(self, form: dict[str, str], now: float) -> Json:
        """Answer a claim; refuse one that is not signed, for another audience, or expired."""
        if self.refused:
            raise OAuthRefusal(self.refused, self.why)
        if form.get("grant_type") != GRANT:
            raise OAuthRefusal("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        claim = _verified(form.get("assertion", ""))
        if claim.get("aud") not in (self.url, AUDIENCE):
            raise OAuthRefusal("invalid_grant", "Invalid JWT: aud does not name this endpoint.")
        if self.strict and not claim["iat"] - SKEW <= now <= claim["exp"] + SKEW:
            raise OAuthRefusal("invalid_grant", NOT_OF_NOW)
        return self._new(str(claim.get("iss")), frozenset(str(claim.get("scope", "")).split()), now)

    def _new(self, user: str, scopes: frozenset[str], now: float) -> Json:
        token = "ya29." + secrets.token_urlsafe(24)
        self.given[token] = Token(user, scopes, now + LIFETIME)
        return {"access_token": token, "expires_in": LIFETIME - 1, "token_type": "Bearer"}

    def holder(self, header: str | None, now: float) -> Token | None:
        """Return the holder of the token in an Authorization header."""
        kind, _, token = (header or "").partition(" ")
        found = self.given.get(token) if kind.lower() == "bearer" else None
        return found if found and now < found.until else None


def _part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verified(assertion: str) -> Json:
    try:
        head, claim, signature = assertion.split(".")
        signed = f"{head}.{claim}".encode()
        key_pair().public_key().verify(_part(signature), signed, padding.PKCS1v15(), hashes.SHA256())
        found: Json = json.loads(_part(claim))
    except (ValueError, InvalidSignature):
        raise OAuthRefusal("invalid_grant", "Invalid JWT Signature.") from None
    return found


def write_key(path: Path, email: str, token_url: str) -> Path:
    """A service account's key file, as the console gives it out."""
    pem = key_pair().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {
        "type": "service_account",
        "project_id": email.partition("@")[2].partition(".")[0],
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": "100000000000000000001",
        "token_uri": token_url,
        "universe_domain": "googleapis.com",
    }
    path.write_text(json.dumps(key, indent=2) + "\n", encoding="utf-8")
    return path
