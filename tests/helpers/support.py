"""What the tests of a pass are built from: pictures, a web of them, a trainer that needs no time, and a project."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from sheetsync.common.progress import Progress
from sheetsync.dataset.records import Manifest
from sheetsync.dataset.revision import revision
from sheetsync.errors import TrainingError
from sheetsync.images.fetch.base import Fetch, Fetched, FetchError
from sheetsync.project.config import Project, Settings, TrainingSettings
from sheetsync.rows.table import Table
from sheetsync.sheets import Sheet
from sheetsync.sync.environment import Environment
from sheetsync.sync.pipeline import Pass
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.records import Prediction, RunInfo

MACHINE = ("status", "prediction", "confidence", "label_quality", "review", "review_rank", "used_split")
CLASSES = ("i", "ii", "iii", "iv")


def png(seed: int, kind: str = "PNG") -> bytes:
    """A small picture that no other seed gives."""
    noise = hashlib.sha256(struct.pack("q", seed)).digest() * 6
    out = io.BytesIO()
    Image.frombytes("RGB", (8, 8), noise[:192]).save(out, kind)
    return out.getvalue()


class Web(dict[str, bytes]):
    """Addresses and what they give; counts what was asked for. Anything else is a dead address."""

    def __init__(self, pages: Mapping[str, bytes]):
        super().__init__(pages)
        self.asked: list[str] = []

    def __call__(self, url: str, into: BinaryIO, validator: str = "") -> Fetched:
        self.asked.append(url)
        if url not in self:
            raise FetchError("the server answers 404 (Not Found)")
        into.write(self[url])
        return Fetched()


@dataclass
class QuickTrainer:
    """A trainer at the seam that `Environment` has for one: its model is a fixed function of an image's digest.

    So any test can say what belongs on the row of an image, and training takes no time.
    """

    recipe: str = "quick"
    finished: dict[str, RunInfo] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    error: Exception | None = None
    foretold: list[str] = field(default_factory=list)
    backbone: bool = True
    epochs: int = 2
    meanwhile: Callable[[str], object] = lambda _: None
    """What happens in an epoch, by the revision that is trained."""

    def check(self) -> None:
        pass

    def run_names(self) -> list[str]:
        return sorted(run.id for run in self.finished.values())

    def runs(self, revision: str = "") -> RunLog:
        return RunLog(tuple(run for run in self.finished.values() if revision in ("", run.revision)))

    def find(self, revision: str) -> RunInfo | None:
        return self.finished.get(revision)

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:
        if self.error:
            raise self.error
        for epoch in range(1, self.epochs + 1):
            self.meanwhile(revision)
            progress("train", epoch, self.epochs, "")
        self.trained.append(revision)
        metrics = {
            "created": f"2026-01-01T00:00:{len(self.finished):05d}",
            "val": {"accuracy": 0.5 + seed / 10, "interval": [0.25, 0.75], "macro_f1": 0.4},
        }
        name, more = (revision, "") if not seed else (f"{revision}@{seed}", f"{seed}")
        self.finished[name] = RunInfo(f"{revision}-quick{more}", revision, self.recipe, metrics, {"seed": 7 + seed})
        return self.finished[name]

    def predict_provisionally(self, manifest: Manifest, progress: Progress) -> list[Prediction]:
        if not self.backbone:
            raise TrainingError("no backbone")
        self.foretold.append(revision(manifest))
        return [hasty_prediction(entry.key, entry.digest, entry.label) for entry in manifest]

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        said = [quick_prediction(entry.key, entry.digest, entry.label) for entry in manifest]
        self.said[run.id] = {entry.digest: each.label for entry, each in zip(manifest, said, strict=True)}
        return said

    def out_of_sample_labels(self, run: RunInfo) -> dict[str, str]:
        return self.said.get(run.id, {})


def quick_prediction(key: str, digest: str, label: str) -> Prediction:
    """What the quick model says of an image."""
    confidence = 0.5 + int(digest[:4], 16) / 2**17
    guess = CLASSES[int(digest[4:6], 16) % len(CLASSES)]
    quality = None if not label else confidence if guess == label else 1 - confidence
    return Prediction(key, guess, confidence, quality)


def hasty_prediction(key: str, digest: str, label: str) -> Prediction:
    """What is said of an image before the quick model is trained: something else, and never as surely."""
    said = quick_prediction(key, digest, label)
    guess = CLASSES[(CLASSES.index(said.label) + 1) % len(CLASSES)]
    quality = None if not label else said.confidence / 2 if guess == label else said.confidence / 4
    return Prediction(key, guess, said.confidence / 2, quality)


def hasty_words(content: bytes) -> tuple[str, str]:
    """Prediction and confidence that stand on the row of an image with this content until the model is trained."""
    said = hasty_prediction("", hashlib.sha256(content).hexdigest(), "")
    return said.label, f"{round(said.confidence, 4):.10g}"


def quick_words(content: bytes) -> tuple[str, str]:
    """Prediction and confidence that belong on the row of an image with this content."""
    said = quick_prediction("", hashlib.sha256(content).hexdigest(), "")
    return said.label, f"{round(said.confidence, 4):.10g}"


def project(root: Path, sheet: str = "labels.csv", **settings: object) -> Project:
    """A project with settings given here instead of in a file."""
    return Project(root, Settings.model_construct(**{"sheet": sheet, **settings}))


def of_one_write(root: Path) -> Project:
    """A project whose passes write nothing provisional, so that the moments of the one write are known."""
    return project(root, training=TrainingSettings(provisional=False))


def a_pass(where: Project, sheet: Sheet, fetch: Fetch, trainer: QuickTrainer, now: float = 0.0) -> Pass:
    """A pass in a world made of these, so many seconds after 1970 began."""
    ticks = iter(range(10**9))
    return Pass(where, Environment(sheet, fetch, trainer, lambda: float(next(ticks)), lambda *_: None, lambda: now))


def table(*rows: Sequence[str], header: Sequence[str] = ("image", "label", "split")) -> Table:
    return Table(tuple(header), tuple(map(tuple, rows)))


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder and what it holds."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def machine_cells(table: Table) -> list[dict[str, str]]:
    """Machine column -> text, for every row."""
    places = {name: table.header.index(name) for name in MACHINE if name in table.header}
    numbers = range(2, len(table.rows) + 2)
    return [{name: table.cell(number, place) for name, place in places.items()} for number in numbers]


def human_cells(table: Table) -> list[tuple[str, ...]]:
    """What people wrote, row by row, trailing empty cells and rows dropped."""
    mine = [place for place, name in enumerate(table.header) if name not in MACHINE]
    rows = [[table.cell(number, place) for place in mine] for number in range(1, len(table.rows) + 2)]
    for cells in rows:
        while cells and not cells[-1]:
            cells.pop()
    while rows and not rows[-1]:
        rows.pop()
    return [tuple(cells) for cells in rows]


def tiny_recipe(path: Path, **changes: object) -> None:
    """Write a recipe file of the competition's network that trains in a moment."""
    from training.recipe import RECIPES

    fields = RECIPES["roman-resnet50"].as_dict() | {"name": "tiny", "epochs": 2, "batch": 16, "folds": 2} | changes
    del fields["digest"]
    path.write_text(json.dumps(fields))
