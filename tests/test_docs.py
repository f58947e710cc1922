"""The README and the pages in docs/ say what is true."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sheetsync.project.config import Settings
from sheetsync.project.template import TEMPLATE
from sheetsync.rows.schema import MACHINE_COLUMNS, SCORE_COLUMNS
from training.recipe import RECIPES

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
SHEETSYNC = str(Path(sys.executable).with_name("sheetsync"))
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", *DOCS]
MODULES = ("sheetsync", "training")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")
REFERENCE = re.compile(r"^\[[^\]]+\]: (\S+)$", re.MULTILINE)
SHELLS = ("bash", "cron", "ini")  # kinds of blocks that hold command lines
# The Python API is described in a page of its own, whose examples are run by the API's tests.
OF_THE_API = ("README.md", "docs/python.md")


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", text(page))


def section(page: str, title: str) -> str:
    """The words below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", text(page), re.MULTILINE)
    assert found, f"{page} has no section called {title}"
    rest = text(page)[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def block(words: str) -> str:
    """The first fenced block of a text, with its line ends."""
    found = FENCE.search(words)
    assert found, "no fenced block"
    return found[2]


def first_cells(words: str) -> set[str]:
    """The words between backticks in the first column of the tables of a text."""
    lines = (line for line in words.splitlines() if line.startswith("|"))
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])}


def run(*command: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=folder or ROOT, env=environ
    )


@cache
def help_of(*command: str) -> str:
    start = [sys.executable, "-m", command[0]] if command[:1] and "." in command[0] else [SHEETSYNC, *command]
    done = run(*start, "--help")
    assert done.returncode == 0, done.stderr
    return done.stdout


def options_of(*command: str) -> set[str]:
    return set(re.findall(r"--[a-z-]+", help_of(*command)))


def commands() -> set[str]:
    return set(re.findall(r"^  ([a-z]+)  ", help_of().partition("Commands:")[2], re.MULTILINE))


# --- form -----------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    lines = text("README.md").splitlines()
    assert len(lines) <= 250
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_waits_to_be_written(page: str) -> None:
    assert re.findall(r"\b(?:TODO|TBD|FIXME|XXX)\b", text(page)) == []


# --- links ----------------------------------------------------------------------------------------


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    plain = FENCE.sub("", text(page))
    titles = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def targets(page: str) -> list[str]:
    return [*LINK.findall(prose(page)), *REFERENCE.findall(prose(page))]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    broken = []
    for target in targets(page):
        if re.match(r"(https?|mailto):", target):
            continue
        place, _, anchor = target.partition("#")
        path = (ROOT / page).parent / place if place else ROOT / page
        known = path.exists() and path.resolve().is_relative_to(ROOT)
        if not known or (anchor and anchor not in anchors(path.resolve().relative_to(ROOT).as_posix())):
            broken.append(target)
    assert broken == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {target.partition("#")[0] for target in targets("README.md")}
    assert {*DOCS, "CONTRIBUTING.md", "CHANGELOG.md"} <= linked


# --- commands -------------------------------------------------------------------------------------


def shown_commands(page: str) -> Iterator[list[str]]:
    """Every command line in a page's code, cut into words: those of fenced blocks and those between backticks."""
    code = [line for kind, block in FENCE.findall(text(page)) if kind in SHELLS for line in block.splitlines()]
    for line in [*code, *re.findall(r"`([^`\n]+)`", prose(page))]:
        for part in re.split(r"&&|\|\||;|\| |#| > | >> ", line):
            try:
                yield shlex.split(part)
            except ValueError:
                yield part.split()


