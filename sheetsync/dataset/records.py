"""What the dataset holds, and what a plan does to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sheetsync.images.records import Download
from sheetsync.rows.folder_names import folder_name, label_of
from sheetsync.rows.schema import SPLITS, UNLABELLED

_NAME = re.compile(r"([0-9a-f]{20})-([0-9a-f]{32})(\.[a-z]+)")


class Entry(NamedTuple):
    """One image of the mirror. `split` is train, val, test or unlabelled; `label` is "" where unlabelled.

    `folder` is the name of the folder it lies in, "" where that is the one of its label alone.
    """

    key: str
    digest: str
    split: str
    label: str
    suffix: str
    folder: str = ""

    @property
    def path(self) -> str:
        """Its place below the mirror, `train/iv/<key>-<digest>.png`."""
        name = f"{self.key}-{self.digest}{self.suffix}"
        return f"{self.split}/{self.folder or folder_name(self.label)}/{name}" if self.label else f"{self.split}/{name}"

    @classmethod
    def from_path(cls, path: str) -> Entry | None:
        """The inverse of `path`; None for a file that no entry has.

        >>> Entry.from_path("train/iv/notes.txt") is None
        True
        """
        place, _, name = path.rpartition("/")
        return cls.folder_reader(place)(name)

    @classmethod
    def folder_reader(cls, place: str) -> Callable[[str], Entry | None]:
        """What `at` says of the files in one folder, by their names."""
        split, _, name = place.partition("/")
        label = label_of(name)
        own = "" if name == folder_name(label) else name
        if place != UNLABELLED and (split not in SPLITS or not name or "/" in name):
            return lambda _: None

        def read(name: str) -> Entry | None:
            found = _NAME.fullmatch(name)
            return cls(found[1], found[2], split, label, found[3], own) if found else None

        return read


def image_in_name(path: str) -> tuple[str, str] | None:
    """Key and content digest of the image in a file of the mirror."""
    found = _NAME.fullmatch(path.rpartition("/")[2])
    return (found[1], found[2]) if found else None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the mirror holds, sorted."""

    entries: tuple[Entry, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, slots=True)
class Move:
    """The image stays, its split or label changed."""

    source: Entry
    target: Entry


@dataclass(frozen=True, slots=True)
class Delete:
    """No row asks for this image any more."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes the mirror say what the sheet says."""

    deletes: tuple[Delete, ...] = ()
    moves: tuple[Move, ...] = ()
    downloads: tuple[Download, ...] = ()
    refreshes: tuple[Download, ...] = ()
