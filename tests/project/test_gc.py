"""`sheetsync gc`: what nothing needs goes, and nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sheetsync.common.state_folder import StateFolder
from sheetsync.images.store import ImageStore
from sheetsync.project.gc import Collector, FileGroup
from sheetsync.sheets.memory import MemorySheet
from sheetsync.sync.report import Report
from tests.cli.test_cli import ok, pictures, sheetsync
from tests.cli.test_cli import project as real_project
from tests.helpers.support import CLASSES, QuickTrainer, Web, a_pass, png, project, table, tree

URLS = [f"http://pics.example/{number}.png" for number in range(12)]


class Place:
    """A project whose sheet grows and shrinks, version by version."""

    def __init__(self, root: Path) -> None:
        self.root, self.state = root, root / ".sheetsync"
        self.web, self.trainer = Web({url: png(number) for number, url in enumerate(URLS)}), QuickTrainer()
        self.objects = ImageStore(self.state / "objects")

    def sync(self, numbers: range) -> Report:
        rows = table(*[(URLS[number], CLASSES[number % 2], "train") for number in numbers])
        return a_pass(project(self.root), MemorySheet(rows), self.web, self.trainer).run(allow_shrink=True)

    def collect(self, *, last: int = 0, cache: bool = False, delete: bool = True):
        told: list[tuple[int, int]] = []
        store = Collector(StateFolder(self.state), self.root / "dataset")
        waste = store.collect(
            self.trainer.runs(), lambda _, *done: told.append(done[:2]), last=last, cache=cache, delete=delete
        )
        assert not told or told[-1][0] == told[-1][1]
        return waste

    def images(self) -> int:
        return len([path for path in tree(self.objects.root) if path.endswith(".png")])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    for numbers in (range(4), range(2, 8), range(6, 12)):
        made.sync(numbers)
    return made


def test_what_a_kept_version_needs_stays_and_it_is_rebuilt_without_a_download(place: Place) -> None:
    first = place.collect()
    assert (first.images, first.broken, first.kept) == (FileGroup(), FileGroup(), 12)
    place.web.asked.clear()
    assert place.sync(range(4)).restored == 4
    assert place.web.asked == []


def test_of_the_last_versions_only_the_images_are_kept_and_these_are_rebuilt_without_a_download(place: Place) -> None:
    waste = place.collect(last=2)
    assert (waste.images.files, waste.kept, waste.lines) == (2, 10, 2)
    assert place.images() == 10
    place.web.asked.clear()
    assert place.sync(range(2, 8)).restored == 4
    assert place.web.asked == []
    assert place.sync(range(4)).downloaded == 2
    assert len(place.trainer.trained) == 3, "what versions held and their runs stay"


def test_without_delete_nothing_changes(place: Place) -> None:
    (place.objects.root / ".tmp-half").write_bytes(b"half")
    before = tree(place.root)
    waste = place.collect(last=1, cache=True, delete=False)
    assert waste.images == FileGroup(6, sum(len(png(number)) for number in range(6)))
    assert waste.temporary == FileGroup(1, 4)
    assert not waste.removed
    assert tree(place.root) == before


def test_what_is_said_beforehand_is_what_goes(place: Place) -> None:
    said = place.collect(last=1, delete=False)
    assert replace(place.collect(last=1), removed=False) == said
    again = place.collect(last=1)
    assert (again.images, again.lines, again.kept) == (FileGroup(), 0, said.kept)


def test_the_dataset_is_left_as_it_is(place: Place) -> None:
    before = tree(place.root / "dataset")
    place.collect(last=1, cache=True)
    assert tree(place.root / "dataset") == before
    report = place.sync(range(6, 12))
    assert (report.downloaded, report.restored, report.trained) == (0, 0, False)


def test_a_broken_image_goes_and_is_fetched_again_when_it_is_asked_for(place: Place) -> None:
    broken = place.objects.path(
        place.objects.fetch_log.latest()[sorted(place.objects.fetch_log.latest())[0]].digest, ".png"
    )
    broken.unlink()
    broken.write_bytes(b"torn")
    waste = place.collect()
    assert (waste.broken, waste.kept) == (FileGroup(1, 4), 11)
    assert not broken.exists()
    assert sum(place.sync(numbers).downloaded for numbers in (range(6), range(6, 12))) <= 1


def test_left_over_files_and_answers_of_runs_that_are_gone_go(place: Place) -> None:
    (run, *_) = place.trainer.runs()
    for name in ("predictions", "rescored"):
        (place.state / name).mkdir()
        for each in (run.id, "gone-quick"):
            (place.state / name / f"{each}.csv").write_text("file,prediction\n")
    for name in (".tmp-a", "objects/.tmp-b", "revisions/.tmp-c"):
        (place.state / name).write_text("half")
    (place.state / "runs" / ".tmp-training").mkdir(parents=True)
    (place.state / "runs" / ".tmp-training" / "epoch.bin").write_text("goes on")
    waste = place.collect()
    assert (waste.answers.files, waste.temporary) == (2, FileGroup(3, 12))
    assert (place.state / "predictions" / f"{run.id}.csv").exists()
    assert (place.state / "runs" / ".tmp-training" / "epoch.bin").exists()


def test_what_training_keeps_decoded_goes_only_where_that_is_asked_for(place: Place) -> None:
    cache = place.state / "runs" / ".cache" / "32"
    cache.mkdir(parents=True)
    (cache / "rows.bin").write_bytes(b"x" * 1000)
    assert place.collect().cache == FileGroup(1, 1000)
    assert cache.exists()
    place.collect(cache=True)
    assert not cache.exists()


def test_nothing_outside_the_store_is_touched_through_a_link(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    stranger = outside / f"{'0' * 32}.png"
    stranger.write_bytes(b"mine")
    (place.objects.root / "00").mkdir(exist_ok=True)
    (place.objects.root / "zz").symlink_to(outside)
    (place.objects.root / "00" / stranger.name).symlink_to(stranger)
    (place.state / "rescored").symlink_to(outside)
    (outside / "gone.csv").write_text("mine")
    place.collect(last=1, cache=True)
    assert sorted(path.name for path in outside.iterdir()) == [stranger.name, "gone.csv"]


def test_a_file_that_is_no_object_of_ours_stays(place: Place) -> None:
    notes = place.objects.root / "notes.txt"
    notes.write_text("mine")
    place.collect(last=1)
    assert notes.exists()


def test_no_file_and_no_address_that_is_needed_is_lost_where_it_is_killed(place: Place) -> None:
    """Kill -9 at many moments; the next time finds the rest."""
    code = (
        "import sys; from pathlib import Path\n"
        "from sheetsync.common.state_folder import StateFolder; from sheetsync.project.gc import Collector\n"
        "store = Collector(StateFolder(Path(sys.argv[1])), Path(sys.argv[2])); print(flush=True)\n"
        "store.collect([], lambda *_: None, last=1, cache=True, delete=True)"
    )
    for each in range(8):
        place.sync(range(4))
        place.sync(range(2, 12))
        command = [sys.executable, "-c", code, str(place.state), str(place.root / "dataset")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(each / 500)
            process.send_signal(signal.SIGKILL)
        assert place.sync(range(2, 12)).downloaded == 0
        known = place.objects.fetch_log.latest()
        assert all(
            place.objects.is_intact(known[key])
            for key in known
            if known[key].digest in str(tree(place.root / "dataset"))
        )
    place.collect(last=1)
    assert place.images() == 10


# --- the command ----------------------------------------------------------------------------------


def test_gc_knows_every_folder_in_which_a_pass_writes(tmp_path: Path) -> None:
    """A folder that it does not know is one whose left-over files stay for ever."""
    folder = real_project(tmp_path, pictures(tmp_path))
    ok("sync", "-p", folder)
    state = StateFolder(folder / ".sheetsync")
    files = [path for path in state.root.rglob("*") if path.is_file() and state.runs not in path.parents]
    folders = {path.parent.parent if path.parent.parent == state.objects else path.parent for path in files}
    assert {state.root, state.objects, state.revisions} <= folders <= set(state.written())


def test_the_command_says_first_and_does_it_when_told(tmp_path: Path) -> None:
    folder = real_project(tmp_path, pictures(tmp_path))
    ok("sync", "-p", folder)
    left = folder / ".sheetsync" / "objects" / ".tmp-left"
    left.write_bytes(b"x" * 2_000_000)
    said = ok("gc", "-p", folder)
    assert "1 left-over file (2.0 MB)" in said
    assert "`sheetsync gc --delete`" in said
    assert left.exists()
    assert json.loads(ok("gc", "-p", folder, "--delete", "--json"))["temporary"] == {"files": 1, "bytes": 2_000_000}
    assert not left.exists()
    assert "nothing to remove" in ok("gc", "-p", folder)
    assert json.loads(ok("sync", "-p", folder, "--json"))["trained"] is False


def test_gc_waits_for_no_pass_and_disturbs_none(tmp_path: Path) -> None:
    from filelock import FileLock

    folder = real_project(tmp_path, [])
    (folder / ".sheetsync").mkdir()
    with FileLock(folder / ".sheetsync" / "lock"):
        done = sheetsync("gc", "-p", folder)
    assert done.returncode == 1
    assert "another sheetsync is at work" in done.stderr
    assert [path.name for path in (folder / ".sheetsync").iterdir()] == ["lock"]
