"""What passes between fetching and the store: downloads, arrivals, failures."""

from __future__ import annotations

from dataclasses import dataclass

from sheetsync.rows.records import Row


@dataclass(frozen=True, slots=True)
class FetchRecord:
    """The content an address gave: its digest (32 hex characters of SHA-256) and the suffix it takes in the mirror.

    `original_suffix` is the suffix of the bytes that came, where the mirror shows another rendering of them, else "".
    `look` is their perceptual hash (16 hex characters, "" = not known), `checked_at` when the address was last asked
    (seconds since 1970), and `mark` what it called this content then: an ETag or a date. `changed_at` is when it gave
    something else than before, 0 = never.
    """

    key: str
    digest: str
    suffix: str
    original_suffix: str = ""
    phash: str = ""
    checked_at: int = 0
    changed_at: int = 0
    validator: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch the image of a row; where it goes is decided when its digest is known.

    `known` is what its address gave before, where it shall only be asked whether it still does.
    """

    row: Row
    known: FetchRecord | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be had, and why. `passing` = it may work again without anybody's doing.

    It was tried on `times` passes, the `last` one over then (seconds since 1970), and is tried again on the first pass
    after `until`; all 0 where every pass tries. `local` = that was found on this machine, with nobody asked. For
    `pause` seconds its server wants to be left alone.
    """

    key: str
    number: int
    url: str
    reason: str
    passing: bool = False
    times: int = 0
    last: int = 0
    until: int = 0
    local: bool = False
    pause: int = 0
