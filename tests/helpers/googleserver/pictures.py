"""Files in Drive that are not documents: the API's access rules, and downloads by a link."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from .errors import DriveRefusal
from .wire import Answer

if TYPE_CHECKING:
    from .routes import Request
    from .world import World

HTML = "text/html; charset=utf-8"
BUSY = (
    "<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body><p>Sorry, you can't view or "
    "download this file at this time.</p><p>Too many users have viewed or downloaded this file recently. Please try "
    "accessing the file again later.</p></body></html>"
)
SIGN_IN = "<!doctype html><html><head><title>Google Drive: Sign-in</title></head><body>Sign in</body></html>"
VIRUS = "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body></body></html>"


@dataclass
class Picture:
    """`roles` has who may see it ("anyone" by its link); with a `resource_key` a link needs that, too."""

    content: bytes
    roles: dict[str, str] = field(default_factory=dict)
    kind: str = "image/png"
    resource_key: str = ""
    large: bool = False  # too large for the scan for viruses: a page asks first
    busy: bool = False


def put(world: World, picture: Picture) -> str:
    """Store it; return its id."""
    name = "1" + secrets.token_urlsafe(24)
    world.pictures[name] = picture
    return name


def media(world: World, request: Request, resource_keys: str) -> Answer:
    """Return the content to a user who may see it."""
    name = request.path["fileId"]
    picture = world.pictures.get(name)
    seen = picture is not None and (
        request.user in picture.roles
        or (
            "anyone" in picture.roles and _has_key(picture, dict(re.findall(r"([^,/]+)/([^,/]+)", resource_keys)), name)
        )
    )
    if picture is None or not seen:
        where = {"locationType": "parameter", "location": "fileId"}
        raise DriveRefusal(404, "notFound", f"File not found: {name}.", **where)
    return Answer(200, picture.content, picture.kind)


def _has_key(picture: Picture, given: dict[str, str], name: str) -> bool:
    return not picture.resource_key or given.get(name) == picture.resource_key


def public(world: World, path: str, query: str) -> Answer:
    """Answer as drive.usercontent.google.com: the file for anybody, or a redirect to the sign-in."""
    if path == "/ServiceLogin":
        return Answer(200, SIGN_IN.encode(), HTML)
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    name = given.get("id", "")
    picture = world.pictures.get(name)
    if picture is None:
        return Answer(404, b"<!DOCTYPE html><html><body>Error 404 (Not Found)!!1</body></html>", HTML)
    if "anyone" not in picture.roles or not _has_key(picture, {name: given.get("resourcekey", "")}, name):
        return Answer(302, b"", HTML, (("Location", "/ServiceLogin?service=wise"),))
    if picture.busy:
        return Answer(200, BUSY.encode(), HTML)
    if picture.large and given.get("confirm") != "t":
        return Answer(200, VIRUS.encode(), HTML)
    return Answer(200, picture.content, picture.kind)
