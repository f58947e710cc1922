"""What is said of the versions of a sheet: what changed, and how the models compare. All are frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Changes:
    """How many images differ between two revisions. Relabelled images may have moved as well.

    `replaced` images are others than before at the same address.
    """

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    moved: int = 0
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a model compares with the one before it, on the same images.

    `gained` images only the later one gets right, `lost` only the earlier one. `difference` is that of the
    accuracies, later minus earlier, -1..1, and `low` to `high` its 95 % interval; `told` = it leaves out 0.
    """

    images: int
    gained: int
    lost: int
    difference: float
    low: float
    high: float
    told: bool


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a model is right, 0..1, on how many images, and the 95 % interval."""

    images: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Step:
    """From one version of the sheet, such as v12, to the next. `before` is "" where there is none.

    `changes` is None where nobody kept what one of them held. Where `compared` is None, `why` says why, if
    there is a version before.
    """

    before: str
    after: str
    changes: Changes | None = None
    compared: Comparison | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the sheet that was trained on. `score` is that of then, see `history.score`.

    `today` is how the model does on the validation images of today, None where nobody asked or, as `why`
    says, it cannot be told.
    """

    name: str
    run: str
    revision: str
    when: str
    score: Mapping[str, Any]
    step: Step
    today: Accuracy | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Every version that one recipe was trained on, oldest first; what `sheetsync history --json` prints.

    `others` counts the runs of other recipes. `rescored_history` = the steps are judged on the validation images of
    today, of which there are `images`.
    """

    recipe: str
    versions: tuple[Version, ...]
    others: int
    rescored: bool = False
    images: int = 0
