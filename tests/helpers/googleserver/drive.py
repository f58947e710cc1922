"""The methods of Drive v3 that a client of spreadsheets needs."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import re
from collections.abc import Callable

from . import a1, values
from .errors import DriveRefusal
from .routes import Request
from .state import Book, Json
from .world import RANKS, Document, World

TEXT = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
TERM = re.compile(
    rf"\s*(?:(?P<field>mimeType|name)\s*(?P<test>=|!=|contains)\s*(?P<text>{TEXT})|parents\s+in\s+(?P<folder>{TEXT})"
    rf"|(?P<parent>{TEXT})\s+in\s+parents|trashed\s*=\s*(?P<trashed>true|false))\s*(?:and\b|$)"
)
Method = Callable[[World, Request], "Json | bytes | None"]


def _time(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _open(world: World, request: Request, role: str = "reader") -> Document:
    file_id = request.path["fileId"]
    document = world.documents.get(file_id)
    if document is None or not document.may(request.user, "reader"):
        where = {"locationType": "parameter", "location": "fileId"}
        raise DriveRefusal(404, "notFound", f"File not found: {file_id}.", **where)
    if not document.may(request.user, role):
        text = "The user does not have sufficient permissions for this file."
        raise DriveRefusal(403, "insufficientFilePermissions", text)
    return document


def _file(world: World, document: Document, user: str) -> Json:
    book = document.book
    owners = [name for name, role in document.roles.items() if role == "owner"]
    return {
        "kind": "drive#file",
        "id": book.id,
        "name": book.properties.get("title", ""),
        "mimeType": document.mime,
        "createdTime": _time(document.created),
        "modifiedTime": _time(document.modified(world.clock() - world.switches.drive_lag)),
        "version": str(document.version),
        "parents": document.parents,
        "trashed": False,
        "ownedByMe": user in owners,
        "webViewLink": f"https://docs.google.com/spreadsheets/d/{book.id}/edit?usp=drivesdk",
        "owners": [{"kind": "drive#user", "emailAddress": name} for name in owners],
        "permissions": [_permission(name, role) for name, role in document.roles.items()],
        "capabilities": {"canEdit": document.may(user, "writer")},
    }


def _brief(request: Request, found: Json, *names: str) -> Json:
    """Return the few fields that are sent without a mask."""
    return found if request.mask else {name: found[name] for name in names}


def get(world: World, request: Request) -> Json:
    found = _file(world, _open(world, request), request.user)
    return _brief(request, found, "kind", "id", "name", "mimeType")


def _refuse_storage(world: World) -> None:
    if not world.switches.drive_storage:
        text = "The user's Drive storage quota has been exceeded."
        raise DriveRefusal(403, "storageQuotaExceeded", text, "usageLimits")


def create(world: World, request: Request) -> Json:
    _refuse_storage(world)
    document = world.add(request.body.get("name") or "Untitled", request.user)
    document.mime = request.body.get("mimeType") or "application/octet-stream"
    document.parents = request.body.get("parents") or document.parents
    return _brief(request, _file(world, document, request.user), "kind", "id", "name", "mimeType")


def copy(world: World, request: Request) -> Json:
    source = _open(world, request)
    _refuse_storage(world)
    title = request.body.get("name") or f"Copy of {source.book.properties['title']}"
    twin = world.copied(source, title, request.user)
    twin.parents = request.body.get("parents") or twin.parents
    return _brief(request, _file(world, twin, request.user), "kind", "id", "name", "mimeType")


def update(world: World, request: Request) -> Json:
    document = _open(world, request, "writer")
    if request.body.get("name"):
        document.book.properties = document.book.properties | {"title": request.body["name"]}
        document.touch(world.clock())
    return _brief(request, _file(world, document, request.user), "kind", "id", "name", "mimeType")


def delete(world: World, request: Request) -> None:
    _open(world, request, "owner")
    del world.documents[request.path["fileId"]]


def list_files(world: World, request: Request) -> Json:
    tests = _query(request.one("q") or "")
    found = [doc for doc in world.documents.values() if doc.may(request.user, "reader")]
    found = [doc for doc in found if all(test(doc) for test in tests)]
    first, size = int(request.one("pageToken") or 0), int(request.one("pageSize") or 100)
    files = [_file(world, document, request.user) for document in found[first : first + size]]
    if not request.mask:
        files = [{name: each[name] for name in ("kind", "id", "name", "mimeType")} for each in files]
    answer: Json = {"kind": "drive#fileList", "incompleteSearch": False, "files": files}
    return answer | ({"nextPageToken": str(first + size)} if first + size < len(found) else {})


def _query(text: str) -> list[Callable[[Document], bool]]:
    tests, at = [], 0
    while at < len(text):
        match = TERM.match(text, at)
        if match is None:
            raise DriveRefusal(400, "invalid", "Invalid Value", locationType="parameter", location="q")
        tests.append(_term(match))
        at = match.end()
    return tests


def _text(found: str) -> str:
    return re.sub(r"\\(.)", r"\1", found[1:-1])


def _term(match: re.Match[str]) -> Callable[[Document], bool]:
    if match["trashed"]:
        return lambda _: match["trashed"] == "false"
    folder = match["folder"] or match["parent"]
    if folder:
        return lambda document: _text(folder) in document.parents
    wanted, test = _text(match["text"]), match["test"]

    def holds(document: Document) -> bool:
        own = document.mime if match["field"] == "mimeType" else document.book.properties.get("title", "")
        return wanted.lower() in own.lower() if test == "contains" else (own == wanted) is (test == "=")

    return holds


def export(world: World, request: Request) -> bytes:
    """The first tab as text, as people see it."""
    book = _open(world, request).book
    if request.one("mimeType") != "text/csv":
        text = "The requested conversion is not supported."
        raise DriveRefusal(400, "badRequest", text, locationType="parameter", location="convertTo")
    return as_csv(book, world).encode()


def as_csv(book: Book, world: World) -> str:
    sheet = book.sheets[0]
    got = values.get(book, a1.parse(a1.quoted(sheet.title), book), {}, switches=world.switches)
    rows = got.get("values", [])
    width = max(map(len, rows), default=0)
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(row + [""] * (width - len(row)) for row in rows)
    return out.getvalue().removesuffix("\r\n")


# --- permissions ------------------------------------------------------------------------------------


def permission_id(user: str) -> str:
    return str(int(hashlib.sha256(user.encode()).hexdigest()[:16], 16))


def _permission(user: str, role: str) -> Json:
    known = {"kind": "drive#permission", "id": permission_id(user), "role": role}
    if user == "anyone":
        return known | {"type": "anyone"}
    return known | {"type": "user", "emailAddress": user, "displayName": user, "deleted": False}


def _by_id(document: Document, wanted: str) -> str:
    for user in document.roles:
        if permission_id(user) == wanted:
            return user
    where = {"locationType": "parameter", "location": "permissionId"}
    raise DriveRefusal(404, "notFound", f"Permission not found: {wanted}.", **where)


def list_permissions(world: World, request: Request) -> Json:
    document = _open(world, request, "writer")
    found = [_permission(user, role) for user, role in document.roles.items()]
    if not request.mask:
        found = [{name: each[name] for name in ("kind", "id", "type", "role")} for each in found]
    return {"kind": "drive#permissionList", "permissions": found}


def create_permission(world: World, request: Request) -> Json:
    document, body = _open(world, request, "writer"), request.body
    user = "anyone" if body.get("type") == "anyone" else body.get("emailAddress") or ""
    if body.get("role") not in RANKS or not user:
        raise DriveRefusal(400, "invalid", "The permission role or type field is required.")
    document.roles[user] = body["role"]
    return _brief(request, _permission(user, body["role"]), "kind", "id", "type", "role")


def update_permission(world: World, request: Request) -> Json:
    document = _open(world, request, "writer")
    user = _by_id(document, request.path["permissionId"])
    document.roles[user] = request.body.get("role") or document.roles[user]
    return _brief(request, _permission(user, document.roles[user]), "kind", "id", "type", "role")


def delete_permission(world: World, request: Request) -> None:
    document = _open(world, request, "writer")
    del document.roles[_by_id(document, request.path["permissionId"])]


def list_comments(world: World, request: Request) -> Json:
    """Return no comments."""
    _open(world, request)
    return {"kind": "drive#commentList", "comments": []}


METHODS: dict[str, Method] = {
    "comments.list": list_comments,
    "files.get": get,
    "files.create": create,
    "files.copy": copy,
    "files.update": update,
    "files.delete": delete,
    "files.list": list_files,
    "files.export": export,
    "permissions.list": list_permissions,
    "permissions.create": create_permission,
    "permissions.update": update_permission,
    "permissions.delete": delete_permission,
}
