"""Everything outside that a pass touches, handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sheetsync.common.progress import Progress
from sheetsync.images.fetch.base import Fetch
from sheetsync.sheets import Sheet
from sheetsync.trainer.base import Trainer


@dataclass(frozen=True)
class Environment:
    """Everything outside that a pass touches, handed in. `clock` gives seconds, `now` those since 1970."""

    sheet: Sheet
    fetch: Fetch
    trainer: Trainer
    clock: Callable[[], float]
    progress: Progress
    now: Callable[[], float]
