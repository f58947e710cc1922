"""Route requests to methods of a service, by the discovery documents."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from .discovery import check_mask, check_request, document
from .errors import DriveRefusal, Refusal, bad_field
from .masks import Mask, parse
from .state import Json

READS_BY_POST = ("getByDataFilter", "batchGetByDataFilter", "search")


@dataclass(frozen=True)
class Route:
    service: str
    name: str  # as spreadsheets.values.get
    method: str
    pattern: re.Pattern[str]
    weight: int
    described: Json

    @property
    def is_read(self) -> bool:
        return self.method == "GET" or self.name.rpartition(".")[2] in READS_BY_POST

    @property
    def answer(self) -> str:
        return str(self.described.get("response", {}).get("$ref", ""))


@dataclass
class Request:
    """A request that found its method."""

    route: Route
    user: str
    path: dict[str, str]
    query: dict[str, list[str]]
    body: Json = field(default_factory=dict)
    mask: Mask | None = None

    def one(self, name: str) -> str | None:
        return self.query[name][-1] if name in self.query else None

    def yes(self, name: str) -> bool:
        return (self.one(name) or "").lower() == "true"

    @property
    def options(self) -> Json:
        """Query parameters as the body of a batch has them."""
        found: Json = {name: values[-1] for name, values in self.query.items()}
        if "includeValuesInResponse" in found:
            found["includeValuesInResponse"] = self.yes("includeValuesInResponse")
        return found


def _methods(service: str, resource: Json, prefix: str = "") -> Iterator[tuple[str, Json]]:
    for name, method in resource.get("methods", {}).items():
        yield prefix + name, method
    for name, inner in resource.get("resources", {}).items():
        yield from _methods(service, inner, f"{prefix}{name}.")


@functools.cache
def routes() -> list[Route]:
    """Every method of both services; those with more fixed text first."""
    found = []
    for service in ("sheets.v4", "drive.v3"):
        base = "/" + document(service)["servicePath"]
        for name, method in _methods(service, document(service)):
            path = base + method.get("flatPath", method["path"])
            pattern = "".join(
                f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else re.escape(part)
                for part in re.split(r"(\{\w+\})", path)
            )
            weight = len(re.sub(r"\{\w+\}", "", path))
            found.append(Route(service, name, method["httpMethod"], re.compile(pattern + "/?"), weight, method))
    return sorted(found, key=lambda route: -route.weight)


def find(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    for route in routes():
        if route.method == method and (match := route.pattern.fullmatch(raw_path)):
            return route, {name: unquote(value) for name, value in match.groupdict().items()}
    raise Refusal(404, "Method not found.")


def request_of(route: Route, path: dict[str, str], query: str, content: bytes, user: str) -> Request:
    """Return the request, after checking that it has no unknown parameters."""
    found = Request(route, user, path, parse_qs(query, keep_blank_values=True))
    if route.service == "sheets.v4":
        _check_query(route, found.query)
    if content:
        found.body = _body(content)
    if route.service == "sheets.v4" and "request" in route.described:
        check_request(route.described["request"]["$ref"], found.body)
    if found.one("fields"):
        found.mask = _mask(route, found.one("fields") or "")
    return found


def _no_number(text: str) -> None:
    raise ValueError(text)


def _body(content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=_no_number)
    except ValueError:
        text = "Invalid JSON payload received. Parsing terminated before end of input."
        raise bad_field("", text) from None


def _check_query(route: Route, query: dict[str, list[str]]) -> None:
    known = route.described.get("parameters", {}) | document(route.service)["parameters"]
    for name, values in query.items():
        if name not in known:
            text = f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
            raise bad_field("", f"{text}Field '{name}' could not be found in request message.")
        for value in values:
            if "enum" in known[name] and value not in known[name]["enum"]:
                place = re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)
                raise bad_field(place, f"Invalid value at '{place}' (TYPE_ENUM), \"{value}\"")


def _mask(route: Route, text: str) -> Mask:
    try:
        mask = parse(text)
        if route.answer:
            check_mask(route.service, route.answer, mask)
    except (ValueError, IndexError):
        raise _bad_mask(route, text) from None
    except Refusal as refusal:
        raise (refusal if route.service == "sheets.v4" else _bad_mask(route, text)) from None
    return mask


def _bad_mask(route: Route, text: str) -> Refusal:
    if route.service == "drive.v3":
        where = {"locationType": "parameter", "location": "fields"}
        return DriveRefusal(400, "invalidParameter", f"Invalid field selection {text}", **where)
    return bad_field("fields", f"Error parsing 'fields' parameter: {text}", "Request contains an invalid argument.")
