"""The main job, whole and real: the demo, then what its user does next."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long
SHEETSYNC = str(Path(sys.executable).with_name("sheetsync"))


def sheetsync(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    bare = os.environ | {"PATH": os.defpath}  # as after the README's command, with no environment active
    return subprocess.run([SHEETSYNC, *arguments], cwd=cwd, env=bare, capture_output=True, text=True)


def synced(folder: Path) -> dict[str, Any]:
    done = sheetsync("sync", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    where = tmp_path_factory.mktemp("demo")
    done = sheetsync("demo", cwd=where)
    assert done.returncode == 0, done.stderr
    return where / "sheetsync-demo", done.stdout


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_demo_shows_a_score_and_finds_most_planted_mistakes(demo: tuple[Path, str]) -> None:
    folder, said = demo
    score = re.search(r"Validation accuracy (0\.\d+)", said)
    found = re.search(r"(\d+) of the (\d+) planted mistakes are among the first", said)
    assert score, said
    assert found, said
    assert float(score[1]) > 0.9
    assert int(found[2]) == 54
    assert int(found[1]) > 0.7 * 54
    assert f"cd {folder.name}" in said
    assert f"{SHEETSYNC} sync" in said, "it is not on the path, so its place is named"


def test_the_demo_says_what_is_wrong_with_bad_rows_in_the_sheet(demo: tuple[Path, str]) -> None:
    rows = read(demo[0] / "digits.csv")
    wrong = [row["status"] for row in rows if row["status"] != "ok"]
    assert sorted(each.partition("; tried once")[0] for each in wrong) == [
        "cannot connect",
        "not an image: unknown content",
        "this image is in 2 rows",
        "this image is in 2 rows",
    ]


def test_after_the_demo_a_sync_does_nothing_and_ten_corrections_are_ten_moves(demo: tuple[Path, str]) -> None:
    folder = demo[0]
    report = synced(folder)
    assert (report["downloaded"], report["trained"]) == (0, False)
    assert report["cells"] <= 1, "the dead address may have been tried again by now"
    fixes = {row["image"]: row["true_label"] for row in read(folder / "planted.csv")[:10]}
    lines = (folder / "digits.csv").read_text().splitlines(keepends=True)
    for number, line in enumerate(lines):
        image, _, rest = line.split(",", 2)
        if image in fixes:
            lines[number] = f"{image},{fixes[image]},{rest}"
    (folder / "digits.csv").write_text("".join(lines))
    report = synced(folder)
    assert (report["moved"], report["downloaded"], report["deleted"]) == (10, 0, 0)
    assert report["trained"]
    scores = read(folder / "digits.scores.csv")
    assert [row["relabelled"] for row in scores] == ["0", "10"]
    assert scores[1]["revision"] == report["revision"]


def test_the_demo_leaves_a_folder_that_is_not_empty_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    done = sheetsync("demo", ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
