"""The files that Google gives out: a service account's key, a user's, or an OAuth client to sign in with."""

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
DESKTOP_CLIENT = "installed"  # what Google calls an OAuth client of type “Desktop app”
REQUIRED_FIELDS: dict[KeyKind, tuple[str, ...]] = {
    "service_account": ("client_email", "private_key", "token_uri"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "installed": ("client_id", "client_secret", "auth_uri", "token_uri"),
}
_LONG = re.compile(r"\S{24,}")  # keys, tokens and secrets are single long words
log = logging.getLogger("sheetsync")


def read_key(path: Path) -> tuple[KeyKind, Json]:
    """What kind of key file this is, and what it holds, complete. Raises `SheetError`, without any of its content."""
    found = read_json(path, "download it from the Google console again")
    if "web" in found:
        raise SheetError(
            f"{path} is an OAuth client for web servers: make one of type “Desktop app” in the Google console, and "
            "save its file there"
        )
    if DESKTOP_CLIENT in found:
        return "installed", _complete(path, "installed", found[DESKTOP_CLIENT])
    for kind in REQUIRED_FIELDS:
        if found.get("type") == kind:
            return kind, _complete(path, kind, found)
    raise SheetError(
        f"{path} is neither the key of a service account nor an OAuth client of type “Desktop app”: see “A Google "
        "Sheet” in the README"
    )


def read_json(path: Path, todo: str) -> Json:
    """A JSON object in a file that is a secret. Raises `SheetError` that ends with `todo`."""
    _warn_of_readers(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SheetError(f"{path} cannot be read ({error.strerror}): {todo}") from error
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SheetError(f"{path} is not a file of the kind that Google gives out, or a part of one: {todo}")
    return found


def redact(said: object) -> str:
    """Words of a server, short, and without what could be a secret that it repeats."""
    return shorten(" ".join(_LONG.sub("…", str(said)).split()), 160)


def _complete(path: Path, kind: KeyKind, found: Any) -> Json:
    info: Json = found if isinstance(found, dict) else {}
    missing = [name for name in REQUIRED_FIELDS[kind] if not isinstance(info.get(name), str) or not info[name].strip()]
    if missing:
        raise SheetError(f"{path} has no usable {', '.join(missing)}: download it from the Google console again")
    return info


def _warn_of_readers(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & 0o077:  # elsewhere these bits mean nothing
        log.warning("%s can be read by others on this machine: chmod 600 %s", path, path)
