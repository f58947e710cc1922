"""The command line as people meet it: the installed `sheetsync`, real files, a real server, real signals."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sheetsync import __version__
from sheetsync.sync.report import Report
from tests.helpers.support import CLASSES, png, tiny_recipe, tree
from tests.helpers.webserver import WebServer, drip, hang, page, serving, status

SHEETSYNC = str(Path(sys.executable).with_name("sheetsync"))
COMMANDS = ("init", "login", "plan", "sync", "watch", "history", "gc", "doctor", "demo")
PATIENCE = 300.0  # seconds until a test gives up; nothing should take so long


# --- helpers, for test_daemon.py as well ----------------------------------------------------------


def sheetsync(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SHEETSYNC, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)


def ok(*arguments: str | Path, cwd: Path | None = None) -> str:
    done = sheetsync(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def project(folder: Path, rows: Sequence[Sequence[str]], **download: Any) -> Path:
    """A project with a recipe that trains in seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_recipe(folder / "tiny.json", batch=32)
    options = "".join(f"{name} = {json.dumps(value)}\n" for name, value in ({"allow_private": True} | download).items())
    (folder / "sheetsync.toml").write_text(f'sheet = "labels.csv"\nrecipe = "tiny.json"\n[download]\n{options}')
    write_rows(folder, rows)
    return folder


def write_rows(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "split"), *rows])


def pictures(folder: Path, count: int = 12) -> list[list[str]]:
    """Files beside the sheet, and the rows that name them: most train, some val, the last without a label."""
    (folder / "pics").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / "pics" / f"{number}.png").write_bytes(png(number))
    rows = [[f"pics/{n}.png", CLASSES[n % 2], "val" if n % 4 == 3 else "train"] for n in range(count)]
    return [*rows[:-1], [rows[-1][0], "", ""]]


def until(true: Callable[[], object]) -> None:
    """Wait for something to happen in another process."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def offspring(parent: int) -> list[int]:
    """The processes that a process started, and those that these started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    alive = [(int(pid), int(ppid)) for pid, ppid, state in pairs if not state.startswith("Z")]
    found = [parent]
    for known in found:
        found += [pid for pid, ppid in alive if ppid == known and pid not in found]
    return found[1:]


def running(process: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout.strip()
    return bool(listed) and not listed.startswith("Z")


def is_training(process: subprocess.Popen[str], folder: Path) -> bool:
    """Whether it trains: its training process has processes of its own, and these have begun."""
    return len(offspring(process.pid)) >= 2 and bool(
        list((folder / ".sheetsync" / "runs").glob(".cache/*/digests.bin"))
    )


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([SHEETSYNC, *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], sent: signal.Signals) -> tuple[int, str, str]:
    """Send a signal; exit code, stdout and stderr."""
    process.send_signal(sent)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


# --- help -----------------------------------------------------------------------------------------


def test_help_lists_the_commands_and_where_to_begin() -> None:
    said = ok("--help")
    assert all(f"\n  {command} " in said for command in COMMANDS)
    assert "First time? `sheetsync demo`" in said


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("init", ["CSV file", "address of a Google Sheet", "a column `image`", "--project"]),
        ("login", ["OAuth client of type “Desktop app”", "for you alone to read", "--no-browser", "--project"]),
        ("plan", ["do nothing", "--project"]),
        ("sync", ["Safe to stop at any time", "--allow-shrink", "--json", "--project"]),
        ("watch", ["until stopped", "--every", "--project"]),
        ("history", ["how each compares with the one before", "are kept", "--rescore", "--json", "--project"]),
        ("doctor", ["say what to do about it", "change nothing", "--json", "--project"]),
        ("demo", ["[DIR]", "example project"]),
    ],
)
def test_the_help_of_a_command_teaches_it(command: str, words: list[str]) -> None:
    said = " ".join(ok(command, "--help").split())
    assert [each for each in words if each not in said] == []


def test_nothing_said_gets_the_help() -> None:
    done = sheetsync()
    assert "Usage: sheetsync" in done.stdout + done.stderr


def test_the_version() -> None:
    assert ok("--version") == f"sheetsync {__version__}\n"


