"""Field masks: those of readers, with dots or slashes, and those of updates.

A reader writes `a.b,c(d,e/f)`.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from .errors import Refusal
from .state import Json

Mask: TypeAlias = dict[str, Any]  # field -> mask of what is in it; an empty one takes all


def parse(text: str) -> Mask:
    tokens = re.findall(r"[\w*]+|[,()./]", re.sub(r"\s", "", text))
    mask = _list(tokens)
    if tokens:
        raise ValueError(text)
    return mask


def _list(tokens: list[str]) -> Mask:
    mask: Mask = {}
    while tokens and tokens[0] != ")":
        _path(tokens, mask)
        if tokens and tokens[0] == ",":
            tokens.pop(0)
    return mask


def _path(tokens: list[str], mask: Mask) -> None:
    name = tokens.pop(0)
    if not re.fullmatch(r"\w+|\*", name):
        raise ValueError(name)
    known = mask.get(name)
    inner: Mask = {} if known is None else known
    follows = tokens[0] if tokens else ""
    if follows in (".", "/"):
        tokens.pop(0)
        _path(tokens, inner)
    elif follows == "(":
        tokens.pop(0)
        inner.update(_list(tokens))
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("(")
    else:
        inner = {}
    mask[name] = {} if known == {} else inner


def wants(mask: Mask | None, *path: str) -> bool:
    """True if a reader with this mask gets anything from this path."""
    for name in path:
        if not mask or "*" in mask:
            return True
        if name not in mask:
            return False
        mask = mask[name]
    return True


def within(mask: Mask | None, *path: str) -> Mask | None:
    """Return the part of a mask below this path; None takes all."""
    for name in path:
        if not mask:
            return None
        mask = mask.get(name, mask.get("*"))
    return mask or None


def applied(mask: Mask | None, answer: Any) -> Any:
    """Return the part of an answer that a mask selects."""
    if not mask:
        return answer
    if isinstance(answer, list):
        return [applied(mask, each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    if "*" in mask:
        return {name: applied(mask["*"] | mask.get(name, {}), value) for name, value in answer.items()}
    return {name: applied(mask[name], value) for name, value in answer.items() if name in mask}


# --- masks of updates -------------------------------------------------------------------------------


def paths(text: str | None) -> list[tuple[str, ...]]:
    """The fields that an update names; refuses one that names none."""
    if not text:
        raise Refusal(400, "At least one field must be listed in 'fields'. (Use '*' to indicate all fields.)")
    try:
        return [tuple(path) for path in _spread(parse(text))]
    except (ValueError, IndexError):
        raise Refusal(400, f"Invalid field: {text}") from None


def _spread(mask: Mask) -> list[list[str]]:
    found = []
    for name, inner in mask.items():
        found += [[name, *rest] for rest in _spread(inner)] if inner else [[name]]
    return found


def merged(old: Json | None, new: Json | None, path: tuple[str, ...]) -> Json:
    """`old` with what is at `path` taken from `new`, or taken away where `new` has nothing there."""
    old, new = dict(old or {}), new or {}
    name, rest = path[0], path[1:]
    if name == "*":
        return dict(new)
    value = merged(old.get(name), new.get(name), rest) if rest else new.get(name)
    if value is None or (rest and not value):
        old.pop(name, None)
    else:
        old[name] = value
    return old


def updated(old: Json | None, new: Json | None, fields: str | None) -> Json:
    result = dict(old or {})
    for path in paths(fields):
        result = merged(result, new, path)
    return result
