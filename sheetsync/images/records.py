"""Records that pass between fetching and the store: a download, its result, its failure."""

from __future__ import annotations

from dataclasses import dataclass

from sheetsync.rows.records import Row


@dataclass(frozen=True, slots=True)
class FetchRecord:
    """The content of an address: its digest (32 hex characters of SHA-256) and the suffix of its file in the dataset.

    `original_suffix` is the suffix of the downloaded bytes where the dataset shows a rendering of them, else "".
    `phash` is their perceptual hash (16 hex characters, "" = not known). `checked_at` is when the address was last
    requested (seconds since 1970), and `validator` the ETag or date that its server gave for this content.
    `changed_at` is when the content last turned out to differ from the one before, 0 = never.
    """

    # arrivals.tsv has its columns in the order of these fields.
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
    """A request to fetch the image of a row; its place in the dataset is decided when its digest is known.

    `known` is the last record of its address, where the server is only asked whether the content has changed.
    """

    row: Row
    known: FetchRecord | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be fetched, and why. `passing` = transient: it may work later without any change here.

    It failed on `times` passes, most recently at `last` (seconds since 1970), and is tried again on the first pass
    after `until`; all 0 where every pass tries. `local` = this machine refused without sending a request. For
    `pause` seconds its server asks to be left alone.
    """

    # The keys of failed.json and of `--json` are the names of these fields.
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
