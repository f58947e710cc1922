"""Print reports, previews, histories and findings for people, or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from sheetsync.common.finding import Finding
from sheetsync.common.text import shorten
from sheetsync.project.gc import Garbage
from sheetsync.sync.pipeline import Preview
from sheetsync.sync.report import Report
from sheetsync.sync.summary import URL_SHOWN, issue_lines, problem_lines, score_words, step_words, training_words
from sheetsync.versions.records import Accuracy, History, Version

STYLES = {"problem": "bold red", "note": "yellow", "skipped": "dim"}  # of findings of the doctor
SHOWN = 12  # lines of a kind; the rest is only counted


def show_preview(console: Console, preview: Preview) -> None:
    """Print what a pass would do to the dataset, how many images wait for their next try, and why it would stop."""
    plan = preview.plan
    _show_some(console, [f"delete    {delete.entry.path}" for delete in plan.deletes])
    _show_some(console, [f"move      {move.source.path} -> {move.target.path}" for move in plan.moves])
    rows = sorted((each.row for each in plan.downloads), key=lambda row: row.number)
    lines = (f"row {row.number}, label {row.label or '(none)'}: {shorten(row.url, URL_SHOWN)}" for row in rows)
    _show_some(console, [f"download  {line}" for line in lines])
    _show_some(console, issue_lines(preview.snapshot.issues))
    counts = (len(plan.downloads), len(plan.moves), len(plan.deletes))
    again = f", {len(plan.refreshes)} to ask whether they changed" if plan.refreshes else ""
    console.print("{} to download, {} to move, {} to delete{}".format(*counts, again), highlight=False)
    if preview.waiting:
        console.print(
            f"{preview.waiting} that failed before wait: `sheetsync sync --retry` asks at once", highlight=False
        )
    if preview.refusal:
        console.print(f"but a sync would stop: {preview.refusal}", highlight=False, markup=False)


def show_report(console: Console, report: Report) -> None:
    """Print the report of a pass."""
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
    """Print findings as they come, or all as JSON; returns True if there is no problem."""
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            _show_finding(console, finding)
    well = all(finding.state != "problem" for finding in found)
    if as_json:
        _print_json(console, {"well": well, "findings": [asdict(finding) for finding in found]})
    return well


def show_garbage(console: Console, garbage: Garbage) -> None:
    """Print what nothing needs any more, or what was removed."""
    kinds = (
        (garbage.images, "image file"),
        (garbage.broken, "broken image file"),
        (garbage.temporary, "left-over file"),
    )
    parts = [(part, word) for part, word in (*kinds, (garbage.answers, "prediction file of lost runs")) if part.files]
    for part, word in parts:
        many = f"{part.files} {word.replace('file', 'files', 1) if part.files > 1 else word}"
        console.print(f"{many} ({part.bytes / 1e6:.1f} MB)", highlight=False)
    if garbage.lines:
        console.print(f"{garbage.lines} outdated lines in the log of fetches", highlight=False)
    cached = f"{garbage.cache.bytes / 1e6:.1f} MB of decoded images, which training decodes again when they are missing"
    console.print(f"{cached}: --cache removes them too", highlight=False)
    what = "removed" if garbage.removed else "remove it: `sheetsync gc --delete`, with the same options"
    console.print(
        f"{garbage.kept} images stay; {what if parts or garbage.lines else 'nothing to remove'}", highlight=False
    )


def show_json(console: Console, said: Report | History | Garbage) -> None:
    """Print all fields as JSON, for programs."""
    _print_json(console, asdict(said))


def _print_json(console: Console, said: Mapping[str, Any]) -> None:
    console.out(json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False), highlight=False)


def _show_finding(console: Console, finding: Finding) -> None:
    """Print a finding, and below it what to do."""
    line = Text(f"{finding.state:<8} {finding.name:<14} ", style=STYLES.get(finding.state, ""))
    console.print(line.append(finding.said, style="default"))
    if finding.todo:
        console.print(Text(f"{'':<8} {'':<14} → {finding.todo}"))


def show_history(console: Console, history: History) -> None:
    """Print the versions, the last one at the end."""
    if not history.versions:
        others = f" (runs of other recipes: {history.others})" if history.others else ""
        todo = f"`sheetsync sync` does it or says why not{others}"
        words = f"nothing was trained with the recipe {history.recipe} yet: {todo}"
        console.print(words, highlight=False, markup=False)
        return
    for version in history.versions:
        for line in _version_lines(version, history):
            console.print(line, highlight=False, markup=False)
    if history.rescored and not history.images:
        console.print("there are no validation images today, so each is judged on those it had", highlight=False)


def _version_lines(version: Version, history: History) -> Iterator[str]:
    when = version.when[:16].replace("T", " ")
    none = version.score["val_accuracy"] is None
    score = "no validation images" if none else f"validation accuracy {score_words(version.score)}"
    yield f"{version.name:<4} {when}  {version.revision}  {score}"
    if version.step.before:
        yield f"     {step_words(version.step)}"
    elif version.step.changes:
        yield f"     the first version: {version.step.changes.added} images"
    if history.images:
        yield f"     today: {_today_words(version.today, history.images) if version.today else version.why}"


def _today_words(today: Accuracy, images: int) -> str:
    return f"{today.accuracy:.3f} ({today.low:.3f} to {today.high:.3f}) on {today.images} of {images} validation images"


def show_problems(console: Console, report: Report) -> None:
    """Print the failed images and the rows with problems."""
    _show_some(console, problem_lines(report), "see the status column")
    if any(failure.until for failure in report.failures):
        words = "what failed is tried again on later passes; `sheetsync sync --retry` asks at once"
        console.print(words, highlight=False)


def _show_some(console: Console, lines: Sequence[str], where: str = "") -> None:
    for line in lines[:SHOWN]:
        console.print(line, highlight=False, markup=False)
    if len(lines) > SHOWN:
        console.print(f"… and {len(lines) - SHOWN} more{': ' if where else ''}{where}", highlight=False)