def test_help_waits_for_no_heavy_import() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", SHEETSYNC, "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "sheetsync.cli" in imported
    heavy = ("torch", "torchvision", "pandas", "numpy", "sklearn", "PIL", "requests", "pydantic", "training")
    assert imported.isdisjoint(heavy)


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["snyc"],
        ["sync", "--jsno"],
        ["watch", "--every", "0"],
        ["watch", "--every", "often"],
        ["watch", "--every", "nan"],
        ["watch", "--every", "inf"],
        ["watch", "--every", "1e300"],
        ["init", "labels.csv", "--project", "labels.csv"],
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "labels.csv").write_text("image,label\n")
    (tmp_path / "sheetsync.toml").write_text('sheet = "labels.csv"\n')
    done = sheetsync(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "Error" in done.stderr


def no_project(folder: Path) -> None:
    (folder / "sheetsync.toml").unlink()


def bad_toml(folder: Path) -> None:
    (folder / "sheetsync.toml").write_text("sheet = \n")


def unknown_key(folder: Path) -> None:
    (folder / "sheetsync.toml").write_text('sheet = "labels.csv"\nfast = true\n')


def no_sheet(folder: Path) -> None:
    (folder / "labels.csv").unlink()


def google_sheet(folder: Path) -> None:
    (folder / "sheetsync.toml").write_text('sheet = "https://docs.google.com/spreadsheets/d/x"\n')


def empty_sheet(folder: Path) -> None:
    (folder / "labels.csv").write_text("")


def no_label_column(folder: Path) -> None:
    (folder / "labels.csv").write_text("image,class\n")


def a_stranger(folder: Path) -> None:
    (folder / "dataset" / "train" / "i").mkdir(parents=True)
    (folder / "dataset" / "train" / "i" / "mine.png").write_bytes(png(1))


def dataset_is_a_file(folder: Path) -> None:
    (folder / "dataset").write_text("")


def no_recipe(folder: Path) -> None:
    toml = folder / "sheetsync.toml"
    toml.write_text(toml.read_text().replace("tiny.json", "huge-resnet9000"))


def bad_recipe(folder: Path) -> None:
    (folder / "tiny.json").write_text('{"name": "tiny"}')


USER_ERRORS = {
    no_project: "there is no sheetsync.toml",
    bad_toml: "is not valid TOML",
    unknown_key: "unknown key 'fast'",
    no_sheet: "labels.csv",
    google_sheet: "there is no key file",
    empty_sheet: "the sheet is empty",
    no_label_column: "no column is called label",
    a_stranger: "train/i/mine.png",
    dataset_is_a_file: "dataset is a file",
    no_recipe: "there is no recipe 'huge-resnet9000'",
    bad_recipe: "tiny.json: fields missing",
}


@pytest.mark.parametrize("spoil", USER_ERRORS, ids=lambda spoil: spoil.__name__)
def test_what_people_can_mend_is_one_sentence_and_ends_with_1(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = project(tmp_path, pictures(tmp_path))
    spoil(folder)
    done = sheetsync("sync", "--json", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("sheetsync: ")
    assert USER_ERRORS[spoil] in last
    assert "Traceback" not in done.stderr


def test_a_sheet_that_shrank_names_the_flag_that_goes_on(tmp_path: Path) -> None:
    rows = [[image, "", ""] for image, *_ in pictures(tmp_path)]  # nothing to train, so this is quick
    folder = project(tmp_path, rows)
    ok("sync", cwd=folder)
    write_rows(folder, rows[:2])
    done = sheetsync("sync", cwd=folder)
    assert done.returncode == 1
    assert "run `sheetsync sync --allow-shrink` once" in done.stderr
    assert "10 deleted" in ok("sync", "--allow-shrink", cwd=folder)


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    folder = project(tmp_path, pictures(tmp_path))
    with start("plan", cwd=folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert "Traceback" not in said


# --- init, plan -----------------------------------------------------------------------------------


def test_init_makes_a_project_and_says_what_is_next(tmp_path: Path) -> None:
    said = ok("init", "labels.csv", "--project", tmp_path / "new")
    assert (tmp_path / "new" / "labels.csv").read_text() == "image,label,split\n"
    assert f"next: sheetsync plan --project {tmp_path / 'new'}" in said
    assert "0 to download" in ok("plan", "--project", tmp_path / "new")
    assert "is there already" in ok("init", "--project", tmp_path / "new")
    assert "is there already" in ok("init", "labels.csv", "--project", tmp_path / "new")
    other = sheetsync("init", "other.csv", "--project", tmp_path / "new")
    assert other.returncode == 1
    assert "for the sheet labels.csv" in other.stderr
    assert "holds nothing" in ok("init", "--undo", "--project", tmp_path / "new")


def test_init_without_a_sheet_asks_for_one(tmp_path: Path) -> None:
    done = sheetsync("init", cwd=tmp_path)
    assert done.returncode == 1
    assert "give the sheet" in done.stderr


def test_plan_shows_everything_and_changes_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path, [["pics/none [red].png", "[bold]", ""], *pictures(tmp_path), ["", "i", ""]])
    before = tree(folder)
    said = ok("plan", cwd=folder)
    assert tree(folder) == before
    assert "download  row 3, label i: pics/0.png" in said
    assert "download  row 2, label [bold]: pics/none [red].png" in said
    assert "13 to download, 0 to move, 0 to delete" in said
    rows = [int(line.split()[2].strip(",")) for line in said.splitlines() if line.startswith("download")]
    assert rows == sorted(rows)
    assert "row 15: no image" in said
    assert not (folder / ".sheetsync").exists()


# --- sync -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A project after its first sync, and what that said."""
    folder = tmp_path_factory.mktemp("synced")
    project(folder, [*pictures(folder), ["pics/none.png", "i", ""]])
    return folder, sheetsync("sync", "--json", cwd=folder)


def test_json_is_all_that_stdout_gets_and_it_has_every_field(
    first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = first[1]
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.keys() == {each.name for each in dataclasses.fields(Report)}
    assert (report["rows"], report["downloaded"], report["trained"]) == (13, 12, True)
    assert report["images"] == {"train": 9, "val": 2, "test": 0, "unlabelled": 1}
    assert [each["reason"] for each in report["failures"]] == ["no such file: pics/none.png"]
    assert (first[0] / ".sheetsync" / "runs" / report["run"] / "metrics.json").exists()
    assert 0 <= report["score"]["val_low"] <= report["score"]["val_accuracy"] <= report["score"]["val_high"] <= 1


def test_progress_goes_to_stderr(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    assert "download: 13 of 13" in first[1].stderr
    assert "Traceback" not in first[1].stderr


def test_a_second_sync_does_nothing_and_says_so(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder = first[0]
    before = tree(folder)
    said = ok("sync", cwd=folder)
    assert tree(folder) == before
    assert "13 usable rows of" in said
    assert "1 failed" in said
    assert "already trained: run " in said
    assert "validation accuracy" in said
    assert "0 cells written" in said
    assert "pics/none.png: no such file: pics/none.png" in said


def test_the_project_can_be_named_from_elsewhere(
    first: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    report = json.loads(ok("sync", "--json", "--project", os.path.relpath(first[0], tmp_path), cwd=tmp_path))
    assert (report["cells"], report["trained"], report["downloaded"]) == (0, False, 0)
    assert list(tmp_path.iterdir()) == []


def test_every_row_says_what_came_of_it(first: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    with (first[0] / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["prediction"] in CLASSES for row in rows[:-1])
    assert rows[-1]["status"] == "no such file: pics/none.png"
    assert [row["used_split"] or "" for row in rows[-3:]] == ["train", "unlabelled", ""]


def test_retries_are_not_shown_and_a_bad_image_is_told(tmp_path: Path, web: WebServer) -> None:
    good, bad = web.give("/good.png", status(503), png(1)), web.give("/bad.png", status(404))
    folder = project(tmp_path, [[good, "", ""], [bad, "", ""]])
    done = sheetsync("sync", cwd=folder)
    assert done.returncode == 0
    assert done.stderr == "download: 2 of 2\n"
    assert f"{bad}: the server answers 404 (Not Found)" in done.stdout


# --- stopped --------------------------------------------------------------------------------------


def test_what_failed_is_asked_for_at_once_only_when_told(tmp_path: Path, web: WebServer) -> None:
    url = web.give("/1.png", status(404), page(png(1)))
    folder = project(tmp_path, [[url, "", ""]])
    assert "`sheetsync sync --retry` asks at once" in ok("sync", cwd=folder)
    assert "tried once, last 20" in (folder / "labels.csv").read_text()
    assert "0 to download, 0 to move, 0 to delete\n1 that failed before wait" in ok("plan", cwd=folder)
    (failure,) = json.loads(ok("sync", "--json", cwd=folder))["failures"]
    assert (failure["times"], failure["until"] - failure["last"]) == (1, 600)
    assert len(web.asked) == 1
    assert json.loads(ok("sync", "--retry", "--json", cwd=folder))["failures"] == []
    assert "--retry" not in ok("sync", cwd=folder)
    assert len(web.asked) == 2


@pytest.fixture
def stuck(tmp_path: Path, web: WebServer) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A sync that waits for a server: one image has come whole, one in part, one not at all."""
    urls = [web.give("/1.png", png(1)), web.give("/2.png", drip(png(2), 5.0)), web.give("/3.png", hang)]
    folder = project(tmp_path, [[url, "", ""] for url in urls], timeout=600, total_seconds=3600)
    with start("sync", cwd=folder) as process:
        until(lambda: len(web.asked) == 3 and list((folder / "dataset").rglob("*.png")))
        yield folder, process
        process.kill()


def test_a_second_sync_says_that_one_is_at_work(stuck: tuple[Path, subprocess.Popen[str]]) -> None:
    done = sheetsync("sync", cwd=stuck[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"sheetsync: another sheetsync is at work in {stuck[0]}")
    assert "2 to download" in ok("plan", cwd=stuck[0])  # looking is free


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_sync_that_waits_for_a_server_stops_when_told(
    stuck: tuple[Path, subprocess.Popen[str]], sent: signal.Signals
) -> None:
    code, out, err = end(stuck[1], sent)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "sheetsync: stopped; downloads are kept, and a training continues next time"
    assert "Traceback" not in err


def test_a_killed_download_leaves_nothing_half(stuck: tuple[Path, subprocess.Popen[str]], web: WebServer) -> None:
    folder, process = stuck
    end(process, signal.SIGKILL)
    objects = folder / ".sheetsync" / "objects"
    assert [path.read_bytes() for path in objects.rglob("*.png")] == [png(1)]
    web.give("/2.png", png(2))
    web.give("/3.png", png(3))
    report = json.loads(ok("sync", "--json", cwd=folder))
    assert (report["downloaded"], report["failures"]) == (2, [])
    assert not list(objects.glob(".tmp-*"))
    assert sorted(path.read_bytes() for path in objects.rglob("*.png")) == sorted([png(1), png(2), png(3)])


def test_a_sync_that_trains_stops_when_told_and_takes_its_children_along(tmp_path: Path) -> None:
    folder = project(tmp_path, pictures(tmp_path))
    tiny_recipe(folder / "tiny.json", epochs=10_000)
    with start("sync", cwd=folder) as process:
        until(lambda: is_training(process, folder))
        children = offspring(process.pid)
        code, out, err = end(process, signal.SIGTERM)
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    until(lambda: not [child for child in children if running(child)])
    with (folder / "labels.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["image", "label", "split"]
    assert not list((folder / ".sheetsync" / "runs").glob("[!.]*"))


def test_init_for_a_sheet_of_other_headers_writes_the_file_in_which_they_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("picture,class\na.png,i\n")
    done = sheetsync("init", "labels.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert "no column is called image or image_url or url, nor label" in done.stderr
    assert (tmp_path / "sheetsync.toml").exists()


def test_init_says_when_the_sheet_is_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,label\n")
    done = sheetsync("init", "labels.csv", "--project", "there", cwd=tmp_path)
    assert (done.returncode, sorted(path.name for path in tmp_path.iterdir())) == (1, ["labels.csv"])
    assert "give its path as seen from there" in done.stderr


def test_paths_of_images_start_at_the_folder_of_the_sheet(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(png(1))
    (tmp_path / "data" / "labels.csv").write_text("image,label,split\na.png,i,train\n")
    assert sheetsync("init", "data/labels.csv", cwd=tmp_path).returncode == 0
    done = sheetsync("sync", cwd=tmp_path)
    assert "1 downloaded" in done.stdout


def test_plan_says_that_a_sync_would_stop(tmp_path: Path) -> None:
    rows = [[image, "", ""] for image, *_ in pictures(tmp_path)]
    folder = project(tmp_path, rows)
    ok("sync", cwd=folder)
    write_rows(folder, rows[:2])
    said = ok("plan", cwd=folder)
    assert "0 to download, 0 to move, 10 to delete" in said
    assert "but a sync would stop: " in said
