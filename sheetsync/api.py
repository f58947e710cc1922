"""The Python API and composition root: open a project, with its real sheet, network and trainer, and work on it.

    project = open_project("flowers")
    project.sync()

`open_pass`, `read_history` and `collect_garbage` are the same for the command line, which has a `Project` and bars of
its own. Heavy imports wait inside the functions that need them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sheetsync.common.collection import collect_less_often
from sheetsync.common.state_folder import STATE, StateFolder
from sheetsync.errors import MirrorError, NotFound
from sheetsync.sheets.google.address import GOOGLE_SHEET, trusted_endpoint
from sheetsync.trainer.lineage import finished_at
from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.versions.history import history, rescored_history

if TYPE_CHECKING:
    import pandas as pd

    from sheetsync.common.finding import Finding
    from sheetsync.common.progress import Progress
    from sheetsync.dataset.records import Manifest
    from sheetsync.images.fetch.drive_token import AccountDriveToken
    from sheetsync.project.config import Project
    from sheetsync.project.gc import Garbage
    from sheetsync.sheets import Sheet
    from sheetsync.sync.pipeline import Pass, Preview
    from sheetsync.sync.report import Report
    from sheetsync.trainer.records import RunInfo
    from sheetsync.versions.records import History

AnyPath: TypeAlias = str | os.PathLike[str]
REVISION = re.compile(r"[0-9a-f]{16}")


def open_project(path: AnyPath = ".") -> OpenProject:
    """Open the project in a folder that holds a `sheetsync.toml`, which is read now; the sheet is not.

    Raises `ConfigError` when there is no project, or its configuration is wrong.
    """
    from sheetsync.project.config import load_project

    return OpenProject(load_project(Path(path).expanduser()))


def create_project(
    folder: AnyPath, sheet: str, *, recipe: str = "roman-resnet50", format_sheet: bool = False
) -> OpenProject:
    """Make a project for a sheet, as `sheetsync init` does, and open it.

    `sheet` is a CSV file, as seen from `folder` and made with a header if it is missing, or the address of a Google
    Sheet. `recipe` is the name of a built-in recipe, or a recipe file, as seen from `folder`. `format_sheet` gives a
    Google Sheet its drop-down, colours, notes and filter views; a CSV file has none. Raises `ConfigError` when there is
    a project already, and `SheetError` when the sheet cannot be used.
    """
    from sheetsync.project import init

    root = Path(folder).expanduser()
    init.make_project(root, sheet, recipe=recipe)
    if format_sheet:
        init.format_sheet(root)
    return open_project(root)


@dataclass(frozen=True, slots=True)
class OpenProject:
    """A project that is open: sync it, look at it, and find its files. See `open_project`.

    Each method reads what is there at that moment; only the configuration stays as it was when the project was opened.
    Those that change something, or must not see a change, hold the project's lock, and raise `Busy` where another
    process or thread holds it. Nothing is printed: `progress` is called with a stage, how much of it is done, how much
    there is (0 = only a message), and a message. What it raises ends the work, as Ctrl-C does.
    """

    config: Project

    @property
    def root(self) -> Path:
        """The folder of the project, absolute."""
        return self.config.root

    @property
    def dataset(self) -> Path:
        """The ImageFolder of today: `train/<label>/…`, `val/…`, `test/…`, `unlabelled/…`. Treat it as read-only."""
        return self.config.dataset

    # --- the sheet --------------------------------------------------------------------------------

    def sync(self, *, allow_shrink: bool = False, retry: bool = False, progress: Progress | None = None) -> Report:
        """Run one pass, as `sheetsync sync`: mirror the sheet, train if needed, write results back into the sheet.

        `allow_shrink` goes on though over half of the images would leave the dataset; `retry` asks at once for images
        that failed before. With nothing new it does nothing. Raises `Busy`, `ConfigError`, `SheetError`, `Shrunk`,
        `MirrorError` and `TrainingError`; what was done until then is used next time.
        """
        with collect_less_often():
            return open_pass(self.config, progress or _silent).run(allow_shrink=allow_shrink, retry=retry)

    def plan(self) -> Preview:
        """Preview what a sync would do to the dataset, as `sheetsync plan`; changes nothing (a dry run).

        Raises `ConfigError`, `SheetError` and `MirrorError`.
        """
        with collect_less_often():
            return open_pass(self.config, _silent).preview()

    def rows(self) -> pd.DataFrame:
        """Read the sheet as it is now, with what the machine wrote into it: a row for each image, in the sheet's order.

        | column | dtype | content |
        | --- | --- | --- |
        | `row` | int64 | its row in the sheet, the header being 1; the first of them where an image has several |
        | `key` | str | identity of the image: 20 hex characters of the SHA-256 of its normalised URL |
        | `url` | str | its normalised URL, or its path |
        | `file` | str | where it lies below `dataset`, `train/iv/….png`; "" = not in the dataset |
        | `label`, `split` | str | what people wrote; "" = nothing |
        | `used_split`, `status`, `prediction`, `review` | str | what the machine wrote; "" = nothing |
        | `confidence`, `label_quality` | float64 | 0..1, NaN = none |
        | `review_rank` | Int64 | 1 = look here first, <NA> = none |

        After these a column for each tag (`slices` in sheetsync.toml), called `tag_…` where its name is one of the
        above. Rows that cannot be used are in `plan().snapshot.issues`. Trains, fetches and writes nothing. Raises
        `SheetError` and `MirrorError`.
        """
        from sheetsync.common.memo import clear_caches
        from sheetsync.frames import frame_of_rows
        from sheetsync.rows.ownership import check_ownership
        from sheetsync.rows.parse import parse_rows
        from sheetsync.sheets.owned_columns import our_columns

        sheet, columns = open_project_sheet(self.config), self.config.columns
        with clear_caches():
            book = sheet.read()
            check_ownership(book.rows, columns, our_columns(self.config.state, sheet, book))
            snapshot = parse_rows(book.rows, columns, local=self.config.local)
            return frame_of_rows(snapshot, book.rows, columns, _manifest(self.config))

    # --- versions and runs ------------------------------------------------------------------------

    def history(self, *, rescore: bool = False, progress: Progress | None = None) -> History:
        """List the versions that were trained on and how each compares with the one before, as `sheetsync history`.

        `rescore` judges all of them on the validation images of today, which may ask their models. Raises
        `ConfigError` and, with `rescore`, `Busy` and `MirrorError`.
        """
        return read_history(self.config, progress or _silent, rescore=rescore)

    def checkout(self, version: str, folder: AnyPath) -> Path:
        """Rebuild the ImageFolder of an earlier version in a new folder; returns its path. Downloads nothing.

        `version` is a name such as "v3", a revision, or the id of a run. The folder is there whole or not at all. Its
        files are read-only hard links into the store, copies on another file system. It holds what a model saw:
        no images without a label, and no metadata.csv.

        Raises `NotFound` where there is no such version or an image of it is no longer kept, and `MirrorError` where
        `folder` is not empty or lies in a folder of sheetsync's own.
        """
        from sheetsync.images.store import ImageStore
        from sheetsync.versions.checkout import check_out

        target = Path(folder).expanduser().resolve()
        for own in (self.dataset, self.config.state.root):
            if target.is_relative_to(own.resolve()):
                raise MirrorError(f"{target} lies in {own}, which is sheetsync's own: choose a folder elsewhere")
        check_out(self._load_manifest(version), ImageStore(self.config.state.objects), target)
        return target

    def runs(self) -> list[Run]:
        """List every finished run of every recipe, oldest first. One whose files are broken is left out.

        Raises `ConfigError` for a recipe file that cannot be read.
        """
        trainer = _trainer(self.config)
        names = {run.id: f"v{number}" for number, run in enumerate(trainer.runs_of_recipe(), start=1)}
        folder = self.config.state.runs
        return [_run(each, folder, names) for each in sorted(trainer.runs(), key=finished_at)]

    def run(self, name: str = "latest") -> Run:
        """Find a run: the "latest" of this recipe, that of a version such as "v3" or of a revision, or one by its id.

        Raises `NotFound` when there is none, and `ConfigError` for a recipe file that cannot be read.
        """
        runs = self.runs()
        versions = [run for run in runs if run.version]
        if name == "latest":
            if not versions:
                raise NotFound(f"nothing was trained with this recipe in {self.root} yet: sync it first")
            return versions[-1]
        found = [run for run in runs if name in (run.id, run.version)] or [
            run for run in versions if name == run.revision
        ]
        if not name or not found:
            there = f"v1 to {versions[-1].version}" if versions else "none yet"
            raise NotFound(
                f"there is no version or run called {name!r} in {self.root}; versions of this recipe: {there}"
            )
        return found[0]

    # --- housekeeping -----------------------------------------------------------------------------

    def collect_garbage(
        self, *, delete: bool = False, keep: int = 0, cache: bool = False, progress: Progress | None = None
    ) -> Garbage:
        """Find what nothing needs any more, as `sheetsync gc`, and with `delete` remove it.

        `keep` = only the images of the last so many versions of each recipe stay, 0 = of all; older ones can no longer
        be checked out. `cache` takes what training keeps decoded, too. Raises `Busy` and `MirrorError`.
        """
        return collect_garbage(self.config, progress or _silent, last=keep, cache=cache, delete=delete)

    def doctor(self) -> list[Finding]:
        """Look for what is wrong, as `sheetsync doctor`, which takes up to a minute; changes and raises nothing."""
        import logging

        from sheetsync.doctor.checks import examine, this_machine

        logger = logging.getLogger("sheetsync")
        before = logger.level
        logger.setLevel(logging.ERROR)  # warnings on the way are among the findings
        try:
            return list(examine(self.root, this_machine()))
        finally:
            logger.setLevel(before)

    def _load_manifest(self, version: str) -> Manifest:
        """Load the manifest of a version. Raises `NotFound`."""
        from sheetsync.dataset.revision import parse_revision, revision

        state = self.config.state
        known = REVISION.fullmatch(version) and state.revision(version).exists()
        name = version if known else self.run(version).revision
        file = state.revision(name)
        try:
            held = parse_revision(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotFound(f"what version {version} held was not kept: {file} is missing") from error
        except ValueError as error:
            raise NotFound(f"what version {version} held cannot be read: {file} is broken ({error})") from error
        if revision(held) != name:
            raise NotFound(f"what version {version} held cannot be read: {file} was changed")
        return held


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training. `folder` is its run directory, which `training.load_model` takes.

    `version` is the name of what it was trained on, such as "v3"; "" for a run of another recipe, and for one that
    differs by its seed alone. `metrics` is its metrics.json and `recipe` its recipe.json.
    """

    id: str
    version: str
    revision: str
    folder: Path
    metrics: Mapping[str, Any]
    recipe: Mapping[str, Any]

    def predictions(self) -> pd.DataFrame:
        """Read the out-of-sample predictions for every image.

        Columns: `key`, `digest` and `file` of the image ("" for the first two where sheetsync did not name the file);
        `split` and `label` at training time; `prediction`; `confidence` and `self_confidence`, the probabilities of the
        prediction and of the label, 0..1, NaN = none; `fold` (Int64), <NA> = the main model. Raises `TrainingError`
        where the file is missing or broken.
        """
        from sheetsync.frames import frame_of_predictions

        return frame_of_predictions(self.folder / "predictions.csv")


