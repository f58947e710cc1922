"""The Python API: what a project says of itself, earlier versions rebuilt, and errors of documented classes."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import sheetsync
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.revision import revision
from sheetsync.images.store import ImageStore
from sheetsync.project.config import Settings
from sheetsync.project.lock import project_lock
from tests.helpers.flowers import flower_rows, plant_flowers, write_rows
from tests.helpers.support import tree

CONFIG = """sheet = "labels.csv"
recipe = "recipe.json"
slices = ["light"]
[training]
provisional = false
"""
ROWS = flower_rows()
LATER = [(row[0], "Rose", *row[2:]) if row[0] == "pics/3.png" else row for row in ROWS if row[0] != "pics/4.png"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> sheetsync.OpenProject:
    """A project with two versions: one image moved from `rose` to `Rose`, and one left. Not to be changed."""
    root = plant_flowers(tmp_path_factory.mktemp("api") / "flowers")
    (root / "sheetsync.toml").write_text(CONFIG)
    project = sheetsync.open_project(root)
    project.sync()
    write_rows(root, LATER)
    project.sync()
    return project


@pytest.fixture
def copied(trained: sheetsync.OpenProject, tmp_path: Path) -> sheetsync.OpenProject:
    """The same, to be changed."""
    shutil.copytree(trained.root, tmp_path / "copy")
    return sheetsync.open_project(tmp_path / "copy")


@pytest.fixture
def untrained(tmp_path: Path) -> sheetsync.OpenProject:
    """A project that was never synced."""
    (plant_flowers(tmp_path / "new") / "sheetsync.toml").write_text(CONFIG)
    return sheetsync.open_project(tmp_path / "new")


def held(folder: Path) -> str:
    """The revision of an ImageFolder."""
    return revision(Mirror(folder, ImageStore(folder)).scan())


# --- importing ------------------------------------------------------------------------------------


def test_importing_both_packages_imports_nothing_heavy() -> None:
    code = (
        "import sys, sheetsync, training\n"
        "assert sheetsync.__version__ and sheetsync.Busy and training.TrainingError\n"
        "assert 'open_project' in dir(sheetsync)\n"
        "print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = ("pandas", "torch", "requests", "PIL", "pydantic", "numpy", "typer", "rich")
    assert [name for name in heavy if f"'{name}'" in done.stdout] == []


def test_working_with_a_project_imports_no_torch(trained: sheetsync.OpenProject) -> None:
    code = (
        "import sys, sheetsync\n"
        f"project = sheetsync.open_project({str(trained.root)!r})\n"
        "project.rows(), project.history(), project.run().predictions(), project.plan()\n"
        "print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'pandas'" in done.stdout
    assert "'torch'" not in done.stdout


@pytest.mark.parametrize("name", ["nothing", "load_model", "_MODULE"])
def test_a_name_that_is_not_public_is_no_attribute(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(sheetsync, name)


@pytest.mark.parametrize("package", ["sheetsync", "training"])
def test_both_packages_say_that_they_are_typed(package: str) -> None:
    assert (Path(__file__).parent.parent / package / "py.typed").exists()


# --- opening and making ---------------------------------------------------------------------------


def test_a_project_is_made_opened_and_planned(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = plant_flowers(tmp_path / "flowers")
    project = sheetsync.create_project(root, "labels.csv", recipe="recipe.json", format_sheet=True)
    assert project.root == root
    assert project.dataset == root / "dataset"
    assert len(project.plan().plan.downloads) == len(ROWS)
    assert not project.dataset.exists(), "a plan changes nothing"
    assert capfd.readouterr() == ("", "")


def test_a_project_of_the_default_recipe_has_the_recipe_of_the_configuration(tmp_path: Path) -> None:
    project = sheetsync.create_project(tmp_path / "new", "labels.csv")
    assert project.config.settings.recipe == Settings.model_fields["recipe"].default
    assert (tmp_path / "new" / "labels.csv").exists()


def test_a_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sheetsync.toml").write_text(CONFIG)
    assert sheetsync.open_project("~").root == tmp_path


def test_where_there_is_no_project_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(sheetsync.ConfigError, match=r"no sheetsync\.toml"):
        sheetsync.open_project(tmp_path)


def test_a_project_is_not_made_twice(untrained: sheetsync.OpenProject) -> None:
    with pytest.raises(sheetsync.ConfigError, match="there already"):
        sheetsync.create_project(untrained.root, "labels.csv")


@pytest.fixture
def collection() -> Iterator[None]:
    """What a test sets of the garbage collector ends with it."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


