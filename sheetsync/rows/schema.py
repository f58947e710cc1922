"""The columns of both tabs, and the words of `status`."""

from __future__ import annotations

from sheetsync.rows.table import Value

SCORE_COLUMNS = (
    "when", "run", "revision", "recipe",
    "added", "removed", "relabelled", "moved", "replaced",
    "train", "val", "test",
    "val_accuracy", "val_low", "val_high", "val_macro_f1", "test_accuracy",
    "seeds", "val_mean", "val_spread",
    "note",
)  # fmt: skip
SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"  # stands for the split of an image without a label
SKIP = "skip"  # in the column `split`: the row stays, its image is not used

MACHINE_COLUMNS = (
    "status",
    "prediction",
    "confidence",
    "label_quality",
    "review",
    "review_rank",
    "used_split",
)

OK = "ok"
PROVISIONAL_NOTE = "predictions are provisional"
PROVISIONAL = f"{OK}, {PROVISIONAL_NOTE}"


def with_warning(status: Value, warning: str) -> Value:
    """Put a warning into the status of a row that can be used; the status of another row stays."""
    ok, comma, facts = str(status).partition(", ")
    if ok != OK:
        return status
    return f"{warning}; {facts}" if comma else warning