# --- shared with the command line -----------------------------------------------------------------


def open_pass(project: Project, progress: Progress) -> Pass:
    """Prepare a pass over a project, with its real sheet, network and trainer. Raises `SheetsyncError`."""
    import time

    from sheetsync.images.fetch.sources import fetcher_for
    from sheetsync.sync.environment import Environment
    from sheetsync.sync.pipeline import Pass

    sheet = open_project_sheet(project)
    google = project.settings.google
    drive_token, endpoint = drive_access(
        project.settings.sheet, project.root, credentials=google.credentials, endpoint=google.endpoint
    )
    buckets = project.settings.download.buckets
    fetch = fetcher_for(
        project.image_folder, project.limits, buckets=buckets, drive_token=drive_token, endpoint=endpoint
    )
    return Pass(project, Environment(sheet, fetch, _trainer(project), time.monotonic, progress, time.time))


def read_history(project: Project, progress: Progress, *, rescore: bool) -> History:
    """Read the versions of a project; `rescore` scores all of them on the validation images of today.

    Raises `SheetsyncError`; with `rescore` that can be `Busy`, for a pass would change the dataset meanwhile.
    """
    if not rescore:
        return history(_trainer(project), project.settings.recipe)

    from sheetsync.project.lock import project_lock

    with project_lock(project.state):
        return rescored_history(_trainer(project), project.settings.recipe, _manifest(project), progress)