# --- a pass ---------------------------------------------------------------------------------------


def test_a_second_sync_does_nothing_and_prints_nothing(
    trained: sheetsync.OpenProject, capfd: pytest.CaptureFixture[str], collection: None
) -> None:
    before = tree(trained.root)
    gc.set_threshold(701, 11, 9)
    report = trained.sync(progress=lambda *_: None)
    assert (report.version, report.trained, report.cells, report.downloaded) == ("v2", False, 0, 0)
    assert tree(trained.root) == before
    assert capfd.readouterr() == ("", "")
    assert gc.get_threshold() == (701, 11, 9), "a program's garbage collection is its own"


def test_what_progress_raises_ends_the_pass_and_the_next_one_goes_on(untrained: sheetsync.OpenProject) -> None:
    class Enough(Exception):
        pass

    told: list[str] = []

    def stop(stage: str, done: int, total: int, message: str) -> None:
        told.append(stage)
        if done == 3:
            raise Enough

    with pytest.raises(Enough):
        untrained.sync(progress=stop)
    assert set(told) == {"download"}
    assert len(list(untrained.dataset.rglob("*.png"))) == 3
    assert untrained.plan().refusal == ""
    assert len(untrained.plan().plan.downloads) == len(ROWS) - 3


def test_a_project_that_is_locked_is_busy_and_can_be_looked_at(trained: sheetsync.OpenProject, tmp_path: Path) -> None:
    calls = (trained.sync, trained.collect_garbage, lambda: trained.history(rescore=True))
    with project_lock(trained.config.state), ThreadPoolExecutor(1) as another_thread:
        for call in calls:
            with pytest.raises(sheetsync.Busy, match="another sheetsync"):
                another_thread.submit(call).result()
        for look in (trained.plan, trained.rows, trained.history, trained.runs):
            another_thread.submit(look).result()
        trained.checkout("v1", tmp_path / "v1")


def test_a_sheet_that_lost_most_rows_is_refused_in_the_preview_and_in_the_pass(copied: sheetsync.OpenProject) -> None:
    write_rows(copied.root, ROWS[:4])
    assert "nothing was changed" in copied.plan().refusal
    with pytest.raises(sheetsync.Shrunk):
        copied.sync()


# --- rows -----------------------------------------------------------------------------------------


def test_rows_say_what_people_and_the_machine_wrote(trained: sheetsync.OpenProject) -> None:
    rows = trained.rows()
    assert list(rows.row) == list(range(2, len(LATER) + 2))
    assert list(zip(rows.url, rows.label, rows.split, rows.light, strict=True)) == LATER
    assert list(rows.used_split)[:-1] == list(rows.split)[:-1]
    assert list(rows.used_split)[-1] == "unlabelled"
    odd = rows[rows.status != "ok"]
    assert [*odd.status] == ["label “Rose” differs from “rose” only in case or blanks"]
    assert set(rows.prediction) <= {"rose", "Rose", "daisy", "tulip/red"}
    assert rows.confidence.between(0, 1).all()
    assert list(rows.label_quality.isna()) == [label == "" for label in rows.label]
    assert sorted(rows.review_rank.dropna()) == list(range(1, len(LATER)))
    assert rows.review_rank.dtype == "Int64"
    ranked = rows.dropna(subset=["review_rank"]).sort_values("review_rank")
    assert list(ranked.label_quality) == sorted(ranked.label_quality)


