"""What people see while a pass works and when it is done: bars on a terminal, lines in a log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from sheetsync.cells import shown
from sheetsync.gc import Waste
from sheetsync.records import Finding, Issue, Plan, Report, Row, Snapshot
from sheetsync.records import Progress as Tell
from sheetsync.steps import Changes, Comparison, Judged, Past, Step, Version

LINE_SECONDS = 5.0
STYLES = {"problem": "bold red", "note": "yellow", "skipped": "dim"}  # of the doctor's findings
SHOWN = 12  # lines of a kind before the rest is only counted
URL_SHOWN = 300  # characters: an image in the cell itself has thousands


@contextmanager
def progress_shown(console: Console) -> Iterator[Tell]:
    """Give a progress function that shows what it is told on a console."""
    if not console.is_terminal:
        yield Lines(partial(console.print, highlight=False, markup=False, soft_wrap=True))
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    said = TextColumn("{task.fields[message]}", markup=False)
    with Progress(*columns, said, console=console, transient=True) as progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Progress):
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, message: str) -> None:
        if not total:
            self._progress.console.print(f"{stage}: {message}", highlight=False, markup=False)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, message="")
        self._progress.update(self._tasks[stage], completed=done, total=total, message=message)


class Lines:
    """A line when a stage is done, and one now and then while it lasts."""

    def __init__(self, tell: Callable[[str], None], seconds: float = LINE_SECONDS):
        self._tell, self._seconds = tell, seconds
        self._shown = time.monotonic()

    def __call__(self, stage: str, done: int, total: int, message: str) -> None:
        """See `records.Progress`."""
        now = time.monotonic()
        if done == total or now - self._shown >= self._seconds:
            self._shown = now
            words = ([f"{done} of {total}"] if total else []) + ([message] if message else [])
            self._tell(f"{stage}: {', '.join(words)}")


def show_plan(console: Console, snapshot: Snapshot, plan: Plan, waiting: int, refusal: str) -> None:
    """Say what a pass would do to the dataset, how many images wait for their next try, or why it would not."""
    _show_some(console, [f"delete    {delete.entry.path}" for delete in plan.deletes])
    _show_some(console, [f"move      {move.source.path} -> {move.target.path}" for move in plan.moves])
    rows = sorted((each.row for each in plan.downloads), key=lambda row: row.number)
    _show_some(console, [f"download  {_row_words(row)}" for row in rows])
    _show_some(console, _issue_lines(snapshot.issues))
    counts = (len(plan.downloads), len(plan.moves), len(plan.deletes))
    again = f", {len(plan.refreshes)} to ask whether they changed" if plan.refreshes else ""
    console.print("{} to download, {} to move, {} to delete{}".format(*counts, again), highlight=False)
    if waiting:
        console.print(f"{waiting} that failed before wait: `sheetsync sync --retry` asks at once", highlight=False)
    if refusal:
        console.print(f"but a sync would stop: {refusal}", highlight=False, markup=False)


def _row_words(row: Row) -> str:
    return f"row {row.number}, label {row.label or '(none)'}: {shown(row.url, URL_SHOWN)}"


def show_report(console: Console, report: Report) -> None:
    """Say what a pass saw and did."""
    counts = ", ".join(f"{count} {split}" for split, count in report.images.items() if count)
    done = {
        "downloaded": report.downloaded,
        "restored": report.restored,
        "asked again": report.asked,
        "changed at their address": report.changed,
        "moved": report.moved,
        "deleted": report.deleted,
        "failed": len(report.failures),
    }
    did = ", ".join(f"{count} {word}" for word, count in done.items() if count) or "nothing new"
    console.print(f"{report.rows} usable rows of {report.sheet}: {did}", highlight=False, markup=False)
    console.print(f"images: {counts or 'none'}", highlight=False)
    console.print(training_words(report), highlight=False, markup=False)
    console.print(f"{report.cells} cells written in {sum(report.seconds.values()):.1f} s", highlight=False)
    show_problems(console, report)


def show_findings(console: Console, findings: Iterable[Finding], *, as_json: bool) -> bool:
    """Say what the doctor finds, each as soon as it is found, or all as JSON; gives whether there is no problem."""
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            _show_finding(console, finding)
    well = all(finding.state != "problem" for finding in found)
    if as_json:
        _say_json(console, {"well": well, "findings": [asdict(finding) for finding in found]})
    return well


def show_waste(console: Console, waste: Waste) -> None:
    """Say what nothing needs any more, or what is gone of it."""
    kinds = ((waste.images, "image file"), (waste.broken, "broken image file"), (waste.temporary, "left-over file"))
    parts = [(part, word) for part, word in (*kinds, (waste.answers, "answer file of lost runs")) if part.files]
    for part, word in parts:
        many = f"{part.files} {word.replace('file', 'files', 1) if part.files > 1 else word}"
        console.print(f"{many} ({part.bytes / 1e6:.1f} MB)", highlight=False)
    if waste.lines:
        console.print(f"{waste.lines} lines of the log of addresses", highlight=False)
    cached = f"{waste.cache.bytes / 1e6:.1f} MB of decoded images, which training makes again when they are missing"
    console.print(f"{cached}: --cache takes them too", highlight=False)
    what = "removed" if waste.removed else "remove it: `sheetsync gc --delete`, with the same options"
    console.print(f"{waste.kept} images stay; {what if parts or waste.lines else 'nothing to remove'}", highlight=False)


def show_json(console: Console, said: Report | Past | Waste) -> None:
    """Print all that is in it, for programs."""
    _say_json(console, asdict(said))


def _say_json(console: Console, said: Mapping[str, Any]) -> None:
    console.out(json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False), highlight=False)


def _show_finding(console: Console, finding: Finding) -> None:
    """One line, and below it what to do."""
    line = Text(f"{finding.state:<8} {finding.name:<14} ", style=STYLES.get(finding.state, ""))
    console.print(line.append(finding.said, style="default"))
    if finding.todo:
        console.print(Text(f"{'':<8} {'':<14} → {finding.todo}"))


def training_words(report: Report) -> str:
    """Whether the pass trained, and the score of this version of the sheet."""
    if report.untrained:
        return report.untrained
    what = f"{'trained' if report.trained else 'already trained'}: run {report.run}, version {report.version}"
    step = f"; {step_words(report.step)}" if report.step and report.step.before else ""
    if report.score.get("val_accuracy") is None:
        return f"{what}; no validation images, so no score{step}"
    return f"{what}; validation accuracy {score_words(report.score)}{step}"


def score_words(score: Mapping[str, Any]) -> str:
    """Validation accuracy, `0.953 (0.927 to 0.971)` with its 95 % interval, or `0.842 ± 0.011 (3 seeds)`."""
    if score.get("val_spread") is not None:
        return f"{score['val_mean']:.3f} ± {score['val_spread']:.3f} ({score['seeds']} seeds)"
    return f"{score['val_accuracy']:.3f} ({score['val_low']:.3f} to {score['val_high']:.3f})"


def step_words(step: Step) -> str:
    """`v12 -> v13: 31 relabels, +0.8 points (0.1 to 1.5)`."""
    compared = comparison_words(step.compared) if step.compared else step.why
    parts = [*(_change_words(step.changes) if step.changes else ["what changed was not kept"]), compared]
    return f"{step.before} -> {step.after}: {', '.join(parts)}"


def _change_words(changes: Changes) -> list[str]:
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
    """How two versions compare, in percentage points, and whether that can be told from chance."""
    low, high = compared.low, compared.high
    if compared.told:
        return f"{_points(compared.difference, '+')} points ({_points(low)} to {_points(high)})"
    images = f"{compared.images} image{'s' * (compared.images != 1)}"
    return f"no difference that this validation set can show ({_points(low)} to {_points(high)} points, {images})"


def _points(share: float, sign: str = "-") -> str:
    """A share as percentage points with one decimal, or as many as it takes not to look like none."""
    points = 100 * share
    digits = 1 if not points or abs(points) >= 0.05 else 2 if abs(points) >= 0.005 else 3
    return f"{points:{sign}z.{digits}f}"


def show_past(console: Console, past: Past) -> None:
    """List the versions, the last one at the end."""
    if not past.versions:
        others = f" (runs of other recipes: {past.others})" if past.others else ""
        words = f"nothing was trained with the recipe {past.recipe} yet: `sheetsync sync` does it{others}"
        console.print(words, highlight=False, markup=False)
        return
    for version in past.versions:
        for line in _version_lines(version, past):
            console.print(line, highlight=False, markup=False)
    if past.rescored and not past.images:
        console.print("there are no validation images today, so each is judged on those it had", highlight=False)


def _version_lines(version: Version, past: Past) -> Iterator[str]:
    when = version.when[:16].replace("T", " ")
    none = version.score["val_accuracy"] is None
    score = "no validation images" if none else f"validation accuracy {score_words(version.score)}"
    yield f"{version.name:<4} {when}  {version.revision}  {score}"
    if version.step.before:
        yield f"     {step_words(version.step)}"
    elif version.step.changes:
        yield f"     the first version: {version.step.changes.added} images"
    if past.images:
        yield f"     today: {_today_words(version.today, past.images) if version.today else version.why}"


def _today_words(today: Judged, images: int) -> str:
    return f"{today.accuracy:.3f} ({today.low:.3f} to {today.high:.3f}) on {today.images} of {images} validation images"


def show_problems(console: Console, report: Report) -> None:
    """List the images that could not be had and the rows with something wrong."""
    _show_some(console, problem_lines(report), "see the status column")
    if any(failure.until for failure in report.failures):
        words = "what failed is tried again on later passes; `sheetsync sync --retry` asks at once"
        console.print(words, highlight=False)


def problem_lines(report: Report) -> list[str]:
    """A line for each image that could not be had and each row with something wrong."""
    failures = sorted(report.failures, key=lambda failure: failure.number)
    lines = [f"row {each.number}: {shown(each.url, URL_SHOWN)}: {each.reason}" for each in failures]
    return lines + _issue_lines(report.issues)


def _issue_lines(issues: Sequence[Issue]) -> list[str]:
    """Rows that cannot be used come first."""
    return [f"row {issue.number}: {issue.problem}" for issue in sorted(issues, key=lambda issue: issue.warning)]


def _show_some(console: Console, lines: Sequence[str], where: str = "") -> None:
    for line in lines[:SHOWN]:
        console.print(line, highlight=False, markup=False)
    if len(lines) > SHOWN:
        console.print(f"… and {len(lines) - SHOWN} more{': ' if where else ''}{where}", highlight=False)
