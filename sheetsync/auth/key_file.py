"""Read Google's key files (credentials.json): a service account's key, a user's, or an OAuth client."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sheetsync.common.text import shorten
from sheetsync.common.types import Json
from sheetsync.errors import SheetError

KeyKind: TypeAlias = Literal["service_account", "authorized_user", "installed"]

SCOPE = "https://www.googleapis.com/auth/spreadsheets"
DESKTOP_CLIENT = "installed"  # an OAuth client of type “Desktop app”, as Google's file calls it
REQUIRED_FIELDS: dict[KeyKind, tuple[str, ...]] = {
    "service_account": ("client_email", "private_key", "token_uri"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "installed": ("client_id", "client_secret", "auth_uri", "token_uri"),
}
_LONG_WORD = re.compile(r"\S{24,}")  # keys, tokens and secrets are single long words
log = logging.getLogger("sheetsync")


def read_key(path: Path) -> tuple[KeyKind, Json]:
    """Return the kind of a key file and its fields, all present. Raises `SheetError`, without any of its content."""
    content = read_json(path, "download it from the Google console again")
    if "web" in content:
        raise SheetError(
            f"{path} is an OAuth client for web servers: make one of type “Desktop app” in the Google console, and "
            "save its file there"
        )
    if DESKTOP_CLIENT in content:
        return "installed", _check_fields(path, "installed", content[DESKTOP_CLIENT])
    for kind in REQUIRED_FIELDS:
        if content.get("type") == kind:
            return kind, _check_fields(path, kind, content)
    raise SheetError(
        f"{path} is neither the key of a service account nor an OAuth client of type “Desktop app”: see “A Google "
        "Sheet” in the README"
    )


def read_json(path: Path, todo: str) -> Json:
    """Read a JSON object from a file that is a secret. Raises a `SheetError` that ends with `todo`.

    Logs a warning where other users of this machine can read the file.
    """
    if os.name == "posix" and path.stat().st_mode & 0o077:  # elsewhere these bits mean nothing
        log.warning("%s can be read by others on this machine: chmod 600 %s", path, path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SheetError(f"{path} cannot be read ({error.strerror}): {todo}") from error
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise SheetError(f"{path} is not a file of the kind that Google gives out, or a part of one: {todo}")
    return content


def redact(message: object) -> str:
    """Shorten a server's message and remove every long word from it, for it may repeat a secret."""
    return shorten(" ".join(_LONG_WORD.sub("…", str(message)).split()), 160)


def _check_fields(path: Path, kind: KeyKind, content: Any) -> Json:
    info: Json = content if isinstance(content, dict) else {}
    missing = [name for name in REQUIRED_FIELDS[kind] if not isinstance(info.get(name), str) or not info[name].strip()]
    if missing:
        raise SheetError(f"{path} has no usable {', '.join(missing)}: download it from the Google console again")
    return info
