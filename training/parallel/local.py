"""Run jobs in processes of their own, a few at a time, that never outlive the one that started them."""

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


def run_all(
    work: Callable[[Job, Emit], Result], jobs: Sequence[Job], workers: int, listen: Callable[[Job, Any], None]
) -> list[Result]:
    """The result of `work(job, tell)` for every job, in the jobs' order; jobs start in this order, too.

    `work`, jobs and results must be picklable. What a job tells is heard here, as `listen(job, what)`.
    Raises a TrainingError that a job raises, and one of its own when a process dies.
    """
    results: dict[int, Result] = {}
    with _worker_processes(work, min(workers, len(jobs))) as wires:
        idle, waiting = list(wires), list(range(len(jobs)))[::-1]
        busy: dict[Pipe, int] = {}
        while len(results) < len(jobs):
            while idle and waiting:
                wire, number = idle.pop(), waiting.pop()
                busy[wire] = number
                with _alive():
                    wire.send(jobs[number])
            for wire in _ready(busy):
                kind, what = _receive(wire)
                if kind == "told":
                    listen(jobs[busy[wire]], what)
                else:
                    results[busy.pop(wire)] = what
                    idle.append(wire)
    return [results[number] for number in range(len(jobs))]


@contextmanager
def _worker_processes(work: Callable[[Job, Emit], Result], size: int) -> Iterator[list[Pipe]]:
    """The wires to `size` fresh processes, which are gone when the block is left, however it is left."""
    context = multiprocessing.get_context("spawn")  # a forked torch can hang
    processes, wires = [], []
    try:
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(work, theirs), daemon=True)
            with _ignoring_signals():
                process.start()
                processes.append(process)
            theirs.close()  # so that the end of the process is the end of the wire
            wires.append(ours)
        yield wires
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


@contextmanager
def _ignoring_signals() -> Iterator[None]:
    """Processes started here never hear Ctrl-C or SIGTERM: these reach the parent, after the block, which ends them."""
    resource_tracker.ensure_running()  # starting it would unblock the signals again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready(wires: Sequence[Pipe] | dict[Pipe, int]) -> list[Pipe]:
    return [wire for wire in wait(list(wires)) if isinstance(wire, Connection)]


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise TrainingError("a training process ended early; was it killed, or is the memory full?") from error


def _receive(wire: Pipe) -> tuple[str, Any]:
    with _alive():
        kind, what = wire.recv()
    if kind == "failed":
        raise what
    return kind, what


def _serve(work: Callable[[Job, Emit], Result], wire: Pipe) -> None:
    """What a process does: one job after the other, until it is killed or its parent is gone."""
    _die_with_parent()
    while True:
        try:
            wire.send(("done", work(wire.recv(), lambda what: wire.send(("told", what)))))
        except TrainingError as error:
            wire.send(("failed", error))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        _watch(lambda: wait([parent.sentinel]))


def die_at_end_of_input() -> None:
    """End this process at once, with code 1, when its standard input ends: whoever held it is gone."""

    def drain() -> None:
        while os.read(0, 4096):
            pass

    _watch(drain)


def _watch(until: Callable[[], object]) -> None:
    def end() -> None:
        until()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
