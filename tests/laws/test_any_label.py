"""Labels that no folder can be called go through whole passes, and stand in the sheet as people wrote them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sheetsync.dataset.mirror import Mirror
from sheetsync.images.store import ImageStore
from sheetsync.rows.cells import read_label
from sheetsync.sheets.csv.sheet import CsvSheet
from tests.cli.test_cli import ok, project
from tests.helpers.support import QuickTrainer, Web, a_pass, machine_cells, png, tree
from tests.helpers.support import project as quick_project

ODD = ["..", "con", "a/b", ".5", "é", "e\u0301", "🙂", "שלום", "x" * 300, "=1+1", "%2F", "%", "unlabelled", "train"]
LABELS = [*ODD, "Cat", "cat"] * 3
SPLITS = ["train"] * 32 + ["val"] * 16
ROWS = [[f"http://pics.example/{n}.png", *cells] for n, cells in enumerate(zip(LABELS, SPLITS, strict=True))]
SHORT = [read_label(label) for _, label, _ in ROWS]


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "label", "split"), *rows])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_any_label_is_mirrored_and_read_back_as_people_wrote_it(tmp_path: Path) -> None:
    write(tmp_path / "labels.csv", ROWS)
    web, trainer = Web({url: png(n) for n, (url, *_) in enumerate(ROWS)}), QuickTrainer()

    def run() -> object:
        return a_pass(quick_project(tmp_path), CsvSheet(tmp_path / "labels.csv"), web, trainer).run()

    run()
    manifest = Mirror(tmp_path / "dataset", ImageStore(tmp_path / ".sheetsync" / "objects")).scan()
    assert sorted(entry.label for entry in manifest) == sorted(SHORT)
    assert sorted(line["label"] for line in read(tmp_path / "dataset" / "metadata.csv")) == sorted(SHORT)
    statuses = [cells["status"] for cells in machine_cells(CsvSheet(tmp_path / "labels.csv").read().rows)]
    assert [words.startswith("label too long") for words in statuses] == [len(label) > 200 for _, label, _ in ROWS]
    before = tree(tmp_path / "dataset"), len(trainer.trained), len(web.asked)
    report = run()
    assert (report.downloaded, report.moved, report.deleted, report.cells, report.trained) == (0, 0, 0, 0, False)
    assert (tree(tmp_path / "dataset"), len(trainer.trained), len(web.asked)) == before


def test_a_dataset_of_an_earlier_version_is_moved_once_and_nothing_is_trained_again(tmp_path: Path) -> None:
    rows = [
        [url, label, split] for (url, _, split), label in zip(ROWS, ["con", "Cat", "cat", "50%25"] * 12, strict=True)
    ]
    write(tmp_path / "labels.csv", rows)
    web, trainer = Web({url: png(n) for n, (url, *_) in enumerate(rows)}), QuickTrainer()
    new = a_pass(quick_project(tmp_path), CsvSheet(tmp_path / "labels.csv"), web, trainer).run()
    after = tree(tmp_path / "dataset")
    for split in ("train", "val"):
        for name, old in (("%63on", "con"), ("%63at", "cat"), ("50%2525", "50%25")):
            (tmp_path / "dataset" / split / name).rename(tmp_path / "dataset" / split / old)
    again = a_pass(quick_project(tmp_path), CsvSheet(tmp_path / "labels.csv"), web, trainer).run()
    assert (again.moved, again.downloaded, again.revision, again.trained) == (36, 0, new.revision, False)
    assert tree(tmp_path / "dataset") == after


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "pics").mkdir()
    for number in range(len(ROWS)):
        (folder / "pics" / f"{number}.png").write_bytes(png(number))
    project(folder, [])
    write(folder / "labels.csv", [[f"pics/{n}.png", *cells] for n, (_, *cells) in enumerate(ROWS)])
    ok("sync", "-p", folder)
    return folder


def test_a_real_training_says_labels_as_people_wrote_them(trained: Path) -> None:
    guesses = {line["prediction"].removeprefix("'") for line in read(trained / "labels.csv")}
    assert guesses <= set(SHORT)
    assert len(guesses) > 1
    report = json.loads(ok("sync", "-p", trained, "--json"))
    assert (report["moved"], report["trained"], report["cells"]) == (0, False, 0)


def test_every_label_comes_back_from_a_run_as_a_prediction(trained: Path) -> None:
    """As if the model were always right: by the names that the training itself has for these classes."""
    (run,) = (trained / ".sheetsync" / "runs").glob("[!.]*/predictions.csv")
    lines = [line | {"prediction": line["label"]} for line in read(run)]
    with run.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(lines[0]))
        table.writeheader()
        table.writerows(lines)
    (trained / ".sheetsync" / "settled").unlink()  # no run is ever changed, so nobody looks for that
    ok("sync", "-p", trained)
    assert [line["prediction"].removeprefix("'") for line in read(trained / "labels.csv")] == SHORT
    assert json.loads(ok("sync", "-p", trained, "--json"))["cells"] == 0
    assert "on 16 of 16 validation images" in ok("history", "-p", trained, "--rescore")
