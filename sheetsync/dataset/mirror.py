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

from sheetsync.common.atomic import TEMPORARY, write_atomic
from sheetsync.dataset.plan import SplitFractions, folder_of_label, target_entry
from sheetsync.dataset.records import Entry, Manifest, Plan
from sheetsync.errors import MirrorError
from sheetsync.images.records import Failure, FetchRecord
from sheetsync.images.store import ImageStore, link
from sheetsync.rows.folder_names import casefold_name
from sheetsync.rows.records import Row
from sheetsync.rows.schema import MACHINE_COLUMNS, SPLITS, UNLABELLED
from sheetsync.rows.table import Value

METADATA = "metadata.csv"
# What file managers leave behind, and what a killed pass did.
LITTER = re.compile(rf"\.DS_Store|\._.*|Thumbs\.db|{re.escape(TEMPORARY)}.*")
FIRST_COLUMNS = ("file_name", "url", "label", "split")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder that says what a sheet says."""

    root: Path
    store: ImageStore

    def scan(self) -> Manifest:
        """What the folder holds just now.

        Raises `MirrorError` when somebody else's files are in it: a model would learn from them.
        """
        if self.root.exists() and not self.root.is_dir():
            raise MirrorError(f"{self.root} is a file, and should be the folder of the dataset: move it elsewhere")
        self._check_metadata()
        files = sorted((name, where) for where, names in self._folders() for name in names)
        read = {where: Entry.folder_reader(where) for where in {where for _, where in files}}
        found = [read[where](name) for name, where in files]
        strangers = [
            f"{where}/{name}".lstrip("/") for (name, where), entry in zip(files, found, strict=True) if not entry
        ]
        if strangers:
            raise MirrorError(
                f"{len(strangers)} files in {self.root} did not come from the sheet, such as {min(strangers)}: "
                "move them elsewhere, this folder is kept equal to the sheet"
            )
        return Manifest(tuple(sorted(filter(None, found))))

    def _folders(self) -> Iterator[tuple[str, list[str]]]:
        """The files of each folder below the splits; links to folders too, for who reads the dataset follows them."""
        root = str(self.root)
        for split in (*SPLITS, UNLABELLED):
            if (self.root / split).is_symlink() or (self.root / split).is_file():
                yield "", [split]
                continue
            for folder, folders, files in os.walk(f"{root}/{split}"):
                links = [name for name in folders if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114  # many
                names = [name for name in files + links if not LITTER.fullmatch(name)]
                yield _composed(self.root, folder[len(root) + 1 :]), names

    def apply(self, plan: Plan) -> None:
        """Carry out deletions and moves. Stopped anywhere, the next plan finds the rest to do."""
        for delete in plan.deletes:
            (self.root / delete.entry.path).unlink(missing_ok=True)
        for folder in sorted({(self.root / move.target.path).parent for move in plan.moves}):
            folder.mkdir(parents=True, exist_ok=True)
        for move in plan.moves:
            (self.root / move.source.path).replace(self.root / move.target.path)
        for folder in sorted({(self.root / move.target.path).parent for move in plan.moves}):
            _restore_spelling(folder)
        self._sweep()

    def receive(
        self,
        rows: Iterable[Row],
        arrivals: Iterable[FetchRecord | Failure],
        shares: SplitFractions,
        before: Mapping[str, FetchRecord | None] | None = None,
    ) -> Iterator[FetchRecord | Failure]:
        """Put each image in its place as it arrives, and pass on what arrived or failed.

        `before`, by key, is what stands in the place of some: it stays where it is the same.
        """
        wanted, before = {row.key: row for row in rows}, before or {}
        folders = folder_of_label(wanted.values())

        def path(each: FetchRecord) -> Path:
            row = wanted[each.key]
            return self.root / target_entry(row, each.digest, each.suffix, shares, folders.get(row.label, "")).path

        for arrival in arrivals:
            if isinstance(arrival, FetchRecord):
                self._put(arrival, before.get(arrival.key), path)
            yield arrival
        if before:
            self._sweep()

    def _put(self, arrival: FetchRecord, before: FetchRecord | None, path: Callable[[FetchRecord], Path]) -> None:
        if before is not None and before.digest == arrival.digest:
            return
        if before is not None:  # first: stopped here, the next pass fetches it
            path(before).unlink(missing_ok=True)
        link(self.store.rendered_path(arrival), path(arrival))

    def _sweep(self) -> None:
        """Remove half made links of a killed pass, and classes without images, which ImageFolder refuses."""
        for split in (*SPLITS, UNLABELLED):
            for folder, _, files in os.walk(self.root / split, topdown=False):
                for name in files:
                    if name.startswith(TEMPORARY):
                        Path(folder, name).unlink(missing_ok=True)
                if all(LITTER.fullmatch(name) for name in files):
                    _drop_empty(Path(folder))

    def write_metadata(
        self, manifest: Manifest, rows: Iterable[Row], values: Mapping[str, Mapping[str, Value]]
    ) -> None:
        """Write metadata.csv beside the splits: what the sheet says of each file, so that it travels along.

        Its first column is `file_name`, as other tools that read image folders expect. It is for programs, so
        labels stand there as they are, whatever a spreadsheet program would make of them.
        """
        said = {row.key: row for row in rows}
        tags = sorted({tag for row in said.values() for tag in row.tags})
        nothing: Mapping[str, Value] = {}
        out = io.StringIO(newline="")
        table = csv.writer(out, lineterminator="\n")
        table.writerow((*FIRST_COLUMNS, *MACHINE_COLUMNS, *tags))
        for entry in sorted(manifest, key=lambda entry: entry.path):
            row, machine = said[entry.key], values.get(entry.key, nothing)
            cells = map(machine.get, MACHINE_COLUMNS)
            table.writerow((entry.path, row.url, entry.label, entry.split, *cells, *(row.tags[tag] for tag in tags)))
        content = out.getvalue().encode()
        path = self.root / METADATA
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, out.getvalue())

    def metadata_fingerprint(self) -> tuple[int, ...]:
        """What tells whether metadata.csv is the file that it was; () where there is none."""
        path = self.root / METADATA
        if not path.exists():
            return ()
        seen = path.stat()
        return seen.st_ino, seen.st_size, seen.st_mtime_ns

    def _check_metadata(self) -> None:
        """A file of this name may be the team's own: nothing of theirs is replaced."""
        path = self.root / METADATA
        if not path.is_file():
            return
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline()
        if not header.replace(";", ",").startswith(",".join(FIRST_COLUMNS)):
            raise MirrorError(f"{path} did not come from sheetsync and would be replaced: move it elsewhere")


def _drop_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty
        left = list(folder.iterdir())
        for path in left if all(LITTER.fullmatch(path.name) for path in left) else ():
            path.unlink()
        folder.rmdir()


def _restore_spelling(folder: Path) -> None:
    """Where case does not count, files that move into a folder have come into one that is spelled otherwise."""
    names = [path.name for path in folder.parent.iterdir()]
    if folder.name not in names:
        other = next(name for name in names if casefold_name(name) == casefold_name(folder.name))
        (folder.parent / other).rename(folder)


def _composed(root: Path, place: str) -> str:
    """A path as we write it, also where the file system gives accents back apart from their letters."""
    composed = unicodedata.normalize("NFC", place)
    same = composed != place and (root / composed).exists() and (root / composed).samefile(root / place)
    return composed if same else place
