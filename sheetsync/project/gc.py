"""Garbage collection of `.sheetsync`: images and files that nothing needs any more.

Needed are the images in the dataset, those of kept versions of the sheet (which can then be rebuilt without a
download), and the latest content of each address in the dataset. Runs and revisions are small, and history: they stay.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from sheetsync.common.atomic import TEMPORARY
from sheetsync.common.progress import Progress
from sheetsync.common.state_folder import StateFolder
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.records import Manifest
from sheetsync.dataset.revision import parse_revision
from sheetsync.images.records import FetchRecord
from sheetsync.images.store import ImageStore, file_digest
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.records import RunInfo

STAGE = "gc"
EVERY = 200  # objects between two reports of progress
OBJECT = re.compile(r"(?P<digest>[0-9a-f]{32})(?P<shown>\.shown)?\.[a-z]+")


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files of one kind that are not needed, and the bytes of disk that removing them frees."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Garbage:
    """Garbage: unneeded images, broken copies of needed ones, temporary files, predictions of lost runs (`answers`).

    `lines` of the log of fetches are outdated. `kept` images stay. `cache` is what training has decoded, and decodes
    again when it is missing. `removed` = all of it was removed, but for the cache unless that was asked for.
    """

    images: FileGroup
    broken: FileGroup
    temporary: FileGroup
    answers: FileGroup
    cache: FileGroup
    lines: int
    kept: int
    removed: bool = False


@dataclass(frozen=True)
class Collector:
    """Garbage collector of a project: of its state folder, seen from its dataset.

    The caller holds the lock of the project (`project_lock`).
    """

    state: StateFolder
    dataset: Path

    def collect(self, runs: RunLog, progress: Progress, *, last: int, cache: bool, delete: bool) -> Garbage:
        """Find the garbage, and with `delete` remove it; stopped anywhere, the next call finds the rest.

        The `last` versions of each recipe are kept, 0 = all versions. `cache` includes what training has decoded.
        Every needed image is read once, to check its digest. Raises `MirrorError`.
        """
        manifest = Mirror(self.dataset, self._objects).scan()
        known = self._objects.fetch_log.latest()
        needed = self._needed(manifest, known, runs, last)
        images, broken, kept = self._sort(needed, progress)
        arrivals = [each for each in known.values() if each.digest in needed]
        files = (images, broken, list(self._temporary()), list(self._orphaned_predictions({run.id for run in runs})))
        lines = self._objects.fetch_log.count_lines() - len(arrivals)
        decoded = list(_files(self.state.cache))
        parts = [_part(each) for each in (*files, decoded)]
        garbage = Garbage(parts[0], parts[1], parts[2], parts[3], parts[4], lines, kept)
        if not delete:
            return garbage
        if lines:
            self._objects.rewrite_log(arrivals)
        for path in chain(*files):
            path.unlink(missing_ok=True)
        if cache:
            shutil.rmtree(self.state.cache, ignore_errors=True)  # follows no links; a leftover does no harm
        return replace(garbage, removed=True)

    def _needed(self, manifest: Manifest, known: dict[str, FetchRecord], runs: RunLog, last: int) -> Set[str]:
        """Return the digests of the images that stay."""
        shown = {entry.digest for entry in manifest}
        given = {known[entry.key].digest for entry in manifest if entry.key in known}
        revisions = (parse_revision(file.read_text(encoding="utf-8")) for file in self._revisions(runs, last))
        held = (entry.digest for revision in revisions for entry in revision)
        return shown | given | set(held)

    def _revisions(self, runs: RunLog, last: int) -> Iterator[Path]:
        names = {revision for lineage in runs.lineages() for revision in _last(lineage, last)}
        return (file for file in self.state.revisions.glob("[!.]*.tsv") if not last or file.stem in names)

    def _sort(self, needed: Set[str], progress: Progress) -> tuple[list[Path], list[Path], int]:
        """Return the objects that nothing needs, the broken ones among the others, and how many images stay."""
        found = [(path, match) for path in _files(self._objects.root) if (match := OBJECT.fullmatch(path.name))]
        wrong = set()
        for done, (path, match) in enumerate(found, start=1):
            if match["digest"] in needed and not match["shown"] and file_digest(path) != match["digest"]:
                wrong.add(match["digest"])
            if done % EVERY == 0 or done == len(found):
                progress(STAGE, done, len(found), "")
        images = [path for path, match in found if match["digest"] not in needed]
        broken = [path for path, match in found if match["digest"] in wrong]
        return images, broken, len({match["digest"] for _, match in found} & needed - wrong)

    def _temporary(self) -> Iterator[Path]:
        """Yield temporary files; a folder of such a name among the runs is an unfinished training."""
        for folder in self.state.written():
            yield from (Path(each) for each in _listed(folder) if each.name.startswith(TEMPORARY) and _is_file(each))

    def _orphaned_predictions(self, runs: Set[str]) -> Iterator[Path]:
        for folder in self.state.per_run():
            yield from (path for path in _files(folder) if path.suffix == ".csv" and path.stem not in runs)

    @property
    def _objects(self) -> ImageStore:
        return ImageStore(self.state.objects)


def _last(lineage: Sequence[RunInfo], last: int) -> list[str]:
    """Return the revisions of the last versions of a recipe. Trainings of one version count once."""
    return list(dict.fromkeys(run.revision for run in reversed(lineage)))[:last]


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, following no links."""
    for each in _listed(folder):
        if each.is_dir(follow_symlinks=False):
            yield from _files(Path(each))
        elif _is_file(each):
            yield Path(each)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as found:
        return list(found)


def _is_file(each: os.DirEntry[str]) -> bool:
    return each.is_file(follow_symlinks=False)


def _part(files: list[Path]) -> FileGroup:
    """Count files and the bytes they free: a file with another hard link, such as in the dataset, frees none."""
    stats = [file.lstat() for file in files]
    return FileGroup(len(files), sum(stat.st_size for stat in stats if stat.st_nlink == 1))
