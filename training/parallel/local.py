"""Run jobs in a pool of worker processes on this machine, which never outlive the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from training.errors import TrainingError

if TYPE_CHECKING:
    Pipe: TypeAlias = Connection[Any, Any]

Job = TypeVar("Job")
Result = TypeVar("Result")
Emit: TypeAlias = Callable[[Any], None]
"""Sends a message from a job to the process that started it."""


def default_workers() -> int:
    """Return how many jobs to run at a time: one on a GPU, else one per CPU core."""
    import torch

    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def run_all(
    work: Callable[[Job, Emit], Result], jobs: Sequence[Job], workers: int, listen: Callable[[Job, Any], None]
) -> list[Result]:
    """Return `work(job, emit)` for every job, in the order of the jobs, which is also the order in which they start.

    `work`, jobs and results must be picklable. A message that a job emits is passed to `listen(job, message)` here.
    Raises a TrainingError that a job raises, and one of its own when a worker process dies.
    """
    results: dict[int, Result] = {}
    with _worker_processes(work, min(workers, len(jobs))) as pipes:
        idle, waiting = list(pipes), list(range(len(jobs)))[::-1]
        busy: dict[Pipe, int] = {}
        while len(results) < len(jobs):
            while idle and waiting:
                pipe, number = idle.pop(), waiting.pop()
                busy[pipe] = number
                with _expect_alive():
                    pipe.send(jobs[number])
            for pipe in [ready for ready in wait(list(busy)) if isinstance(ready, Connection)]:
                with _expect_alive():
                    kind, content = pipe.recv()
                if kind == "error":
                    raise content
                if kind == "message":
                    listen(jobs[busy[pipe]], content)
                else:
                    results[busy.pop(pipe)] = content
                    idle.append(pipe)
    return [results[number] for number in range(len(jobs))]


@contextmanager
def _worker_processes(work: Callable[[Job, Emit], Result], size: int) -> Iterator[list[Pipe]]:
    """Start `size` fresh processes and yield a pipe to each; they are killed when the block ends, in whatever way."""
    context = multiprocessing.get_context("spawn")  # a forked torch can hang
    processes, pipes = [], []
    try:
        for _ in range(size):
            parent_end, child_end = context.Pipe()
            process = context.Process(target=_serve, args=(work, child_end), daemon=True)
            with _signals_blocked():
                process.start()
                processes.append(process)
            child_end.close()  # so that the end of the process closes the pipe
            pipes.append(parent_end)
        yield pipes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Start processes with Ctrl-C and SIGTERM blocked: the parent gets both after the block, and ends its workers."""
    resource_tracker.ensure_running()  # starting it later would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _expect_alive() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise TrainingError("a training process ended early; was it killed, or is the memory full?") from error


def _serve(work: Callable[[Job, Emit], Result], pipe: Pipe) -> None:
    """Do one job after the other in a worker process, until it is killed or its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _exit_after(lambda: wait([parent.sentinel]))
    while True:
        try:
            pipe.send(("result", work(pipe.recv(), lambda message: pipe.send(("message", message)))))
        except TrainingError as error:
            pipe.send(("error", error))


def die_at_end_of_input() -> None:
    """End this process at once, with code 1, when its standard input closes: the process that held it is gone."""

    def drain() -> None:
        while os.read(0, 4096):
            pass

    _exit_after(drain)


def _exit_after(event: Callable[[], object]) -> None:
    """Kill this process from a thread as soon as `event()` returns."""

    def end() -> None:
        event()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