def calls(page: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of sheetsync in a page, and its options."""
    for words in shown_commands(page):
        for place, word in enumerate(words[:-1]):
            if Path(word.removeprefix("ExecStart=")).name == "sheetsync" and re.fullmatch(r"[a-z]+", words[place + 1]):
                rest = words[place + 2 :]
                yield words[place + 1], [each.partition("=")[0] for each in rest if each.startswith("--")]


def test_every_command_is_described_and_none_that_is_not_there() -> None:
    described = re.findall(r"^\| `sheetsync ([a-z]+)", text("docs/commands.md"), re.MULTILINE)
    assert set(described) == commands()


def test_every_option_of_a_command_is_described_and_none_that_is_not_there() -> None:
    everywhere = {"--help", "--project"}
    for line in text("docs/commands.md").splitlines():
        if command := re.match(r"\| `sheetsync ([a-z]+)", line):
            assert set(re.findall(r"`(--[a-z-]+)", line)) == options_of(command[1]) - everywhere, line


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_names_what_exists(page: str) -> None:
    for command, options in calls(page):
        assert command in commands(), f"sheetsync {command}"
        assert set(options) <= options_of(command), f"sheetsync {command}"


def test_command_lines_are_found() -> None:
    assert ("init", ["--undo"]) in list(calls("docs/google.md"))
    assert ("watch", []) in list(calls("docs/deploy.md"))
    assert ("demo", []) in list(calls("README.md"))


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_run_exists(page: str) -> None:
    for words in shown_commands(page):
        if "-m" not in words[:-1]:
            continue
        module = words[words.index("-m") + 1]
        if module.partition(".")[0] not in MODULES or module.endswith("…"):
            continue
        assert find_spec(module), module
        options = {word for word in words if word.startswith("--")}
        assert options <= (options_of(module) if options else set()), words


def test_the_ci_runs_the_command_that_the_readme_gives_for_the_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    printing = script.replace('eval "$command"', 'printf %s "$command"')
    done = run("bash", "-c", printing, ROOT / ".ci" / "run")
    assert done.stdout.partition("+ ")[2].strip()
    assert done.stdout.strip().endswith(block(text("README.md").partition("<!-- test-command -->")[2]).strip())


# --- columns, keys, recipes -----------------------------------------------------------------------


def test_every_column_of_the_sheet_is_explained() -> None:
    assert first_cells(section("README.md", "Read the columns")) == {*MACHINE_COLUMNS, "image", "label", "split"}


def test_every_column_of_the_scores_is_explained() -> None:
    assert first_cells(section("docs/scores.md", "The columns of the scores")) == set(SCORE_COLUMNS)


def test_every_column_of_the_metadata_is_explained() -> None:
    explained = first_cells(section("docs/files.md", "dataset/metadata.csv")) - {"slices"}
    assert explained == {"file_name", "url", "label", "split", *MACHINE_COLUMNS}


def test_the_configuration_shown_is_the_one_that_init_writes() -> None:
    made = TEMPLATE.format(sheet='"labels.csv"', recipe='"roman-resnet50"', private="# ", allow="false")
    assert block(text("docs/configuration.md")) == made


def test_the_configuration_shown_names_every_key_with_its_default() -> None:
    lines = block(text("docs/configuration.md")).splitlines()
    bare = "\n".join(line.removeprefix("# ") for line in lines if "=" in line or line.startswith("["))
    shown = tomllib.loads(bare)
    expected = Settings.model_construct(sheet="labels.csv").model_dump(mode="json")
    assert shown == expected


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("README.md", "Choose a recipe"),
        ("docs/training.md", "Recipes"),
        ("docs/measurements.md", "How long a training takes"),
    ],
)
def test_every_recipe_is_named(page: str, title: str) -> None:
    assert first_cells(section(page, title)) == set(RECIPES)


# --- the tree -------------------------------------------------------------------------------------


def shown_tree(drawn: str) -> set[str]:
    """The paths in a drawing of a tree: two blanks a level, names and two blanks before what is said of them."""
    found, parent = set(), ""
    for line in drawn.splitlines():
        below = line.startswith("  ")
        names = re.findall(r"[\w.-]+", re.sub(r"\([^)]*\)", "", re.split(r"  +", line.strip())[0]))
        found |= {f"{parent}/{name}" if below else name for name in names}
        parent = parent if below else names[0]
    return found


def first_levels(files: list[str]) -> set[str]:
    """What is at the top, but for what is hidden, and what is at the first level of the two packages."""
    parts = [line.split("/") for line in files]
    top = {first for first, *_ in parts if not first.startswith(".")}
    return top | {f"{first}/{rest[0]}" for first, *rest in parts if first in MODULES and rest[0] != "__init__.py"}


def test_the_tree_shown_is_the_tree() -> None:
    tracked = run("git", "ls-files")
    assert tracked.returncode == 0, "this test needs the git checkout"
    assert shown_tree(block(section("README.md", "The code"))) == first_levels(tracked.stdout.splitlines())


# --- what a run holds, and reading its weights ----------------------------------------------------

WEIGHTS = ("roman-resnet50 and demo-resnet50", "resnet50")  # the sections with a snippet each
SNIPPETS = [(page, code) for page in PAGES for kind, code in FENCE.findall(text(page)) if kind == "python"]


def test_every_snippet_of_python_is_run_here_or_by_the_tests_of_the_api() -> None:
    assert {page for page, _ in SNIPPETS} <= {"docs/files.md", *OF_THE_API}
    assert [page for page, _ in SNIPPETS].count("README.md") == 1
    assert "<!-- python-example -->\n```python\n" in text("README.md")
    titles = [re.escape(title) for title in WEIGHTS]
    assert len(re.findall(rf"^### (?:{'|'.join(titles)})$", text("docs/files.md"), re.MULTILINE)) == len(WEIGHTS)
    assert [page for page, _ in SNIPPETS].count("docs/files.md") == len(WEIGHTS)


def write_images(folder: Path) -> None:
    """A dataset of three classes: noisy squares, reddish, greenish and bluish."""
    for split, count in {"train": 6, "val": 2}.items():
        for colour, label in enumerate(("red", "green", "blue")):
            for number in range(count):
                pixels = np.random.default_rng(10 * number + colour).integers(0, 90, (40, 30, 3))
                pixels[..., colour] += 150
                path = folder / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)


def train(folder: Path, recipe: str) -> Path:
    """A run of a built-in recipe, made short, in `folder` as in a project; gives its directory."""
    write_images(folder / "dataset")
    printed = json.loads(run(sys.executable, "-m", "training.recipe", recipe).stdout)
    short = {"name": "short", "weights": "", "epochs": 2, "least_steps": 0, "folds": 0, "precision": "fp32"}
    sizes = {} if printed["image_size"] < 64 else {"image_size": 64, "crop_size": 64}
    (folder / "short.json").write_text(json.dumps(printed | short | sizes))
    runs = folder / ".sheetsync" / "runs"
    options = ("--recipe", folder / "short.json", "--runs", runs, "--id", "short")
    done = run(sys.executable, "-m", "training.train", folder / "dataset", *options)
    assert done.returncode == 0, done.stderr
    return runs / "short"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Recipe -> a run of it, in a project of its own."""
    return cache(lambda recipe: train(tmp_path_factory.mktemp(recipe), recipe))


@pytest.fixture
def short_run(runs: Callable[[str], Path]) -> Path:
    return runs("roman-resnet50")


def keys_of(value: Any) -> set[str]:
    """The keys of an object in a run's JSON, but for names of classes and splits."""
    return set(value) if isinstance(value, dict) else set()


def test_every_file_of_a_run_is_described(short_run: Path) -> None:
    described = re.findall(r"^\| `([^`]+)` \|", section("docs/files.md", "A run directory"), re.MULTILINE)
    assert {path.name for path in short_run.iterdir()} <= set(described)


def test_every_column_of_the_predictions_is_described(short_run: Path) -> None:
    header = (short_run / "predictions.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first_cells(section("docs/files.md", "predictions.csv")) == set(header.split(","))


def test_every_key_of_the_metrics_is_described(short_run: Path) -> None:
    words = section("docs/files.md", "metrics.json")
    metrics = json.loads((short_run / "metrics.json").read_text(encoding="utf-8"))
    score = metrics["val"]
    assert first_cells(words) == keys_of(metrics) | keys_of(score) | {"sittings"}
    inner = keys_of(metrics["epochs"][0]) | keys_of(score["per_class"][0]) | keys_of(metrics["versions"])
    assert [key for key in {*inner, *metrics["images"]} if f"`{key}`" not in words] == []


def test_every_key_of_a_recipe_is_described(short_run: Path) -> None:
    recipe = json.loads((short_run / "recipe.json").read_text(encoding="utf-8"))
    assert first_cells(section("docs/files.md", "recipe.json")) == set(recipe)


@pytest.mark.parametrize("title", WEIGHTS)
def test_the_weights_can_be_read_without_this_project(title: str, runs: Callable[[str], Path]) -> None:
    done = runs(title.partition(" ")[0])
    project = done.parents[2]
    shutil.copy(project / "dataset/val/green/1.png", project / "photo.png")
    code = block(section("docs/files.md", title))
    assert not re.search(r"import (sheetsync|training)|from (sheetsync|training)", code)
    said = run(sys.executable, "-P", "-c", code, folder=project)
    assert said.returncode == 0, said.stderr
    label, confidence = said.stdout.split()
    rows = (line.split(",") for line in (done / "predictions.csv").read_text().splitlines())
    found = next(row for row in rows if row[0] == "val/green/1.png")
    assert label == found[3]
    assert float(confidence) == pytest.approx(float(found[4]), abs=1e-4)
