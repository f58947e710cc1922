"""Validate requests and answers strictly, by the discovery documents that google-api-python-client ships."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import googleapiclient
import jsonschema

from .errors import Refusal, bad_field
from .masks import Mask
from .state import Json

SAMPLED = 150  # of a list this many are validated, from its beginning; the rest of a huge read was made the same way
KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


@functools.cache
def document(service: str) -> Json:
    """The discovery document of `sheets.v4` or `drive.v3`."""
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    found: Json = json.loads((folder / f"{service}.json").read_text(encoding="utf-8"))
    return found


def _strict(schema: Json) -> Json:
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kind = schema.get("type")
    if kind == "array":
        return {"type": "array", "items": _strict(schema["items"])}
    if kind == "object":
        more = schema.get("additionalProperties")
        properties = {name: _strict(each) for name, each in schema.get("properties", {}).items()}
        return {"type": "object", "properties": properties, "additionalProperties": _strict(more) if more else False}
    if kind == "any":
        return {}
    found: Json = {"type": kind}
    if "enum" in schema:
        found["enum"] = schema["enum"]
    if schema.get("format") in ("int32", "uint32"):
        found |= {"minimum": -(2**31), "maximum": 2**32}
    return found


@functools.cache
def _validator(service: str, name: str) -> jsonschema.Draft202012Validator:
    definitions = {each: _strict(schema) for each, schema in document(service)["schemas"].items()}
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})


def violations(service: str, name: str, answer: Any) -> list[str]:
    """Return what is wrong with an answer; of very long lists only the beginning is checked."""
    errors = _validator(service, name).iter_errors(_sample(answer))
    return [f"{name} {error.json_path}: {error.message[:300]}" for error in errors]


def _sample(value: Any) -> Any:
    if isinstance(value, list):
        return [_sample(each) for each in value[:SAMPLED]]
    if isinstance(value, dict):
        return {name: _sample(each) for name, each in value.items()}
    return value


# --- requests ---------------------------------------------------------------------------------------


def check_request(name: str, body: Any) -> None:
    """Refuse a body of Sheets with an unknown field, or one of another type; null is always allowed."""
    if body is None:
        return
    if not isinstance(body, dict):
        raise bad_field("", "Invalid JSON payload received. Root element must be a message.")
    _check(document("sheets.v4")["schemas"][name], body, "")


def _check(schema: Json, value: Any, at: str) -> None:
    if value is None:
        return
    if "$ref" in schema:
        schema = document("sheets.v4")["schemas"][schema["$ref"]]
    kind: str = schema["type"]
    if kind == "any":
        return
    if kind in ("integer", "number") and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return
    wrong = not isinstance(value, KINDS[kind]) or (kind in ("integer", "number") and isinstance(value, bool))
    if wrong or ("enum" in schema and value not in schema["enum"]):
        label = "TYPE_ENUM" if "enum" in schema else f"TYPE_{schema.get('format', kind).upper()}"
        raise bad_field(at, f"Invalid value at '{at}' ({label}), {json.dumps(value)}")
    if kind == "array":
        _check_list(schema["items"], value, at)
    elif kind == "object":
        _check_object(schema, value, at)


def _check_list(items: Json, value: list[Any], at: str) -> None:
    if items == {"type": "array", "items": {"type": "any"}} or items == {"type": "any"}:  # values: a fast way
        for index, each in enumerate(value):
            if items["type"] == "array" and not isinstance(each, list):
                place, kind = f"{at}[{index}]", "type.googleapis.com/google.protobuf.ListValue"
                raise bad_field(place, f"Invalid value at '{place}' ({kind}), {json.dumps(each)}")
        return
    for index, each in enumerate(value):
        _check(items, each, f"{at}[{index}]")


def _check_object(schema: Json, value: Json, at: str) -> None:
    known, more = schema.get("properties", {}), schema.get("additionalProperties")
    for name, each in value.items():
        inner = known.get(name) or more
        if inner is None:
            place = f" at '{at}'" if at else ""
            raise bad_field(at, f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.')
        _check(inner, each, f"{at}.{_snake(name)}" if at else _snake(name))


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


# --- masks ------------------------------------------------------------------------------------------


def check_mask(service: str, name: str, mask: Mask) -> None:
    """Refuse a mask with a field that the answer cannot have."""
    wrong = _wrong_path(service, {"$ref": name}, mask, "")
    if wrong:
        text = f"Error expanding 'fields' parameter. Cannot find matching fields for path '{wrong}'."
        raise bad_field(wrong, text, "Request contains an invalid argument.")


def _wrong_path(service: str, schema: Json, mask: Mask, at: str) -> str | None:
    while "$ref" in schema or schema.get("type") == "array":
        schema = document(service)["schemas"][schema["$ref"]] if "$ref" in schema else schema["items"]
    for name, inner in mask.items():
        path = f"{at}.{name}" if at else name
        found = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
        if name == "*":
            continue
        if found is None:
            return path
        if inner and (wrong := _wrong_path(service, found, inner, path)):
            return wrong
    return None


def known_path(name: str, path: tuple[str, ...]) -> bool:
    """True if this message has such a field; for the masks of updates."""
    nested: Mask = {}
    for part in reversed(path):
        nested = {part: nested}
    return _wrong_path("sheets.v4", {"$ref": name}, nested, "") is None


def request_schema(kind: str) -> str | None:
    """The name of the message for a kind of request in a batch."""
    found = document("sheets.v4")["schemas"]["Request"]["properties"].get(kind)
    return None if found is None else str(found["$ref"])


def refuse_unknown(name: str, path: tuple[str, ...]) -> None:
    if not known_path(name, path):
        raise Refusal(400, f"Invalid field: {'.'.join(path)}")
