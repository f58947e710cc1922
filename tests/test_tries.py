"""What could not be had is tried again on later passes, ever more seldom."""

from __future__ import annotations

from pathlib import Path

import pytest

from sheetsync.errors import MirrorError
from sheetsync.records import Download, Failure, Row
from sheetsync.review import failure_words
from sheetsync.tries import Tries

URL = "http://pics.example/a.png"
ROW = Row(2, "0" * 20, URL)
DAY = 24 * 3600


def failed(reason: str = "gone", *, passing: bool = False, url: str = URL, key: str = ROW.key) -> Failure:
    return Failure(key, 2, url, reason, passing)


def waits(tries: Tries, rounds: int, *, passing: bool) -> list[int]:
    """How long each next try is put off, where every one fails as soon as it may."""
    now, found = 1_000_000, []
    for _ in range(rounds):
        assert tries.waiting([Download(ROW)], now) == []
        (said,) = tries.note([failed(passing=passing)], now)
        assert tries.waiting([Download(ROW)], said.until - 1) == [said]
        found.append(said.until - now)
        now = said.until
    return found


def test_what_may_pass_is_tried_soon_and_what_somebody_has_to_mend_later(tmp_path: Path) -> None:
    assert waits(Tries(tmp_path / "a.json"), 10, passing=True) == [120 * 2**n for n in range(8)] + 2 * [DAY // 4]
    assert waits(Tries(tmp_path / "b.json"), 10, passing=False) == [600 * 2**n for n in range(8)] + 2 * [DAY]


def test_who_waits_is_not_counted_and_nothing_is_written(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "a.json")
    said = tries.note([failed()], 1000)
    before = tries.file.stat()
    assert tries.note(tries.waiting([Download(ROW)], 1001), 1001) == said
    assert tries.file.stat() == before


def test_what_came_at_last_or_left_the_sheet_is_forgotten(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "a.json")
    tries.note([failed(), failed(key="1" * 20)], 1000)
    tries.note([failed(key="1" * 20)], 9000)
    (said,) = tries.note([failed()], 9000)
    assert said.times == 1


def test_a_file_beside_the_sheet_costs_nothing_and_is_looked_at_on_every_pass(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "a.json")
    assert tries.note([failed(url="pics/a.png")], 1000) == [failed(url="pics/a.png")]
    assert not tries.file.exists()


def test_what_was_tried_is_told_with_when_and_how_often(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "a.json")
    tries.note([failed()], 1_764_000_000)
    (said,) = tries.note([failed("the server answers 503", passing=True)], 1_764_003_600)
    when = "last 2025-11-24 17:00, next after 2025-11-24 17:04 UTC"
    assert failure_words(said) == f"the server answers 503; tried 2 times, {when}"


@pytest.mark.parametrize("broken", ["", "[]", '{"a": 1}', '{"a": {}}', '{"a": {"times": "x"}}'])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, broken: str) -> None:
    (tmp_path / "a.json").write_text(broken)
    with pytest.raises(MirrorError, match=r"a\.json cannot be read .*: delete it"):
        Tries(tmp_path / "a.json").waiting([Download(ROW)], 0)
