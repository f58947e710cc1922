"""Hostile cells and hostile HTTP responses: each has its reason, within 1 GB of memory."""

from __future__ import annotations

import json

import pytest

from tests.helpers.hostile_urls import CELLS, HOSTS, read_cell
from tests.helpers.limited import run_limited

MEGABYTES = 1000


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, str]]:
    output, peak = run_limited(["-m", "tests.helpers.hostile_urls"], MEGABYTES)
    assert peak < MEGABYTES
    found: dict[str, dict[str, str]] = json.loads(output)
    return found


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: repr(cell[:60]))
def test_a_hostile_cell_is_read_as_what_it_is(cell: str) -> None:
    expected = CELLS[cell]
    assert read_cell(cell) == expected if ":" in expected[:6] else read_cell(cell).startswith(expected)


def test_no_spelling_of_a_private_address_is_asked_for_anything(results: dict[str, dict[str, str]]) -> None:
    wrong = {host: reason for host, reason in results["hosts"].items() if not reason.startswith(HOSTS[host])}
    assert wrong == {}
    assert set(results["hosts"]) == set(HOSTS)
    assert results["asked"] == {"hosts": "0"}


def test_every_hostile_answer_has_its_reason(results: dict[str, dict[str, str]]) -> None:
    expected = results["expected"]
    assert {path: reason for path, reason in results["answers"].items() if not fits(reason, expected[path])} == {}
    assert set(results["answers"]) == set(expected)


def fits(reason: str, expected: str) -> bool:
    return reason.startswith(expected) and (expected != "ok" or reason == "ok")


def test_a_program_that_takes_more_than_it_may_is_ended() -> None:
    with pytest.raises(AssertionError):
        run_limited(["-c", "x = bytearray(2_000_000_000)"], MEGABYTES)
    output, peak = run_limited(["-c", "x = bytearray(300_000_000); print(len(x))"], MEGABYTES)
    assert output == "300000000"
    assert 300 < peak < MEGABYTES
