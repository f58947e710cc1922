"""The host queue: fair to all hosts, and a slow one holds up nobody but itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sheetsync.images.host_queue import MAX_FAILURES, STALLED_SECONDS, HostQueue, Lease


@dataclass
class Scene:
    """A queue whose clock stands still until a test moves it. Nothing waits: `start` takes only what may run now."""

    jobs: list[tuple[str, str]]
    max_running: int = 4
    per_host: int = 2
    now: float = 0.0
    leases: dict[str, Lease[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queue = HostQueue(self.jobs, self.max_running, self.per_host, lambda: self.now)

    def start(self, times: int = 1) -> list[str]:
        """Start up to so many jobs that may run now, and return them."""
        started = []
        for _ in range(times):
            with self.queue._changed:
                self.queue._wake_delayed()
                host = self.queue._next_host()
                lease = self.queue._start(host) if host else None
            if lease:
                self.leases[lease.job] = lease
                started.append(lease.job)
        return started

    def end(self, job: str, *, answered: bool = True) -> None:
        self.queue.release(self.leases.pop(job), answered=answered)

    def refuse(self, job: str) -> list[str]:
        return self.queue.release(self.leases.pop(job), answered=True, refused=True)


def jobs(host: str, count: int) -> list[tuple[str, str]]:
    return [(host, f"{host}{number}") for number in range(count)]


def test_hosts_take_turns_and_none_has_more_than_its_share() -> None:
    scene = Scene([*jobs("a", 5), *jobs("b", 5), *jobs("c", 5)], max_running=6)
    assert scene.start(20) == ["a0", "b0", "c0", "a1", "b1", "c1"]
    scene.end("b0")
    assert scene.start(20) == ["b2"]


def test_one_host_alone_has_its_share_and_no_more() -> None:
    scene = Scene(jobs("a", 9))
    assert scene.start(20) == ["a0", "a1"]


def test_what_has_stalled_gives_its_place_to_another_until_as_many_stall_as_may_run() -> None:
    scene = Scene(jobs("a", 9))
    assert scene.start(20) == ["a0", "a1"]
    scene.now += STALLED_SECONDS
    assert scene.start(20) == ["a2", "a3"]
    scene.now += STALLED_SECONDS
    assert scene.start(20) == []
    scene.end("a1", answered=False)
    assert scene.start(20) == ["a4"]


def test_a_host_that_never_answers_is_asked_nothing_more() -> None:
    scene = Scene([*jobs("a", MAX_FAILURES + 3), *jobs("b", 1)])
    for number in range(MAX_FAILURES - 1):
        scene.start(3)
        scene.end(f"a{number}", answered=False)
    scene.start(3)
    lease = scene.leases.pop(f"a{MAX_FAILURES - 1}")
    assert scene.queue.release(lease, answered=False) == [f"a{MAX_FAILURES + 1}", f"a{MAX_FAILURES + 2}"]


def test_a_host_that_refuses_again_and_again_is_asked_nothing_more_and_others_are() -> None:
    scene = Scene([*jobs("a", 2 * MAX_FAILURES + 4), *jobs("b", 1)], max_running=3)
    for number in range(MAX_FAILURES - 1):
        scene.start(3)
        assert scene.refuse(f"a{number}") == []
    scene.start(3)
    scene.end(f"a{MAX_FAILURES - 1}")  # an image in between
    scene.start(3)
    scene.queue.requeue(scene.leases.pop(f"a{MAX_FAILURES}"), "later", 9.0, answered=True, rest_host=False)
    for number in range(MAX_FAILURES + 1, 2 * MAX_FAILURES):
        scene.start(3)
        assert scene.refuse(f"a{number}") == []
    scene.start(3)
    assert scene.refuse(f"a{2 * MAX_FAILURES}") == [f"a{2 * MAX_FAILURES + 2}", f"a{2 * MAX_FAILURES + 3}", "later"]
    assert scene.refuse(f"a{2 * MAX_FAILURES + 1}") == []
    scene.now += 10
    assert scene.start(3) == []
    scene.end("b0")
    assert scene.queue.acquire() is None


def test_hosts_that_do_not_answer_leave_half_of_the_places_to_those_that_do() -> None:
    dead = [job for host in "uvwxyz" for job in jobs(host, 2)]
    scene = Scene([("a", "a0"), *dead, *jobs("a", 9)[1:]])
    assert scene.start(1) == ["a0"]
    scene.end("a0")
    assert scene.start(4) == ["u0", "v0", "a1", "a2"]
    scene.end("a1")
    scene.end("a2")
    assert scene.start(4) == ["a3", "a4"]
    scene.end("u0", answered=False)
    assert scene.start(4) == ["w0"]


def test_where_nobody_answers_yet_all_places_are_used() -> None:
    scene = Scene([job for host in "uvwxyz" for job in jobs(host, 2)])
    assert len(scene.start(20)) == 4


def test_a_job_comes_again_when_its_time_has_come_and_others_go_on_meanwhile() -> None:
    scene = Scene(jobs("a", 3), per_host=1)
    scene.start()
    scene.queue.requeue(scene.leases.pop("a0"), "a0 again", 5.0, answered=True, rest_host=False)
    assert scene.start() == ["a1"]
    scene.end("a1")
    scene.now = 4.9
    assert scene.start() == ["a2"]
    scene.end("a2")
    assert scene.start() == []
    scene.now = 5.0
    assert scene.start() == ["a0 again"]


def test_a_host_that_asks_for_a_rest_is_left_alone_and_others_are_not() -> None:
    scene = Scene([*jobs("a", 3), *jobs("b", 4)])
    assert scene.start(2) == ["a0", "b0"]
    scene.queue.requeue(scene.leases.pop("a0"), "a0 again", 5.0, answered=True, rest_host=True)
    assert scene.start(9) == ["b1"]
    scene.now = STALLED_SECONDS / 2
    scene.end("b0")
    assert scene.start(9) == ["b2"]
    scene.now = 5.0
    scene.end("b2")
    assert sorted(scene.start(3)) == ["a0 again", "a1", "b3"]


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 5), st.integers(1, 5), st.integers(1, 8))
def test_threads_do_every_job_once_and_stop(hosts: list[str], most: int, per_host: int, threads: int) -> None:
    queue = HostQueue(((host, number) for number, host in enumerate(hosts)), most, per_host, lambda: 0.0)
    done: list[int] = []

    def work() -> None:
        while lease := queue.acquire():
            if lease.job >= 0 and lease.job % 3 == 0:
                queue.requeue(lease, -lease.job - 1, 0.0, answered=False, rest_host=lease.job % 2 == 0)
                continue
            done.append(lease.job if lease.job >= 0 else -lease.job - 1)
            queue.release(lease, answered=True)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(20)
    assert not any(each.is_alive() for each in workers)
    assert sorted(done) == list(range(len(hosts)))


def test_closing_sends_home_who_waits() -> None:
    queue = HostQueue(jobs("a", 3), 1, 1, lambda: 0.0)
    assert queue.acquire()
    waiting = threading.Thread(target=queue.acquire)
    waiting.start()
    queue.close()
    waiting.join(20)
    assert not waiting.is_alive()
