"""The real world: what the command line hands down, and tests replace. Heavy imports wait for who needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheetsync.retrain import ProcessTrainer
from sheetsync.versions import past, rescored

if TYPE_CHECKING:
    from sheetsync.config import Project
    from sheetsync.gc import Waste
    from sheetsync.records import Progress
    from sheetsync.service import Pass
    from sheetsync.steps import Past


def real_pass(project: Project, progress: Progress) -> Pass:
    """A pass over a project, with its real sheet, network and trainer. Raises `SheetsyncError`."""
    import gc
    import time

    from sheetsync.places import fetch_any
    from sheetsync.service import Pass, World
    from sheetsync.sheets import drive_access, open_sheet

    # Values of 100,000 rows and hardly a cycle among them: looking for these after every 700 takes half of a pass.
    gc.set_threshold(100_000, 50, 100)
    sheet = open_sheet(project.settings.sheet, project.root, **project.settings.google.model_dump())
    google = project.settings.google
    robot, endpoint = drive_access(
        project.settings.sheet, project.root, credentials=google.credentials, endpoint=google.endpoint
    )
    buckets = project.settings.download.buckets
    fetch = fetch_any(project.image_folder, project.limits, buckets=buckets, robot=robot, endpoint=endpoint)
    return Pass(project, World(sheet, fetch, _trainer(project), time.monotonic, progress, time.time))


def real_past(project: Project, progress: Progress, *, rescore: bool) -> Past:
    """The versions of a project; `rescore` judges all of them on the val images that the mirror holds now.

    Raises `SheetsyncError`; with `rescore` that can be `Busy`, for a pass would change the mirror meanwhile.
    """
    if not rescore:
        return past(_trainer(project), project.settings.recipe)

    from sheetsync.mirror import Mirror
    from sheetsync.objects import Objects
    from sheetsync.service import locked

    with locked(project.state):
        today = Mirror(project.dataset, Objects(project.state / "objects")).scan()
        return rescored(_trainer(project), project.settings.recipe, today, progress)


def real_waste(project: Project, progress: Progress, *, last: int, cache: bool, delete: bool) -> Waste:
    """What nothing in a project needs any more; see `gc.Store.collect`. Raises `SheetsyncError`, such as `Busy`."""
    from sheetsync.gc import Store
    from sheetsync.service import locked

    with locked(project.state):
        store, runs = Store(project.state, project.dataset), _trainer(project).runs()
        return store.collect(runs, progress, last=last, cache=cache, delete=delete)


def _trainer(project: Project) -> ProcessTrainer:
    return ProcessTrainer(project.dataset, project.recipe, project.state, project.weights)
