"""Law 6: killed at any moment, the next sync ends in the same state as one that was never disturbed.

`SHEETSYNC_KILLS=20 python -m pytest tests/test_kill.py` kills more often than the suite does.
"""

from __future__ import annotations

import csv
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.support import CLASSES, png, tiny_recipe, tree

KILLS = int(os.environ.get("SHEETSYNC_KILLS", "4"))
IMAGES = 24
COMMAND = [str(Path(sys.executable).with_name("sheetsync")), "sync"]


class Slow(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.05)  # so that a kill can fall between two images
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("web")
    for number in range(IMAGES):
        (folder / f"{number}.png").write_bytes(png(number))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def make(folder: Path, address: str) -> Path:
    """A project that was synced once and then relabelled, so that a pass deletes, moves, downloads and trains."""
    folder.mkdir()
    tiny_recipe(folder / "tiny.json")
    (folder / "sheetsync.toml").write_text(
        'sheet = "labels.csv"\nrecipe = "tiny.json"\n[download]\nallow_private = true\nworkers = 2\n'
    )
    write_rows(folder, [(f"{address}/{n}.png", CLASSES[n % 2], "") for n in range(IMAGES // 2)])
    finish(folder)
    rows = read_rows(folder)
    header, *old = rows
    for cells in old[:4]:
        cells[1] = CLASSES[2]
    new = [[f"{address}/{n}.png", CLASSES[n % 3], ""] for n in range(IMAGES // 2, IMAGES)]
    write_rows(folder, [*old[2:], *new], header)
    return folder


def read_rows(folder: Path) -> list[list[str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.reader(file))


def write_rows(folder: Path, rows: Any, header: Any = ("image", "label", "split")) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def finish(folder: Path) -> None:
    done = subprocess.run(COMMAND, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def kill_after(folder: Path, seconds: float) -> bool:
    """Start a sync and kill it; whether it was still at work."""
    with subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    return False


def state(folder: Path) -> dict[str, Any]:
    """Everything that must not depend on having been disturbed."""
    # Killed in the moment after a run was finished, its hidden workspace stays until the next training.
    runs = sorted((folder / ".sheetsync" / "runs").glob("[!.]*"))
    with (folder / "labels.scores.csv").open(newline="") as file:
        scores = [{key: value for key, value in row.items() if key != "when"} for row in csv.DictReader(file)]
    return {
        "tree": tree(folder / "dataset"),
        "sheet": read_rows(folder),
        "runs": [run.name for run in runs],
        "weights": [hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest() for run in runs],
        "scores": scores,
        "revisions": tree(folder / ".sheetsync" / "revisions"),
        "objects": sorted(path for path in tree(folder / ".sheetsync" / "objects") if path.endswith(".png")),
    }


@pytest.mark.long
def test_a_killed_sync_ends_in_the_same_state_as_an_undisturbed_one(tmp_path: Path, address: str) -> None:
    start = make(tmp_path / "start", address)
    whole = shutil.copytree(start, tmp_path / "whole")
    began = time.monotonic()
    finish(whole)
    lasts = time.monotonic() - began
    expected = state(whole)
    chance = random.Random(int.from_bytes(os.urandom(4)))
    killed = []
    for number in range(KILLS):
        # Most of a pass is training; every second kill falls into what comes before it.
        moment = chance.uniform(0.1, lasts if number % 2 else min(lasts, 1.5))
        folder = shutil.copytree(start, tmp_path / f"killed{number}")
        killed.append(kill_after(folder, moment))
        finish(folder)
        assert state(folder) == expected, f"killed after {moment:.2f} of {lasts:.2f} s"
        shutil.rmtree(folder)
    print(f"{sum(killed)} of {KILLS} syncs killed at work, all ended like the undisturbed one")  # noqa: T201
    assert any(killed)