def collect_garbage(project: Project, progress: Progress, *, last: int, cache: bool, delete: bool) -> Garbage:
    """Find or delete what a project no longer needs; see `gc.Collector.collect`. Raises `SheetsyncError`."""
    from sheetsync.project.gc import Collector
    from sheetsync.project.lock import project_lock

    with project_lock(project.state):
        store, runs = Collector(project.state, project.dataset), _trainer(project).runs()
        return store.collect(runs, progress, last=last, cache=cache, delete=delete)


def drive_access(address: str, base: Path, *, credentials: str, endpoint: str) -> tuple[AccountDriveToken | None, str]:
    """Return the Drive account (None for other sheets) and the checked endpoint. Raises `SheetError`."""
    if not GOOGLE_SHEET.fullmatch(address):
        return None, trusted_endpoint(endpoint)
    from sheetsync.images.fetch.drive_token import AccountDriveToken

    return AccountDriveToken(base / credentials, StateFolder(base / STATE).google_token), trusted_endpoint(endpoint)


def open_project_sheet(project: Project) -> Sheet:
    """Open the sheet of a project; nothing is read yet. Raises `SheetError`."""
    from sheetsync.sheets import open_sheet

    return open_sheet(project.settings.sheet, project.root, **project.settings.google.model_dump())


def _trainer(project: Project) -> ProcessTrainer:
    return ProcessTrainer(project.dataset, project.recipe, project.state, project.weights)


def _manifest(project: Project) -> Manifest:
    """Scan the dataset of a project. Raises `MirrorError`."""
    from sheetsync.dataset.mirror import Mirror
    from sheetsync.images.store import ImageStore

    return Mirror(project.dataset, ImageStore(project.state.objects)).scan()


def _run(run: RunInfo, runs: Path, names: Mapping[str, str]) -> Run:
    return Run(run.id, names.get(run.id, ""), run.revision, runs / run.id, run.metrics, run.choices)


def _silent(stage: str, done: int, total: int, message: str) -> None:
    """Report progress to nobody."""
