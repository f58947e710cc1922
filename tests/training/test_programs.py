"""How the programs of `training` are started: by module, by `python -m training`, and by the script sheetsync-train."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.training_tree import folder_of, write_example, write_recipe
from training.__main__ import PROGRAMS

ROOT = Path(__file__).parent.parent.parent


def start(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The console script sheetsync-train, as an installer writes it from pyproject.toml."""
    module, _, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][
        "sheetsync-train"
    ].partition(":")
    path = tmp_path / "bin" / "sheetsync-train"
    path.parent.mkdir()
    path.write_text(
        f"import sys\nfrom {module} import {function}\nif __name__ == '__main__':\n    sys.exit({function}())\n"
    )
    return path


def test_the_package_lists_its_programs_and_each_is_there() -> None:
    for options in ((), ("--help",)):
        done = start("-m", "training", *options)
        assert done.returncode == 0
        assert [name for name in PROGRAMS if f"  {name} " not in done.stdout] == []
    modules = {path.stem for path in (ROOT / "training").glob("*.py") if "__name__ ==" in path.read_text()}
    assert modules - {"__main__"} == set(PROGRAMS)


@pytest.mark.parametrize("options", [("recipe", "roman-resnet50"), ("recipe",), ("train", "--help"), ("predict", "x")])
def test_a_program_is_the_same_by_either_name(options: tuple[str, ...]) -> None:
    name, *rest = options
    ours, its = start("-m", "training", *options), start("-m", f"training.{name}", *rest)
    assert (ours.returncode, ours.stdout, ours.stderr) == (its.returncode, its.stdout, its.stderr)


def test_an_unknown_program_names_those_there_are() -> None:
    done = start("-m", "training", "sing")
    assert done.returncode == 2
    assert "'sing'" in done.stderr
    assert "train, predict" in done.stderr


def test_the_script_trains_where_a_folder_is_called_training(script: Path, tmp_path: Path) -> None:
    place = write_example(tmp_path / "place")
    (place / "training").mkdir()
    (place / "training" / "__init__.py").write_text("raise SystemExit('not ours')")
    assert start("-c", "import training", cwd=place).stderr == "not ours\n", "the trap works"
    write_recipe(place / "tiny.json", epochs=1, folds=2)
    done = start(script, "data", "--recipe", "tiny.json", "--runs", "runs", "--workers", 2, "--json", cwd=place)
    assert (place / folder_of(done) / "metrics.json").exists()


def test_the_help_of_the_script_names_the_script(script: Path) -> None:
    assert start(script, "--help").stdout.startswith("usage: sheetsync-train [-h]")
