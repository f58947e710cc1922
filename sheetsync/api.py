"""The real world: what the command line hands down, and tests replace. Heavy imports wait for who needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.versions.past import history, rescored_history

if TYPE_CHECKING:
    from sheetsync.common.progress import Progress
    from sheetsync.project.config import Project
    from sheetsync.project.gc import Garbage
    from sheetsync.sync.pipeline import Pass
    from sheetsync.versions.records import History
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sheetsync.images.fetch.drive_token import AccountDriveToken
from sheetsync.common.state_folder import STATE, StateFolder
from sheetsync.sheets.google.address import GOOGLE_SHEET, trusted_endpoint


def open_pass(project: Project, progress: Progress) -> Pass:
    """A pass over a project, with its real sheet, network and trainer. Raises `SheetsyncError`."""
    import time

    from sheetsync.images.fetch.sources import fetcher_for
    from sheetsync.sheets import open_sheet
    from sheetsync.sync.environment import Environment
    from sheetsync.sync.pipeline import Pass

    sheet = open_sheet(project.settings.sheet, project.root, **project.settings.google.model_dump())
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
    """The versions of a project; `rescore` judges all of them on the val images that the mirror holds now.

    Raises `SheetsyncError`; with `rescore` that can be `Busy`, for a pass would change the mirror meanwhile.
    """
    if not rescore:
        return history(_trainer(project), project.settings.recipe)

    from sheetsync.dataset.mirror import Mirror
    from sheetsync.images.store import ImageStore
    from sheetsync.project.lock import project_lock

    with project_lock(project.state):
        today = Mirror(project.dataset, ImageStore(project.state.objects)).scan()
        return rescored_history(_trainer(project), project.settings.recipe, today, progress)


def collect_garbage(project: Project, progress: Progress, *, last: int, cache: bool, delete: bool) -> Garbage:
    """Find or delete what a project no longer needs; see `gc.Collector.collect`. Raises `SheetsyncError`."""
    from sheetsync.project.gc import Collector
    from sheetsync.project.lock import project_lock

    with project_lock(project.state):
        store, runs = Collector(project.state, project.dataset), _trainer(project).runs()
        return store.collect(runs, progress, last=last, cache=cache, delete=delete)


def _trainer(project: Project) -> ProcessTrainer:
    return ProcessTrainer(project.dataset, project.recipe, project.state, project.weights)


def drive_access(address: str, base: Path, *, credentials: str, endpoint: str) -> tuple[AccountDriveToken | None, str]:
    """Who may see images in Google Drive, None unless the sheet is Google's; and the endpoint. Raises `SheetError`."""
    if not GOOGLE_SHEET.fullmatch(address):
        return None, trusted_endpoint(endpoint)
    from sheetsync.images.fetch.drive_token import AccountDriveToken

    return AccountDriveToken(base / credentials, StateFolder(base / STATE).google_token), trusted_endpoint(endpoint)
