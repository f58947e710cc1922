"""Jobs in worker processes."""

import multiprocessing
import os
import time

import pytest

from training.errors import TrainingError
from training.parallel.local import run_all


def work(job, emit):
    """A job is a word; some of them end badly."""
    if job == "die":
        os._exit(9)
    if job == "fail":
        raise TrainingError("it is the data")
    if job == "slow":
        time.sleep(0.3)
    emit(f"{job} began")
    return job.upper(), os.getpid()


def ignore(job, message):
    pass


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_results_come_in_the_order_of_the_jobs(workers):
    heard, jobs = [], ["slow", "a", "b", "c"]
    results = run_all(work, jobs, workers, lambda job, message: heard.append((job, message)))
    assert [word for word, _ in results] == ["SLOW", "A", "B", "C"]
    assert sorted(heard) == sorted((job, f"{job} began") for job in jobs)
    assert 1 <= len({process for _, process in results}) <= workers


def test_what_a_job_raises_is_raised_here():
    with pytest.raises(TrainingError, match="it is the data"):
        run_all(work, ["a", "fail", "slow"], 2, ignore)


def test_a_process_that_dies_is_an_error_and_no_endless_wait():
    with pytest.raises(TrainingError, match="ended early"):
        run_all(work, ["a", "die", "slow"], 2, ignore)


def test_no_process_is_left_when_listening_fails():
    def listen(job, message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(work, ["a", "slow"], 2, listen)
    assert multiprocessing.active_children() == []
