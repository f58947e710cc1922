"""The state of a pass: what its stages hand on, and the tally of what they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sheetsync.dataset.collect import DatasetState
from sheetsync.rows.records import Snapshot
from sheetsync.rows.table import Book
from sheetsync.trainer.records import RunInfo


@dataclass(frozen=True, slots=True)
class PassState:
    """A reading of the sheet, its usable rows, the dataset that was made of them, and the run on it.

    `run` is None where nothing could be trained. `trained` = it was trained in this pass, so the reading is old.
    """

    book: Book
    snapshot: Snapshot
    dataset: DatasetState
    run: RunInfo | None = None
    trained: bool = False


@dataclass(slots=True)
class Tally:
    """Seconds per stage, and counts of what was done, summed over all attempts of one pass."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a stage, however it ends."""
        started = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + self.clock() - started, 3)
