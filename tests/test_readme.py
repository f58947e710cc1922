"""The README says what is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sheetsync.project.config import Settings
from sheetsync.project.template import TEMPLATE
from sheetsync.rows.schema import MACHINE_COLUMNS, SCORE_COLUMNS
from training.recipe import RECIPES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHEETSYNC = str(Path(sys.executable).with_name("sheetsync"))


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"no section called {title}"
    return found[1]


def block(words: str) -> str:
    """The first fenced block of a text, with its line ends."""
    found = re.search(r"```\w*\n(.*?)```", words, re.DOTALL)
    assert found, "no fenced block"
    return found[1]


def help_of(*command: str) -> str:
    done = subprocess.run(
        [SHEETSYNC, *command, "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == 0
    return done.stdout


def test_every_command_is_in_the_readme_and_none_that_is_not_there() -> None:
    there = set(re.findall(r"^  ([a-z]+)  ", help_of().partition("Commands:")[2], re.MULTILINE))
    assert set(re.findall(r"^\| `sheetsync ([a-z]+)", section("Commands"), re.MULTILINE)) == there


def test_every_option_named_for_a_command_exists() -> None:
    for line in section("Commands").splitlines():
        command = re.match(r"\| `sheetsync ([a-z]+)", line)
        for option in re.findall(r"`(--[a-z-]+)", line) if command else []:
            assert option in help_of(command[1]), line


def test_every_machine_column_is_explained() -> None:
    words = section("The columns of the sheet")
    assert [name for name in (*MACHINE_COLUMNS, "image", "label", "split") if f"`{name}`" not in words] == []


def test_every_column_of_the_scores_is_explained() -> None:
    words = section("The scores")
    assert [name for name in SCORE_COLUMNS if f"`{name}`" not in words] == []


def test_the_configuration_shown_is_the_one_that_init_writes() -> None:
    shown = block(section("Configuration"))
    made = TEMPLATE.format(sheet='"labels.csv"', recipe='"roman-resnet50"', private="# ", allow="false")
    assert shown == made


def test_the_configuration_shown_names_every_key_with_its_default() -> None:
    lines = block(section("Configuration")).splitlines()
    bare = "\n".join(line.removeprefix("# ") for line in lines if "=" in line or line.startswith("["))
    shown = tomllib.loads(bare)
    expected = Settings.model_construct(sheet="labels.csv").model_dump(mode="json")
    assert shown == expected


def test_the_tree_shown_is_the_tree() -> None:
    shown = set(re.findall(r"^[│├└─ ]*([\w./-]+)", block(section("How it is built")), re.MULTILINE))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.fail("this test needs the git checkout")
    files = [Path(line) for line in tracked.stdout.splitlines()]
    modules = {path.parts[1] for path in files if path.parts[0] in ("sheetsync", "training")} - {"py.typed"}
    top = {path.parts[0] for path in files if not path.parts[0].startswith(".")}
    assert {name for name in modules | top if name != "__init__.py"} <= {name.strip("/") for name in shown}
    assert all((ROOT / name).exists() or any(ROOT.glob(f"*/**/{name.strip('/')}")) for name in shown), shown


def test_nothing_waits_to_be_written() -> None:
    assert re.findall(r"^(?:[A-Z]{4,}|.*\b(?:TBD|TEMPLATE|TRIED|ROMAN)\b.*)$", README, re.MULTILINE) == []


def test_every_recipe_is_named() -> None:
    assert [name for name in RECIPES if f"`{name}`" not in section("The fixed model")] == []


def test_the_ci_runs_the_command_that_the_readme_gives_for_the_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    printing = script.replace('eval "$command"', 'printf %s "$command"')
    done = subprocess.run(["bash", "-c", printing, str(ROOT / ".ci" / "run")], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.partition("+ ")[2].strip()
    assert done.stdout.strip().endswith(block(README.partition("<!-- test-command -->")[2]).strip())


def test_every_link_into_the_repository_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
