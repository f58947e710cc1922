"""Killed at any moment of a download, no file of the dataset or the store is ever less than whole.

`SHEETSYNC_KILLS=100 python -m pytest tests/laws/test_kill_download.py` kills more often than the suite does.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.support import tree
from tests.helpers.webserver import Answer, Handler, WebServer, serving

KILLS = int(os.environ.get("SHEETSYNC_KILLS", "20"))
IMAGES = 60
COMMAND = [str(Path(sys.executable).with_name("sheetsync")), "sync"]


def large(seed: int) -> bytes:
    """Return a picture of about 500 kB, which takes several packets and more than one write."""
    out = io.BytesIO()
    Image.frombytes("RGB", (400, 400), random.Random(seed).randbytes(400 * 400 * 3)).save(out, "PNG")
    return out.getvalue()


def slowly(body: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_head(200, {"Content-Type": "image/png", "Content-Length": len(body)})
        for start in range(0, len(body), 1 << 15):
            handler.wfile.write(body[start : start + (1 << 15)])
            time.sleep(0.001)

    return answer


PICTURES = {hashlib.sha256(body).hexdigest()[:32]: body for body in map(large, range(IMAGES))}


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with serving() as server:
        for digest, body in PICTURES.items():
            server.give(f"/{digest}.png", slowly(body))
        yield server


def make_project(folder: Path, web: WebServer) -> Path:
    """Make a project. Its rows have no labels, so that nothing is trained and a pass is little but a download."""
    folder.mkdir()
    (folder / "sheetsync.toml").write_text('sheet = "labels.csv"\n[download]\nallow_private = true\nworkers = 8\n')
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((f"{web.address}/{digest}.png", "") for digest in PICTURES)])
    return folder


def kill_when(folder: Path, moment: Callable[[], bool]) -> None:
    with subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not moment():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)


def count_whole(files: dict[str, bytes]) -> int:
    """Check that every image has the content that its name states, and count them."""
    named = {path: content for path, content in files.items() if path.endswith(".png")}
    for path, content in named.items():
        assert PICTURES[Path(path).stem[-32:]] == content, f"{path} is not whole"
    return len(named)


def test_a_download_killed_at_any_moment_leaves_no_file_that_is_not_whole(tmp_path: Path, web: WebServer) -> None:
    chance, counts = random.Random(5), []
    folder, fresh = make_project(tmp_path / "0", web), 0
    for _ in range(KILLS):
        if len(tree(folder / "dataset")) > IMAGES * 2 // 3:
            fresh += 1
            folder = make_project(tmp_path / f"{fresh}", web)
        asked, wanted, after = len(web.asked), chance.randint(1, IMAGES // 3), chance.uniform(0, 0.03)

        def moment(asked: int = asked, wanted: int = wanted, after: float = after) -> bool:
            if len(web.asked) - asked < wanted:
                return False
            time.sleep(after)
            return True

        kill_when(folder, moment)
        counts.append(count_whole(tree(folder / "dataset")))
        count_whole(tree(folder / ".sheetsync" / "objects"))
    assert sum(0 < count < IMAGES for count in counts) > KILLS / 2, f"killed too early or too late: {counts}"
    asked = len(web.asked)
    subprocess.run(COMMAND, cwd=folder, check=True, capture_output=True)
    assert count_whole(tree(folder / "dataset")) == IMAGES
    assert len(web.asked) - asked <= IMAGES - counts[-1], "what was there is not asked for again"
    assert not list((folder / ".sheetsync" / "objects").glob(".tmp-*"))
