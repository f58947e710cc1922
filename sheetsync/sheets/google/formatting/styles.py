"""The notes, colours and filter views that formatting adds, as constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sheetsync.common.types import Json
from sheetsync.rows.schema import OK, PROVISIONAL

PREVIEW = "preview"

NOTES = {
    "status": "ok, or what is wrong with this row. Written by sheetsync.",
    "prediction": "What a model that did not train on this image takes it for. Written by sheetsync.",
    "confidence": "How sure the model is of its prediction, 0 to 1. Written by sheetsync.",
    "label_quality": "The probability the model gives to your label, 0 to 1: low = look at it. Written by sheetsync.",
    "review": "Why to look here. Written by sheetsync.",
    "review_rank": "1 = look here first. Written by sheetsync.",
    "used_split": "The split in effect. Written by sheetsync.",
}

_NOT_BLANK = {"condition": {"type": "NOT_BLANK"}}
_BLANK = {"condition": {"type": "BLANK"}}


@dataclass(frozen=True, slots=True)
class FilterView:
    """A filter view: which rows it shows, by column, and sorted by which. Sorting in one changes nobody else's view."""

    title: str
    criteria: Mapping[str, Json]
    sort: str = ""
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", frozenset({*self.criteria, *([self.sort] if self.sort else [])}))


FILTER_VIEWS = (
    FilterView("Look here first", {"review_rank": _NOT_BLANK}, "review_rank"),
    FilterView("Least confident", {"confidence": _NOT_BLANK}, "confidence"),
    FilterView(
        "Suspected labels",
        {"review": {"condition": {"type": "TEXT_CONTAINS", "values": [{"userEnteredValue": "looks like"}]}}},
        "label_quality",
    ),
    FilterView("New since last run", {"image": _NOT_BLANK, "status": _BLANK}),
    FilterView("Errors", {"status": {"hiddenValues": [OK, PROVISIONAL, ""]}}, "status"),
)


def _point(value: str, red: float, green: float, blue: float) -> Json:
    colour = {"rgbColor": {"red": red, "green": green, "blue": blue}}
    return {"colorStyle": colour, "type": "NUMBER", "value": value}


GRADIENT = {
    "minpoint": _point("0", 1.0, 0.8, 0.8),
    "midpoint": _point("0.5", 1.0, 1.0, 0.8),
    "maxpoint": _point("1", 0.8, 1.0, 0.8),
}
COLOR_SCALED = ("confidence", "label_quality")
