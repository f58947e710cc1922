"""Label to folder name and back, for any file system: forbidden names and characters are percent-encoded."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

# File systems allow 255 bytes; the rest tells names apart that differ in case only, 2 to 8 bytes per doubling of them.
MAX_NAME_BYTES = 200
# Forbidden on Windows, or a hidden folder, or a percent sign that would be read as an escape.
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]|^\.|[. ]\Z|%(?=[0-9A-Fa-f]{2})')
DEVICE_NAME = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?= *(?:\.|\Z))", re.IGNORECASE)


@lru_cache(1 << 16)
def folder_name(label: str, variant: int = 0) -> str:
    """Return the folder name of a label; `label_of` is its inverse. Each bit of `variant` escapes one more character.

    >>> folder_name("50%"), folder_name("a/b"), folder_name("Con.1"), folder_name(".."), folder_name("cat", 0b101)
    ('50%', 'a%2Fb', '%43on.1', '%2E%2E', '%63a%74')
    """
    to_escape = {match.start() for match in FORBIDDEN.finditer(label)}
    to_escape |= {index for index in range(variant.bit_length()) if variant >> index & 1}
    to_escape |= {0} if DEVICE_NAME.match(label) else set()
    name, escaped = "", False
    for index, char in enumerate(label) if to_escape else ():
        # An accent would combine with the last digit of an escape before it.
        escaped = index in to_escape or (escaped and unicodedata.combining(char) > 0)
        name += "".join(f"%{byte:02X}" for byte in char.encode()) if escaped else char
    return name or label


@lru_cache(1 << 16)
def label_of(name: str) -> str:
    """Return the label whose folder has this name, as `folder_name` or an earlier version of it made it."""
    return unicodedata.normalize("NFC", unquote(name))


def disambiguate(labels: Iterable[str]) -> dict[str, str]:
    """Return other folder names for labels that a case-insensitive file system would take for one, label -> name.

    The first of such labels in order keeps its usual name. Depends on the set of labels only.

    >>> disambiguate(["cat", "Cat", "dog"])
    {'cat': '%63at'}
    """
    taken: set[str] = set()
    variants: Counter[str] = Counter()
    renamed: dict[str, str] = {}
    for label in sorted(set(labels)):
        usual = name = folder_name(label)
        folded = casefold_name(usual)
        while casefold_name(name) in taken:
            variants[folded] += 1
            name = folder_name(label, variants[folded])
        taken.add(casefold_name(name))
        renamed |= {label: name} if name != usual else {}
    return renamed


def casefold_name(name: str) -> str:
    """Fold a name so that names which a file system may take for one are equal (canonical caseless matching)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def shorten_label(label: str) -> str:
    """Cut a label that is too long for a folder name, and end it with 8 hex characters of its SHA-256."""
    if len(label) <= MAX_NAME_BYTES and _encoded_size(label) <= MAX_NAME_BYTES:
        return label
    suffix = f"…{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    fitting = bisect_right(
        range(MAX_NAME_BYTES), MAX_NAME_BYTES, key=lambda length: _encoded_size(label[:length] + suffix)
    )  # lengths from 0 on
    return label[: fitting - 1] + suffix


def _encoded_size(label: str) -> int:
    return len(folder_name(label).encode())
