"""Values that describe the versions of a sheet: what changed, and how the models compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Changes:
    """Numbers of images that differ between two revisions. Relabelled images may have moved as well.

    `replaced` = another image than before at the same address.
    """

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    moved: int = 0
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a model with the one before it, on the same images.

    Only the later one gets `gained` images right, only the earlier one `lost`. `difference` is that of the accuracies,
    later minus earlier, -1..1, and `low` to `high` its 95 % interval; `told` = the interval leaves out 0.
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
    """The accuracy of a model, 0..1, on how many images, and its 95 % interval."""

    images: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Step:
    """The step from one version of the sheet, such as v12, to the next. `before` is "" for the first.

    `changes` is None where the manifest of one of them was not kept. Where `compared` is None, `why` says why, if
    there is a version before.
    """

    before: str
    after: str
    changes: Changes | None = None
    compared: Comparison | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the sheet that was trained on. `score` is from its training, see `lineage.score_of`.

    `today` is the accuracy on the validation images of today; None where it was not asked for or, as `why` says,
    cannot be found.
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

    `others` counts the runs of other recipes. `rescored` = the steps are judged on the validation images of today, of
    which there are `images`.
    """

    recipe: str
    versions: tuple[Version, ...]
    others: int
    rescored: bool = False
    images: int = 0
