"""The values that pass from stage to stage. All are frozen; nothing here reads or writes anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from sheetsync.folders import folder, label_of
from sheetsync.steps import Step
from sheetsync.tables import Calls

Progress: TypeAlias = Callable[[str, int, int, str], None]
"""Called with a stage, how much of it is done, how much there is (0: only a word to say), and a message."""

SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"
SKIP = "skip"

MACHINE_COLUMNS = (
    "status",
    "prediction",
    "confidence",
    "label_quality",
    "review",
    "review_rank",
    "used_split",
)


# --- what the rows say ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A usable row: one image. `label` "" = not labelled yet, `split` "" = assign from the image."""

    number: int
    key: str
    url: str
    label: str = ""
    split: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong with a row, in words for an annotator. A warning leaves the row in use."""

    number: int
    problem: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a sheet said at one moment. `rows` has one row a key; `keys` gives the key of every row number."""

    rows: tuple[Row, ...] = ()
    issues: tuple[Issue, ...] = ()
    keys: Mapping[int, str] = field(default_factory=dict)


# --- what the mirror holds ------------------------------------------------------------------------


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
        return f"{self.split}/{self.folder or folder(self.label)}/{name}" if self.label else f"{self.split}/{name}"

    @classmethod
    def at(cls, path: str) -> Entry | None:
        """The inverse of `path`; None for a file that no entry has.

        >>> Entry.at("train/iv/notes.txt") is None
        True
        """
        place, _, name = path.rpartition("/")
        return cls.reader(place)(name)

    @classmethod
    def reader(cls, place: str) -> Callable[[str], Entry | None]:
        """What `at` says of the files in one folder, by their names."""
        split, _, name = place.partition("/")
        label = label_of(name)
        own = "" if name == folder(label) else name
        if place != UNLABELLED and (split not in SPLITS or not name or "/" in name):
            return lambda _: None

        def read(name: str) -> Entry | None:
            found = _NAME.fullmatch(name)
            return cls(found[1], found[2], split, label, found[3], own) if found else None

        return read


def image_of(path: str) -> tuple[str, str] | None:
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


# --- what to do -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrival:
    """The content an address gave: its digest (32 hex characters of SHA-256) and the suffix it takes in the mirror.

    `original` is the suffix of the bytes that came, where the mirror shows another rendering of them, else "".
    `look` is their perceptual hash (16 hex characters, "" = not known), `asked` when the address was last asked
    (seconds since 1970), and `mark` what it called this content then: an ETag or a date. `changed` is when it gave
    something else than before, 0 = never.
    """

    key: str
    digest: str
    suffix: str
    original: str = ""
    look: str = ""
    asked: int = 0
    changed: int = 0
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch the image of a row; where it goes is decided when its digest is known.

    `known` is what its address gave before, where it shall only be asked whether it still does.
    """

    row: Row
    known: Arrival | None = None


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


# --- what training gave ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model that did not train on this image says of it.

    `quality` is the probability of the given label (self-confidence), None where there is no label.
    """

    key: str
    label: str
    confidence: float
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One training of one recipe on one revision. `metrics` is its metrics.json, `choices` its recipe.json."""

    id: str
    revision: str
    recipe: str
    metrics: Mapping[str, Any]
    choices: Mapping[str, Any] = field(default_factory=dict)


# --- what a pass did ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass saw and did; `sheetsync sync --json` prints it.

    `rows` counts rows whose image can be used. `restored` images came from the store without a request; `asked`
    addresses were asked whether they still give the same, and `changed` ones did not.
    `cells` counts cells written, those of new columns and rows too. `untrained` says why nothing could be
    trained, "" when a run stands behind this revision. `version` is the name of this revision, such as v13, and
    `step` what a pass that trained can say of it and the version before.
    """

    sheet: str
    rows: int
    issues: tuple[Issue, ...]
    failures: tuple[Failure, ...]
    downloaded: int
    restored: int
    moved: int
    deleted: int
    images: Mapping[str, int]
    trained: bool
    untrained: str
    revision: str
    run: str
    score: Mapping[str, Any]
    cells: int
    calls: Calls
    seconds: Mapping[str, float]
    version: str = ""
    step: Step | None = None
    asked: int = 0
    changed: int = 0


# --- what the doctor says -------------------------------------------------------------------------

State: TypeAlias = Literal["ok", "note", "problem", "skipped"]
Answer: TypeAlias = tuple[State, str, str]  # what one check found: a `Finding` without its name


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `sheetsync doctor`. `todo` is what to do about it, "" where nothing is or `said` has it already."""

    name: str
    state: State
    said: str
    todo: str = ""
