"""The cache of one result per pure function."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from sheetsync.common.memo import cache_last, clear_caches
from sheetsync.rows.records import Snapshot
from sheetsync.sheets.memory import MemorySheet
from tests.helpers.support import QuickTrainer, Web, a_pass, png, project, table


def test_no_table_of_a_pass_lives_on_after_it(tmp_path: Path) -> None:
    """A daemon would hold the cells of 100,000 rows between its passes."""
    sheet = MemorySheet(table(["http://only-here.example/1.png", "i"], ["http://only-here.example/2.png", "ii"]))
    web = Web({f"http://only-here.example/{number}.png": png(number) for number in (1, 2)})
    a_pass(project(tmp_path), sheet, web, QuickTrainer()).run()
    gc.collect()
    alive = (each for each in gc.get_objects() if type(each) is Snapshot)  # other tests may keep theirs
    assert [each for each in alive if "only-here" in str(each)] == []


def test_caches_are_cleared_however_a_pass_ends() -> None:
    calls: list[str] = []
    remember = cache_last(lambda words: calls.append(words) or words)
    words = "a table"

    def one_pass() -> None:
        with clear_caches():
            remember(words)
            remember(words)
            raise KeyError

    with pytest.raises(KeyError):
        one_pass()
    remember(words)
    assert calls == ["a table", "a table"]
