"""What is kept of images that nothing needs any more, and how it goes.

Needed is what the mirror shows, what a kept version of the sheet held (so that it can be rebuilt without a download),
and what the addresses of the mirror gave. Runs and what the versions held are small, and history: they stay.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Set
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
from sheetsync.trainer.lineage import lineage
from sheetsync.trainer.records import RunInfo

STAGE = "gc"
EVERY = 200  # objects from one word of progress to the next
OBJECT = re.compile(r"(?P<digest>[0-9a-f]{32})(?P<shown>\.shown)?\.[a-z]+")


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files of one kind that are not needed. `bytes` is the room that it gives when they go."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Garbage:
    """What nothing needs: images, broken ones of those that are needed, files half written, answers of lost runs.

    `lines` of the log of addresses count no more. `kept` images stay. `cache` is what training keeps decoded, and makes
    again when it is missing. `removed` = it is gone now, but for the cache where that was not asked for.
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
    """Where images and what was made of them are kept: the .sheetsync of a project, and the dataset in it.

    Whoever uses it holds the lock of the project (`service.locked`).
    """

    state: StateFolder
    dataset: Path

    def collect(self, runs: Iterable[RunInfo], progress: Progress, *, last: int, cache: bool, delete: bool) -> Garbage:
        """Say what nothing needs, and with `delete` remove it; stopped anywhere, the next time finds the rest.

        Of each recipe the `last` versions count as kept, 0 = every version there is a record of. `cache` takes what
        training keeps decoded too. Every needed image is read once, to see whether it is whole. Raises `MirrorError`.
        """
        runs, manifest = list(runs), Mirror(self.dataset, self._objects).scan()
        known = self._objects.fetch_log.latest()
        needed = self._needed(manifest, known, runs, last)
        images, broken, kept = self._sort(needed, progress)
        arrivals = [each for each in known.values() if each.digest in needed]
        files = (images, broken, list(self._temporary()), list(self._answers({run.id for run in runs})))
        lines = self._objects.fetch_log.count_lines() - len(arrivals)
        decoded = list(_files(self._cache))
        parts = [_part(each) for each in (*files, decoded)]
        waste = Garbage(parts[0], parts[1], parts[2], parts[3], parts[4], lines, kept)
        if not delete:
            return waste
        if lines:
            self._objects.rewrite_log(arrivals)
        for path in chain(*files):
            path.unlink(missing_ok=True)
        if cache:
            shutil.rmtree(self._cache, ignore_errors=True)  # it follows no links, and what is left is in nobody's way
        return replace(waste, removed=True)

    def _needed(self, manifest: Manifest, known: dict[str, FetchRecord], runs: list[RunInfo], last: int) -> Set[str]:
        """The digests of the images that stay."""
        shown = {entry.digest for entry in manifest}
        given = {known[entry.key].digest for entry in manifest if entry.key in known}
        held = (entry.digest for file in self._revisions(runs, last) for entry in _read(file))
        return shown | given | set(held)

    def _revisions(self, runs: list[RunInfo], last: int) -> Iterator[Path]:
        names = {revision for run in runs for revision in _last(lineage(run, runs), last)}
        return (file for file in self.state.revisions.glob("[!.]*.tsv") if not last or file.stem in names)

    def _sort(self, needed: Set[str], progress: Progress) -> tuple[list[Path], list[Path], int]:
        """The objects that nobody needs, the broken ones of the others, and how many images stay."""
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
        """Files only: a folder of such a name among the runs is a training that goes on."""
        for folder in self.state.written():
            yield from (Path(each) for each in _listed(folder) if each.name.startswith(TEMPORARY) and _is_file(each))

    def _answers(self, runs: Set[str]) -> Iterator[Path]:
        for folder in self.state.per_run():
            yield from (path for path in _files(folder) if path.suffix == ".csv" and path.stem not in runs)

    @property
    def _cache(self) -> Path:
        return self.state.cache

    @property
    def _objects(self) -> ImageStore:
        return ImageStore(self.state.objects)


def _last(lineage: list[RunInfo], last: int) -> list[str]:
    """The revisions of the last so many versions of a recipe. Trainings of one version count once."""
    return list(dict.fromkeys(run.revision for run in reversed(lineage)))[:last]


def _read(file: Path) -> Manifest:
    return parse_revision(file.read_text(encoding="utf-8"))


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder; links lead nowhere."""
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
    """What another name keeps, such as one in the mirror, gives no room."""
    stats = [file.lstat() for file in files]
    return FileGroup(len(files), sum(stat.st_size for stat in stats if stat.st_nlink == 1))
