"""docs/python.md says what is true: its examples run, and it names every public call."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import sheetsync
import training
from tests.helpers.flowers import plant_flowers

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = EXAMPLE.findall(PAGE)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that are there when every example was run, in the order of the page."""
    where = tmp_path_factory.mktemp("page")
    plant_flowers(where / "flowers")
    names: dict[str, Any] = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        for number, block in enumerate(BLOCKS, start=1):
            exec(compile(block, f"example {number} of docs/python.md", "exec"), names)
    return names


def test_the_examples_of_the_page_run_in_order(session: dict[str, Any]) -> None:
    assert len(BLOCKS) >= 10
    assert [run.version for run in session["project"].runs()] == ["v1", "v2"], "an example relabels an image"
    assert len(session["doubtful"]) == 10
    assert session["probabilities"].shape == (10, 3)


def test_the_example_of_the_readme_runs(session: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = EXAMPLE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    monkeypatch.chdir(session["project"].root)
    names: dict[str, Any] = {}
    exec(compile(example, "the example of README.md", "exec"), names)
    assert len(names["frame"]) == len(session["project"].rows())


def test_the_first_example_is_no_longer_than_a_screen() -> None:
    assert len(BLOCKS[0].splitlines()) <= 20


def public_names() -> list[str]:
    """Every public name of both packages, and every public member of the classes that are worked with."""
    classes = (sheetsync.OpenProject, sheetsync.Run, sheetsync.Preview, training.LoadedModel)
    members = {name for each in classes for name, _ in inspect.getmembers(each) if not name.startswith("_")}
    return sorted({*sheetsync.__all__, *training.__all__, *members} - {"__version__", "LoadedModel", "config"})


@pytest.mark.parametrize("name", public_names())
def test_the_page_names_every_public_call(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE), name


def test_every_error_is_in_the_table_of_the_page() -> None:
    errors = [
        name
        for name in sheetsync.__all__
        if inspect.isclass(each := getattr(sheetsync, name)) and issubclass(each, Exception)
    ]
    table = PAGE.partition("## Errors")[2]
    assert [name for name in errors if f"| `{name}` |" not in table] == []


@pytest.mark.parametrize("name", ["Finding", "Garbage", "History", "OpenProject", "Preview", "Report", "Run"])
def test_what_a_call_returns_can_be_named(name: str) -> None:
    assert inspect.isclass(getattr(sheetsync, name))
    assert name in dir(sheetsync)
