"""The dataset folder: an ImageFolder a split, whose file names carry key and digest.

    dataset/train/iv/<key>-<digest>.png   dataset/val/…   dataset/test/…   dataset/unlabelled/<key>-<digest>.png

What it holds is read from the tree itself, so there is no second record that could disagree.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sheetsync.errors import MirrorError
from sheetsync.folders import folded
from sheetsync.objects import TEMPORARY, Objects, link, write_text
from sheetsync.plan import Shares, apart, place
from sheetsync.records import (
    MACHINE_COLUMNS,
    SPLITS,
    UNLABELLED,
    Arrival,
    Entry,
    Failure,
    Manifest,
    Move,
    Plan,
    Row,
)
from sheetsync.tables import Value, text

METADATA = "metadata.csv"
# What file managers leave behind, and what a killed pass did.
LITTER = re.compile(rf"\.DS_Store|\._.*|Thumbs\.db|{re.escape(TEMPORARY)}.*")
FIRST_COLUMNS = ("file_name", "url", "label", "split")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder that says what a sheet says."""

    root: Path
    objects: Objects

    def scan(self) -> Manifest:
        """What the folder holds just now.

        Raises `MirrorError` when somebody else's files are in it: a model would learn from them.
        """
        if self.root.exists() and not self.root.is_dir():
            raise MirrorError(f"{self.root} is a file, and should be the folder of the dataset: move it elsewhere")
        self._check_metadata()
        found = {path: Entry.at(path) for path in self._files()}
        strangers = sorted(path for path, entry in found.items() if entry is None)
        if strangers:
            raise MirrorError(
                f"{len(strangers)} files in {self.root} did not come from the sheet, such as {strangers[0]}: "
                "move them elsewhere, this folder is kept equal to the sheet"
            )
        return Manifest(tuple(sorted(entry for entry in found.values() if entry)))

    def _files(self) -> Iterator[str]:
        """Every file below the splits, and links to folders, which whoever reads the dataset would follow."""
        for split in (*SPLITS, UNLABELLED):
            if (self.root / split).is_symlink() or (self.root / split).is_file():
                yield split
                continue
            for folder, folders, files in os.walk(self.root / split):
                place = _composed(self.root, Path(folder).relative_to(self.root).as_posix())
                names = files + [name for name in folders if Path(folder, name).is_symlink()]
                yield from (f"{place}/{name}" for name in names if not LITTER.fullmatch(name))

    def apply(self, plan: Plan) -> None:
        """Carry out deletions and moves. Stopped anywhere, the next plan finds the rest to do."""
        self._sweep()
        for delete in plan.deletes:
            self._remove(self.root / delete.entry.path)
        for move in plan.moves:
            self._move(move)
        for folder in sorted({(self.root / move.target.path).parent for move in plan.moves}):
            _spell(folder)

    def receive(
        self,
        rows: Iterable[Row],
        arrivals: Iterable[Arrival | Failure],
        shares: Shares,
        before: Mapping[str, Arrival | None] | None = None,
    ) -> Iterator[Arrival | Failure]:
        """Put each image in its place as it arrives, and pass on what arrived or failed.

        `before`, by key, is what stands in the place of some: it stays where it is the same.
        """
        wanted, before = {row.key: row for row in rows}, before or {}
        folders = apart(wanted.values())

        def path(each: Arrival) -> Path:
            row = wanted[each.key]
            return self.root / place(row, each.digest, each.suffix, shares, folders.get(row.label, "")).path

        for arrival in arrivals:
            if isinstance(arrival, Arrival):
                self._put(arrival, before.get(arrival.key), path)
            yield arrival

    def _put(self, arrival: Arrival, before: Arrival | None, path: Callable[[Arrival], Path]) -> None:
        if before is not None and before.digest == arrival.digest:
            return
        if before is not None:  # first: stopped here, the next pass fetches it
            self._remove(path(before))
        link(self.objects.shown(arrival), path(arrival))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._drop_empty(path.parent)

    def _move(self, move: Move) -> None:
        source, target = self.root / move.source.path, self.root / move.target.path
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        self._drop_empty(source.parent)

    def _drop_empty(self, folder: Path) -> None:
        """ImageFolder refuses a class without images, so an empty one goes, and so does an empty split."""
        with suppress(OSError):  # it is not empty
            while folder != self.root:
                left = list(folder.iterdir())
                for path in left if all(LITTER.fullmatch(path.name) for path in left) else ():
                    path.unlink()
                folder.rmdir()
                folder = folder.parent

    def _sweep(self) -> None:
        """Remove what a killed pass left: half made links, and classes that lost their last image."""
        for split in (*SPLITS, UNLABELLED):
            for folder, _, files in os.walk(self.root / split, topdown=False):
                for name in files:
                    if name.startswith(TEMPORARY):
                        Path(folder, name).unlink(missing_ok=True)
                self._drop_empty(Path(folder))

    def describe(self, manifest: Manifest, rows: Iterable[Row], values: Mapping[str, Mapping[str, Value]]) -> None:
        """Write metadata.csv beside the splits: what the sheet says of each file, so that it travels along.

        Its first column is `file_name`, as other tools that read image folders expect. It is for programs, so
        labels stand there as they are, whatever a spreadsheet program would make of them.
        """
        said = {row.key: row for row in rows}
        tags = sorted({tag for row in said.values() for tag in row.tags})
        out = io.StringIO(newline="")
        table = csv.writer(out, lineterminator="\n")
        table.writerow((*FIRST_COLUMNS, *MACHINE_COLUMNS, *tags))
        for entry in sorted(manifest, key=lambda entry: entry.path):
            row, machine = said[entry.key], values.get(entry.key, {})
            cells = (text(machine.get(name, "")) for name in MACHINE_COLUMNS)
            table.writerow((entry.path, row.url, entry.label, entry.split, *cells, *(row.tags[tag] for tag in tags)))
        path = self.root / METADATA
        if not path.exists() or path.read_bytes() != out.getvalue().encode():
            write_text(path, out.getvalue())

    def _check_metadata(self) -> None:
        """A file of this name may be the team's own: nothing of theirs is replaced."""
        path = self.root / METADATA
        if not path.is_file():
            return
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline()
        if not header.replace(";", ",").startswith(",".join(FIRST_COLUMNS)):
            raise MirrorError(f"{path} did not come from sheetsync and would be replaced: move it elsewhere")


def _spell(folder: Path) -> None:
    """Where case does not count, files that move into a folder have come into one that is spelled otherwise."""
    names = [path.name for path in folder.parent.iterdir()]
    if folder.name not in names:
        other = next(name for name in names if folded(name) == folded(folder.name))
        (folder.parent / other).rename(folder)


def _composed(root: Path, place: str) -> str:
    """A path as we write it, also where the file system gives accents back apart from their letters."""
    composed = unicodedata.normalize("NFC", place)
    same = composed != place and (root / composed).exists() and (root / composed).samefile(root / place)
    return composed if same else place