def test_the_file_of_a_row_is_its_image_in_the_dataset(trained: sheetsync.OpenProject) -> None:
    for row in trained.rows().itertuples():
        assert (trained.dataset / row.file).stem.startswith(row.key)
        assert (trained.dataset / row.file).read_bytes() == (trained.root / row.url).read_bytes()


def test_before_the_first_sync_rows_have_the_same_columns_and_no_word_of_the_machine(
    trained: sheetsync.OpenProject, untrained: sheetsync.OpenProject
) -> None:
    before, after = untrained.rows(), trained.rows()
    assert list(before.columns) == list(after.columns)
    assert [str(each) for each in before.dtypes] == [str(each) for each in after.dtypes]
    assert set(before.file) == set(before.prediction) == {""}
    assert before.confidence.isna().all()
    assert before.review_rank.isna().all()


def test_an_empty_sheet_has_no_rows_and_all_columns(untrained: sheetsync.OpenProject) -> None:
    whole = untrained.rows()
    write_rows(untrained.root, [])
    empty = untrained.rows()
    assert empty.dtypes.to_dict() == whole.dtypes.to_dict()
    assert len(empty) == 0


def test_rows_are_those_of_the_sheet_now_and_files_those_of_the_last_sync(copied: sheetsync.OpenProject) -> None:
    write_rows(copied.root, [("pics/0.png", "weed", "", "sun"), ("pics/new.png", "rose", "skip", "sun")])
    rows = copied.rows()
    assert list(rows.label) == ["weed", "rose"]
    assert Path(rows.file[0]).parent == Path("train/%72ose"), "a folder that no other label's is, whatever its case"
    assert rows.file[1] == ""


def test_a_number_is_read_as_any_spreadsheet_program_writes_it(untrained: sheetsync.OpenProject) -> None:
    header = "image,label,status,prediction,confidence,label_quality,review,review_rank,used_split,light\n"
    cells = (
        """pics/0.png,rose,ok,'=1+1,"0,25",0.5,'-5 °,"1,234",train,\npics/1.png,daisy,ok,'tis,much,,,first,val,sun\n"""
    )
    (untrained.root / "labels.csv").write_text(header + cells, encoding="utf-8")
    first, second = untrained.rows().itertuples()
    assert (first.prediction, first.confidence, first.label_quality, first.review) == ("=1+1", 0.25, 0.5, "-5 °")
    assert first.review_rank == 1234
    assert second.prediction == "'tis"
    assert math.isnan(second.confidence)
    assert untrained.rows().review_rank.isna().to_list() == [False, True]
    for cell, rank in (("12.0", 12), ("12,0", 12), ("1.234", 1234), ("12", 12), ("1.5", None)):  # pandas writes 12.0
        text = header + f'pics/0.png,rose,ok,rose,0.5,0.5,,"{cell}",train,\n'
        (untrained.root / "labels.csv").write_text(text, encoding="utf-8")
        assert untrained.rows().review_rank.to_list() == [pd.NA if rank is None else rank], cell


def test_a_tag_that_is_called_as_one_of_the_columns_keeps_its_own(untrained: sheetsync.OpenProject) -> None:
    (untrained.root / "sheetsync.toml").write_text(CONFIG.replace('"light"', '"file"'))
    (untrained.root / "labels.csv").write_text("image,label,file\npics/0.png,rose,A-12\n")
    rows = sheetsync.open_project(untrained.root).rows()
    assert list(rows.tag_file) == ["A-12"]
    assert list(rows.file) == [""]


def test_a_column_of_the_teams_is_not_taken_for_the_machines(untrained: sheetsync.OpenProject) -> None:
    (untrained.root / "labels.csv").write_text("image,label,light,prediction\npics/0.png,rose,,mine\n")
    with pytest.raises(sheetsync.SheetError, match="prediction"):
        untrained.rows()


