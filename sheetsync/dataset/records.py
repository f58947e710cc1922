"""Values of the dataset: an image in it, the manifest of all, and the plan that changes it."""

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
    """One image of the dataset. `split` is train, val, test or unlabelled; `label` is "" where unlabelled.

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
        """Its path below the dataset folder, `train/iv/<key>-<digest>.png`."""
        name = f"{self.key}-{self.digest}{self.suffix}"
        return f"{self.split}/{self.folder or folder_name(self.label)}/{name}" if self.label else f"{self.split}/{name}"

    @classmethod
    def from_path(cls, path: str) -> Entry | None:
        """Parse a path, the inverse of `path`; None for a file of another name.

        >>> Entry.from_path("train/iv/notes.txt") is None
        True
        """
        folder, _, name = path.rpartition("/")
        return cls.folder_reader(folder)(name)

    @classmethod
    def folder_reader(cls, folder: str) -> Callable[[str], Entry | None]:
        """Return a `from_path` for the file names in one folder, which is parsed once."""
        split, _, name = folder.partition("/")
        label = label_of(name)
        own = "" if name == folder_name(label) else name
        if folder != UNLABELLED and (split not in SPLITS or not name or "/" in name):
            return lambda _: None

        def read(name: str) -> Entry | None:
            found = _NAME.fullmatch(name)
            return cls(found[1], found[2], split, label, found[3], own) if found else None

        return read


def image_in_name(path: str) -> tuple[str, str] | None:
    """Return key and content digest from the name of an image file; None for another name."""
    found = _NAME.fullmatch(path.rpartition("/")[2])
    return (found[1], found[2]) if found else None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The entries that the dataset holds, sorted."""

    entries: tuple[Entry, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, slots=True)
class Move:
    """An image that stays while its split or label changes."""

    source: Entry
    target: Entry


@dataclass(frozen=True, slots=True)
class Delete:
    """An image that no row asks for any more."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that make the dataset equal to the rows."""

    deletes: tuple[Delete, ...] = ()
    moves: tuple[Move, ...] = ()
    downloads: tuple[Download, ...] = ()
    refreshes: tuple[Download, ...] = ()
