"""The real world: what the command line hands down, and tests replace. Heavy imports wait for who needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheetsync.retrain import ProcessTrainer
from sheetsync.versions import past, rescored

if TYPE_CHECKING:
    from sheetsync.config import Project
    from sheetsync.records import Progress
    from sheetsync.service import Pass
    from sheetsync.steps import Past


def real_pass(project: Project, progress: Progress) -> Pass:
    """A pass over a project, with its real sheet, network and trainer. Raises `SheetsyncError`."""
    import time

    from sheetsync.places import fetch_any
    from sheetsync.service import Pass, World
    from sheetsync.sheets import drive_access, open_sheet

    sheet = open_sheet(project.settings.sheet, project.root, **project.settings.google.model_dump())
    google = project.settings.google
    robot, endpoint = drive_access(
        project.settings.sheet, project.root, credentials=google.credentials, endpoint=google.endpoint
    )
    buckets = project.settings.download.buckets
    fetch = fetch_any(project.image_folder, project.limits, buckets=buckets, robot=robot, endpoint=endpoint)
    return Pass(project, World(sheet, fetch, _trainer(project), time.monotonic, progress))


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


def _trainer(project: Project) -> ProcessTrainer:
    return ProcessTrainer(project.dataset, project.recipe, project.state, project.weights)