def test_a_sheet_that_is_missing_is_a_sheet_error(untrained: sheetsync.OpenProject) -> None:
    (untrained.root / "labels.csv").unlink()
    for call in (untrained.rows, untrained.sync, untrained.plan):
        with pytest.raises(sheetsync.SheetError, match=r"labels\.csv"):
            call()


def test_a_strangers_file_in_the_dataset_is_named(copied: sheetsync.OpenProject) -> None:
    (copied.dataset / "train" / "daisy" / "mine.png").write_bytes(b"")
    with pytest.raises(sheetsync.MirrorError, match=r"mine\.png"):
        copied.rows()


# --- earlier versions -----------------------------------------------------------------------------


def test_a_version_is_the_dataset_of_then_to_the_byte(trained: sheetsync.OpenProject, tmp_path: Path) -> None:
    first, second = trained.history().versions
    assert held(trained.checkout("v1", tmp_path / "deep" / "v1")) == first.revision
    assert held(trained.checkout("v2", tmp_path / "v2")) == second.revision
    today = {
        name: content for name, content in tree(trained.dataset).items() if name.startswith(("train", "val", "test"))
    }
    assert tree(tmp_path / "v2") == today, "folders of labels that differ in case have the same names, too"
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"v1"}, "nothing half done lies around"


def test_a_version_is_told_by_its_name_its_revision_and_its_run(trained: sheetsync.OpenProject, tmp_path: Path) -> None:
    run = trained.run("v1")
    names = ("v1", run.revision, run.id)
    folders = [trained.checkout(name, tmp_path / f"{number}") for number, name in enumerate(names)]
    assert {held(folder) for folder in folders} == {run.revision}


def test_a_checked_out_file_can_be_changed_by_nobody_and_costs_no_room(
    trained: sheetsync.OpenProject, tmp_path: Path
) -> None:
    for path in trained.checkout("v1", tmp_path / "v1").rglob("*.png"):
        assert path.stat().st_mode & 0o222 == 0
        assert path.stat().st_nlink > 1


def test_a_rendered_image_is_checked_out_as_the_dataset_shows_it(
    untrained: sheetsync.OpenProject, tmp_path: Path
) -> None:
    Image.new("RGBA", (9, 9), (250, 0, 0, 90)).save(untrained.root / "pics" / "0.png")
    write_rows(untrained.root, [row for row in ROWS if row[1] == "rose"])  # of one label nothing is trained
    folder = untrained.checkout(untrained.sync().revision, tmp_path / "out")
    (file,) = folder.rglob(f"{untrained.rows().key[0]}-*")
    assert file.read_bytes() == (untrained.dataset / file.relative_to(folder)).read_bytes()
    assert file.read_bytes() != (untrained.root / "pics" / "0.png").read_bytes()


