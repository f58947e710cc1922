"""An update of the dataset that is stopped."""

from __future__ import annotations

import io
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sheetsync.images.download import BATCH, SMALL_BYTES
from sheetsync.sheets.memory import MemorySheet
from tests.helpers.support import QuickTrainer, Web, a_pass, project, table


def large(seed: int) -> bytes:
    """Make a picture that is so large that the thread that fetches it also decodes it."""
    out = io.BytesIO()
    Image.frombytes("RGB", (120, 120), random.Random(seed).randbytes(120 * 120 * 3)).save(out, "PNG")
    return out.getvalue()


def test_a_pass_that_is_stopped_leaves_nothing_half_when_its_lock_is_free(tmp_path: Path) -> None:
    """As long as somebody holds the exception, its frames keep alive all that was at work then."""
    web = Web({f"http://pics.example/{number}.png": large(number) for number in range(BATCH + 16)})
    assert min(map(len, web.values())) > SMALL_BYTES
    objects = tmp_path / ".sheetsync" / "objects"

    def stop(stage: str, *_: object) -> None:
        if stage == "download":
            while len([*objects.rglob("*.png"), *objects.glob(".tmp-*")]) < len(web):
                time.sleep(0.01)  # until all is there, and not all of it is put away
            raise KeyboardInterrupt

    sheet = MemorySheet(table(*[[url, "i"] for url in web]))
    ready = a_pass(project(tmp_path), sheet, web, QuickTrainer())
    with pytest.raises(KeyboardInterrupt) as held:
        replace(ready, environment=replace(ready.environment, progress=stop)).run()
    assert held.tb is not None
    assert list(objects.glob(".tmp-*")) == []
    assert len(list(objects.rglob("*.png"))) <= BATCH
