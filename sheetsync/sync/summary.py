"""Sentences for people about a pass, its scores and its problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sheetsync.common.text import shorten
from sheetsync.rows.records import Issue
from sheetsync.sync.report import Report
from sheetsync.versions.records import Changes, Comparison, Step

URL_SHOWN = 300  # characters: an image in the cell itself has thousands


def training_words(report: Report) -> str:
    """Say if the pass trained, and the score of this version of the sheet."""
    if report.untrained:
        return report.untrained
    what = f"{'trained' if report.trained else 'already trained'}: run {report.run}, version {report.version}"
    step = f"; {step_words(report.step)}" if report.step and report.step.before else ""
    if report.score.get("val_accuracy") is None:
        return f"{what}; no validation images, so no score{step}"
    return f"{what}; validation accuracy {score_words(report.score)}{step}"


def score_words(score: Mapping[str, Any]) -> str:
    """Format the validation accuracy: `0.953 (0.927 to 0.971)` with its 95 % interval, or `0.842 ± 0.011 (3 seeds)`."""
    if score.get("val_spread") is not None:
        return f"{score['val_mean']:.3f} ± {score['val_spread']:.3f} ({score['seeds']} seeds)"
    return f"{score['val_accuracy']:.3f} ({score['val_low']:.3f} to {score['val_high']:.3f})"


def step_words(step: Step) -> str:
    """Describe a step between versions: `v12 -> v13: 31 relabels, +0.8 points (0.1 to 1.5)`."""
    compared = comparison_words(step.compared) if step.compared else step.why
    parts = [*(change_words(step.changes) if step.changes else ["what changed was not kept"]), compared]
    return f"{step.before} -> {step.after}: {', '.join(parts)}"


def change_words(changes: Changes) -> list[str]:
    """Count what changed between two versions, `31 relabels`, `4 new`; zeros are left out."""
    words = {
        "added": "new",
        "removed": "gone",
        "relabelled": "relabels",
        "moved": "moves",
        "replaced": "replaced",
    }
    counts = {name: getattr(changes, name) for name in words}
    return [f"{count} {words[name].removesuffix('s' * (count == 1))}" for name, count in counts.items() if count]


def comparison_words(compared: Comparison) -> str:
    """Compare two versions in percentage points, and say if the difference can be told from chance."""
    low, high = compared.low, compared.high
    if compared.told:
        return f"{_points(compared.difference, '+')} points ({_points(low)} to {_points(high)})"
    images = f"{compared.images} image{'s' * (compared.images != 1)}"
    return f"no difference that this validation set can show ({_points(low)} to {_points(high)} points, {images})"


def _points(share: float, sign: str = "-") -> str:
    """Format a share as percentage points, with as many decimals as it takes not to look like zero."""
    points = 100 * share
    digits = 1 if not points or abs(points) >= 0.05 else 2 if abs(points) >= 0.005 else 3
    return f"{points:{sign}z.{digits}f}"


def problem_lines(report: Report) -> list[str]:
    """One line for each failed image and each row with a problem."""
    failures = sorted(report.failures, key=lambda failure: failure.number)
    lines = [f"row {each.number}: {shorten(each.url, URL_SHOWN)}: {each.reason}" for each in failures]
    return lines + issue_lines(report.issues)


def issue_lines(issues: Sequence[Issue]) -> list[str]:
    """One line for each issue; rows that cannot be used come first."""
    return [f"row {issue.number}: {issue.problem}" for issue in sorted(issues, key=lambda issue: issue.warning)]
