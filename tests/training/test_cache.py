"""The row cache: each row is made once, stays complete, and is shared by processes."""

import hashlib
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from training.data.cache import MAX_STALE_ROWS, RowCache
from training.errors import TrainingError


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def row(number):
    return np.full((2, 3), number, np.float32)


def row_cache(folder):
    return RowCache(folder / "cache", (2, 3), np.float32)


def fill(folder, numbers, group=2):
    """Fill the cache; return the numbers whose rows had to be made."""
    made = []

    def make(positions):
        made.extend(numbers[i] for i in positions)
        return np.stack([row(numbers[i]) for i in positions])

    row_cache(folder).fill([digest(n) for n in numbers], make, group, lambda count: None)
    return made


def values(folder, numbers):
    rows, places = row_cache(folder).lookup([digest(n) for n in numbers])
    return rows[places][:, 0, 0].tolist()


def test_a_row_is_made_once_whatever_asks_for_it_how_often(tmp_path):
    assert fill(tmp_path, [5, 6, 5, 7]) == [5, 6, 7]
    assert fill(tmp_path, [7, 8, 5]) == [8]
    assert fill(tmp_path, [8, 6]) == []
    assert values(tmp_path, [8, 5, 7, 5, 6]) == [8, 5, 7, 5, 6]


def test_progress_counts_what_is_there_already(tmp_path):
    fill(tmp_path, [1, 2])
    heard = []
    numbers = [1, 2, 3, 4, 5]
    row_cache(tmp_path).fill([digest(n) for n in numbers], lambda at: np.zeros((len(at), 2, 3)), 2, heard.append)
    assert heard == [4, 5]


def test_what_somebody_removed_meanwhile_is_told_in_a_sentence(tmp_path):
    fill(tmp_path, [1])
    (tmp_path / "cache/digests.bin").unlink()
    with pytest.raises(TrainingError, match="removed there meanwhile"):
        values(tmp_path, [1])


def test_an_empty_cache_has_no_rows(tmp_path):
    rows, places = row_cache(tmp_path).lookup([])
    assert (rows.shape, places.shape) == ((0, 2, 3), (0,))


@pytest.mark.parametrize(("name", "cut"), [("digests.bin", 1), ("digests.bin", 31), ("rows.bin", 1), ("rows.bin", 23)])
def test_what_a_killed_process_left_half_is_made_again(tmp_path, name, cut):
    fill(tmp_path, [1, 2, 3])
    path = tmp_path / "cache" / name
    path.write_bytes(path.read_bytes()[:-cut])
    assert fill(tmp_path, [1, 2, 3, 4]) == [3, 4]
    assert values(tmp_path, [4, 3, 2, 1]) == [4, 3, 2, 1]


def test_rows_without_digests_are_written_over(tmp_path):
    fill(tmp_path, [1])
    with (tmp_path / "cache/rows.bin").open("ab") as file:
        file.write(b"x" * 100)
    assert fill(tmp_path, [1, 2]) == [2]
    assert values(tmp_path, [1, 2]) == [1, 2]


def test_who_has_mapped_rows_keeps_them_while_more_come_and_all_go(tmp_path):
    numbers = list(range(MAX_STALE_ROWS + 2))
    fill(tmp_path, numbers, group=len(numbers))
    rows, places = row_cache(tmp_path).lookup([digest(2)])
    row_cache(tmp_path).remove_stale([])
    assert fill(tmp_path, [3, 4]) == [3, 4]
    assert rows[places][0, 0, 0] == 2


def test_nothing_goes_while_it_is_in_use(tmp_path):
    numbers = list(range(MAX_STALE_ROWS + 2))
    fill(tmp_path, numbers, group=len(numbers))
    with row_cache(tmp_path).in_use():
        row_cache(tmp_path).remove_stale([])
        fill(tmp_path, [-1])
        assert values(tmp_path, [-1, 3]) == [-1, 3]
    row_cache(tmp_path).remove_stale([])
    assert fill(tmp_path, [3]) == [3]


def test_what_nobody_asks_for_any_more_goes_when_it_is_most_of_it(tmp_path):
    numbers = list(range(MAX_STALE_ROWS + 12))
    fill(tmp_path, numbers, group=len(numbers))
    row_cache(tmp_path).remove_stale([digest(n) for n in numbers[:6]])
    assert fill(tmp_path, numbers[:2]) == []
    row_cache(tmp_path).remove_stale([digest(n) for n in numbers[:5]])
    assert fill(tmp_path, numbers[:2]) == numbers[:2]


def _fill_many(folder, start):
    for at in range(start, start + 60, 5):
        fill(Path(folder), list(range(at, at + 5)), 1)


def test_several_processes_fill_one_cache(tmp_path):
    context = multiprocessing.get_context("spawn")
    team = [context.Process(target=_fill_many, args=(str(tmp_path), start)) for start in (0, 0, 30)]
    for process in team:
        process.start()
    for process in team:
        process.join()
    assert values(tmp_path, range(90)) == list(range(90))
    assert (tmp_path / "cache/rows.bin").stat().st_size == 90 * 24


@pytest.mark.parametrize("name", ["digests.bin", "rows.bin"])
def test_a_cache_that_lost_a_file_is_filled_again(tmp_path, name):
    fill(tmp_path, [1, 2])
    (tmp_path / "cache" / name).unlink()
    assert fill(tmp_path, [1, 2]) == [1, 2]
    assert values(tmp_path, [2, 1]) == [2, 1]


def test_a_cache_that_cannot_be_read_is_told_in_one_sentence(tmp_path):
    (tmp_path / "cache/digests.bin").mkdir(parents=True)
    with pytest.raises(TrainingError, match="cache: cannot be read"):
        row_cache(tmp_path).missing([digest(1)])


def test_a_disk_that_does_not_take_it_is_told_in_one_sentence(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/rows.bin").mkdir()
    with pytest.raises(TrainingError, match="cache: cannot be written"):
        fill(tmp_path, [1])