@pytest.mark.parametrize("version", ["v3", "v0", "", "latest-but-one", "0" * 16, "../../recipe"])
def test_a_version_that_is_not_there_is_not_found(trained: sheetsync.OpenProject, tmp_path: Path, version: str) -> None:
    with pytest.raises(sheetsync.NotFound, match="v1 to v2"):
        trained.checkout(version, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_is_no_longer_kept_is_named_and_nothing_is_built(
    copied: sheetsync.OpenProject, tmp_path: Path
) -> None:
    digests = copied.run("v1").predictions().query("label != ''").digest[:2]
    first, second = (next(copied.config.state.objects.glob(f"*/{digest}.png")) for digest in digests)
    first.unlink()
    second.chmod(0o644)
    second.write_bytes(b"torn")
    with pytest.raises(sheetsync.NotFound, match="2 of its 36 images") as raised:
        copied.checkout("v1", tmp_path / "out")
    assert first.stem in str(raised.value)
    assert second.stem in str(raised.value)
    assert {path.name for path in tmp_path.iterdir()} == {"copy"}


def test_what_a_version_held_may_be_lost_or_changed(copied: sheetsync.OpenProject, tmp_path: Path) -> None:
    file = copied.config.state.revision(copied.run("v1").revision)
    text = file.read_text()
    for content, words in ((text.replace("rose", "rosy"), "was changed"), ("no tabs\n", "is broken")):
        file.write_text(content)
        with pytest.raises(sheetsync.NotFound, match=words):
            copied.checkout("v1", tmp_path / "out")
    file.unlink()
    with pytest.raises(sheetsync.NotFound, match="is missing"):
        copied.checkout("v1", tmp_path / "out")


def test_a_folder_that_holds_something_is_not_checked_out_into(trained: sheetsync.OpenProject, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(sheetsync.MirrorError, match="there already"):
            trained.checkout("v1", folder)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert held(trained.checkout("v1", tmp_path / "empty")) == trained.run("v1").revision


def test_no_version_is_checked_out_into_a_folder_of_sheetsyncs(trained: sheetsync.OpenProject) -> None:
    before = tree(trained.root)
    for folder in (trained.dataset / "old", trained.config.state.root / "old", trained.dataset):
        with pytest.raises(sheetsync.MirrorError):
            trained.checkout("v1", folder)
    assert tree(trained.root) == before


def test_a_checkout_disturbs_no_other_one_into_the_same_folder(trained: sheetsync.OpenProject, tmp_path: Path) -> None:
    """One that was killed, or is at work in another thread, has a folder of its own beside the target."""
    other = tmp_path / f".tmp-out-{os.getpid()}"
    (other / "train").mkdir(parents=True)
    assert held(trained.checkout("v1", tmp_path / "out")) == trained.run("v1").revision
    assert (other / "train").exists()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_a_checkout_through_a_link_goes_where_it_leads(trained: sheetsync.OpenProject, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert trained.checkout("v1", tmp_path / "link") == tmp_path / "real"
    assert held(tmp_path / "real") == trained.run("v1").revision


def test_an_image_whose_rendering_is_lost_is_not_checked_out_as_something_else(
    untrained: sheetsync.OpenProject, tmp_path: Path
) -> None:
    """Its original is a file that no loader reads, or reads otherwise than it was shown."""
    Image.new("RGB", (8, 8), "red").save(untrained.root / "pics/0.gif")
    write_rows(untrained.root, [("pics/0.gif", "rose", "train", "sun"), ("pics/1.png", "daisy", "train", "sun")])
    revision = untrained.sync().revision
    (rendered,) = untrained.config.state.objects.glob("*/*.shown.*")
    untrained.checkout(revision, tmp_path / "whole")
    rendered.unlink()
    with pytest.raises(sheetsync.NotFound, match="1 of its 2 images"):
        untrained.checkout(revision, tmp_path / "out")


def test_a_checkout_that_fails_half_way_leaves_nothing(trained: sheetsync.OpenProject, tmp_path: Path) -> None:
    deep = tmp_path
    while len(str(deep)) < 3800:
        deep /= "x" * 200
    deep /= "y" * (4020 - len(str(deep)))  # its folders can still be made, and paths of its files are too long
    with pytest.raises(OSError, match="too long"):
        trained.checkout("v1", deep / "out")
    assert list(deep.iterdir()) == []


# --- runs -----------------------------------------------------------------------------------------


def test_runs_come_oldest_first_with_their_versions(trained: sheetsync.OpenProject) -> None:
    runs = trained.runs()
    assert [run.version for run in runs] == ["v1", "v2"]
    assert trained.run() == trained.run("latest") == runs[1] == trained.run("v2") == trained.run(runs[1].id)
    assert trained.run(runs[0].revision) == runs[0]
    assert runs[0].metrics == json.loads((runs[0].folder / "metrics.json").read_text())
    assert runs[0].recipe == json.loads((runs[0].folder / "recipe.json").read_text())
    assert [run.version for run in runs] == [version.name for version in trained.history().versions]


def test_a_run_of_another_recipe_has_no_version_and_is_found_by_its_id(copied: sheetsync.OpenProject) -> None:
    runs = copied.config.state.runs
    other = runs / f"{copied.run('v1').revision}-01234567"
    shutil.copytree(copied.run("v1").folder, other)
    changed = json.loads((other / "recipe.json").read_text()) | {"epochs": 3, "digest": "0123456789abcdef"}
    (other / "recipe.json").write_text(json.dumps(changed))
    assert sorted(run.version for run in copied.runs()) == ["", "v1", "v2"]
    assert copied.run(other.name).recipe["epochs"] == 3
    assert copied.run().version == "v2"


def test_the_predictions_of_a_run_are_those_of_the_sheet(trained: sheetsync.OpenProject) -> None:
    predictions = trained.run().predictions()
    both = trained.rows().merge(predictions, on=["key", "file"], suffixes=("", "_run"), validate="1:1")
    assert len(both) == len(predictions) == len(LATER)
    assert (both.prediction == both.prediction_run).all()
    assert (both.label == both.label_run).all(), "labels, not names of folders"
    assert ((both.confidence - both.confidence_run).abs() < 1e-4).all()
    assert (both.self_confidence.isna() == (both.label == "")).all()
    assert set(predictions.fold.dropna()) == {0, 1}
    assert (predictions.fold.isna() == (predictions.split != "train")).all()
    assert all(
        trained.dataset.joinpath(file).name == f"{key}-{digest}.png"
        for key, digest, file in zip(predictions.key, predictions.digest, predictions.file, strict=True)
    )


def test_where_nothing_was_trained_there_is_no_run(untrained: sheetsync.OpenProject, tmp_path: Path) -> None:
    assert untrained.runs() == []
    assert untrained.history().versions == ()
    with pytest.raises(sheetsync.NotFound, match="sync it first"):
        untrained.run()
    with pytest.raises(sheetsync.NotFound, match="none yet"):
        untrained.checkout("v1", tmp_path / "out")


def test_a_run_without_predictions_says_so(copied: sheetsync.OpenProject) -> None:
    run = copied.run("v1")
    (run.folder / "predictions.csv").unlink()
    with pytest.raises(sheetsync.TrainingError, match=r"has no predictions\.csv"):
        run.predictions()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "file,split\n",
        "\x00\x01",
        '"',
        "file,split,label,prediction,confidence,self_confidence,fold\na,b,c,d,much,,\n",
    ],
)
def test_predictions_that_cannot_be_read_are_a_training_error(copied: sheetsync.OpenProject, content: str) -> None:
    run = copied.run("v1")
    (run.folder / "predictions.csv").write_text(content)
    with pytest.raises(sheetsync.TrainingError, match=r"predictions\.csv cannot be read"):
        run.predictions()


# --- housekeeping ---------------------------------------------------------------------------------


def test_garbage_is_counted_and_only_removed_when_asked(copied: sheetsync.OpenProject, tmp_path: Path) -> None:
    assert copied.collect_garbage().images.files == 0, "earlier versions hold it"
    assert copied.collect_garbage(keep=1).images.files == 1
    assert held(copied.checkout("v1", tmp_path / "before")) == copied.run("v1").revision
    assert copied.collect_garbage(keep=1, delete=True).removed
    with pytest.raises(sheetsync.NotFound, match="1 of its 36 images"):
        copied.checkout("v1", tmp_path / "after")


@pytest.fixture
def level() -> Iterator[int]:
    logger = logging.getLogger("sheetsync")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield logging.INFO
    logger.setLevel(before)


def test_the_doctor_finds_what_is_wrong_and_leaves_the_log_as_loud_as_it_was(
    untrained: sheetsync.OpenProject, level: int
) -> None:
    (untrained.root / "labels.csv").unlink()
    findings = {finding.name: finding.state for finding in untrained.doctor()}
    assert findings["configuration"] == "ok"
    assert findings["sheet"] == "problem"
    assert findings["rows"] == "skipped"
    assert logging.getLogger("sheetsync").level == level
