"""The dataset folder: an ImageFolder per split, whose file names carry key and digest.

    dataset/train/iv/<key>-<digest>.png   dataset/val/…   dataset/test/…   dataset/unlabelled/<key>-<digest>.png

Its content is read from the folder itself, so there is no second record that could disagree.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sheetsync.common.atomic import TEMPORARY
from sheetsync.dataset.metadata import MetadataFile
from sheetsync.dataset.plan import SplitFractions, folder_of_label, target_entry
from sheetsync.dataset.records import Entry, Manifest, Plan
from sheetsync.errors import MirrorError
from sheetsync.images.records import Failure, FetchRecord
from sheetsync.images.store import ImageStore, link
from sheetsync.rows.folder_names import casefold_name
from sheetsync.rows.records import Row
from sheetsync.rows.schema import SPLITS, UNLABELLED

# Files that file managers and a killed pass leave behind.
LITTER = re.compile(rf"\.DS_Store|\._.*|Thumbs\.db|{re.escape(TEMPORARY)}.*")


@dataclass(frozen=True, slots=True)
class Mirror:
    """The dataset folder at `root`, with images linked from `store`."""

    root: Path
    store: ImageStore

    @property
    def metadata(self) -> MetadataFile:
        """The file that says what the sheet says of each image."""
        return MetadataFile(self.root / "metadata.csv")

    def scan(self) -> Manifest:
        """Read from the folder what it holds just now.

        Raises `MirrorError` when somebody else's files are in it: a model would learn from them.
        """
        if self.root.exists() and not self.root.is_dir():
            raise MirrorError(f"{self.root} is a file, and should be the folder of the dataset: move it elsewhere")
        self.metadata.check_ours()
        entries, strangers = [], []
        for folder, names in self._list_folders():
            read = Entry.folder_reader(folder)
            for name in names:
                if entry := read(name):
                    entries.append(entry)
                else:
                    strangers.append(f"{folder}/{name}".lstrip("/"))
        if strangers:
            raise MirrorError(
                f"{len(strangers)} files in {self.root} did not come from the sheet, such as {min(strangers)}: "
                "move them elsewhere, this folder is kept equal to the sheet"
            )
        return Manifest(tuple(sorted(entries)))

    def _list_folders(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each folder below the splits with its files and links to folders: other readers follow these."""
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
        self._remove_litter()

    def receive(
        self,
        rows: Iterable[Row],
        results: Iterable[FetchRecord | Failure],
        fractions: SplitFractions,
        before: Mapping[str, FetchRecord | None] | None = None,
    ) -> Iterator[FetchRecord | Failure]:
        """Link each image into its place as it arrives, and pass the results on.

        `before`, by key, is what the folder holds already of some: it stays where the content is the same.
        """
        row_of, before = {row.key: row for row in rows}, before or {}
        folders = folder_of_label(row_of.values())

        def path(record: FetchRecord) -> Path:
            row = row_of[record.key]
            folder = folders.get(row.label, "")
            return self.root / target_entry(row, record.digest, record.suffix, fractions, folder).path

        for result in results:
            if isinstance(result, FetchRecord):
                old = before.get(result.key)
                if old is None or old.digest != result.digest:
                    if old is not None:  # first: stopped after this, the next pass fetches it
                        path(old).unlink(missing_ok=True)
                    link(self.store.rendered_path(result), path(result))
            yield result
        if before:
            self._remove_litter()

    def _remove_litter(self) -> None:
        """Remove half made links of a killed pass, and folders without images, which ImageFolder refuses."""
        for split in (*SPLITS, UNLABELLED):
            for folder, _, files in os.walk(self.root / split, topdown=False):
                for name in files:
                    if name.startswith(TEMPORARY):
                        Path(folder, name).unlink(missing_ok=True)
                if all(LITTER.fullmatch(name) for name in files):
                    _remove_empty(Path(folder))


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty
        paths = list(folder.iterdir())
        for path in paths if all(LITTER.fullmatch(path.name) for path in paths) else ():
            path.unlink()
        folder.rmdir()


def _restore_spelling(folder: Path) -> None:
    """Rename a folder to what was asked for, where case does not count and it existed in another spelling."""
    names = [path.name for path in folder.parent.iterdir()]
    if folder.name not in names:
        other = next(name for name in names if casefold_name(name) == casefold_name(folder.name))
        (folder.parent / other).rename(folder)


def _composed(root: Path, path: str) -> str:
    """Return a path with accents composed (NFC), as we write it; some file systems return them decomposed."""
    composed = unicodedata.normalize("NFC", path)
    same = composed != path and (root / composed).exists() and (root / composed).samefile(root / path)
    return composed if same else path
