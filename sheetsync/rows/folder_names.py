"""A label as the name of a folder, on any file system, and back: what no folder may be called is escaped as in URLs."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

# File systems take 255 bytes for a name; the rest is for telling twins apart, 2 to 8 bytes for each doubling of them.
MAX_NAME_BYTES = 200
# Of these no folder of Windows can be made, nor one that is hidden, and a percent sign here would be read as an escape.
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]|^\.|[. ]\Z|%(?=[0-9A-Fa-f]{2})')
DEVICE_NAME = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?= *(?:\.|\Z))", re.IGNORECASE)


@lru_cache(1 << 16)
def folder_name(label: str, variant: int = 0) -> str:
    """The name of the folder of a label; `label_of` is its inverse. Each bit of `twin` escapes one character more.

    >>> folder_name("50%"), folder_name("a/b"), folder_name("Con.1"), folder_name(".."), folder_name("cat", 0b101)
    ('50%', 'a%2Fb', '%43on.1', '%2E%2E', '%63a%74')
    """
    places = {match.start() for match in FORBIDDEN.finditer(label)}
    places |= {place for place in range(variant.bit_length()) if variant >> place & 1}
    places |= {0} if DEVICE_NAME.match(label) else set()
    name, escaped = "", False
    for place, char in enumerate(label) if places else ():
        # An accent would join the last digit of an escape before it.
        escaped = place in places or (escaped and unicodedata.combining(char) > 0)
        name += "".join(f"%{byte:02X}" for byte in char.encode()) if escaped else char
    return name or label


@lru_cache(1 << 16)
def label_of(name: str) -> str:
    """The label whose folder has this name, as `folder` or an earlier version gave it."""
    return unicodedata.normalize("NFC", unquote(name))


def disambiguate(labels: Iterable[str]) -> dict[str, str]:
    """The folders of those labels that some file system would put into the folder of another, label -> name.

    The first of them in order keeps the folder of its own. Depends on the set of labels only.

    >>> disambiguate(["cat", "Cat", "dog"])
    {'cat': '%63at'}
    """
    taken: set[str] = set()
    tried: Counter[str] = Counter()
    found: dict[str, str] = {}
    for label in sorted(set(labels)):
        plain = name = folder_name(label)
        alike = casefold_name(plain)
        while casefold_name(name) in taken:
            tried[alike] += 1
            name = folder_name(label, tried[alike])
        taken.add(casefold_name(name))
        found |= {label: name} if name != plain else {}
    return found


def casefold_name(name: str) -> str:
    """What names have in common that a file system may take for one: Unicode's canonical caseless matching."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def shorten_label(label: str) -> str:
    """A label that can name a folder: itself, or as much of its start as fits, and 8 hex characters of its SHA-256."""
    if len(label) <= MAX_NAME_BYTES and _size(label) <= MAX_NAME_BYTES:
        return label
    end = f"…{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    most = bisect_right(range(MAX_NAME_BYTES), MAX_NAME_BYTES, key=lambda length: _size(label[:length] + end))
    return label[: most - 1] + end


def _size(label: str) -> int:
    return len(folder_name(label).encode())
