"""The checkers pass, and the house rules that no checker knows are kept."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((*(ROOT / "sheetsync").rglob("*.py"), *(ROOT / "training").rglob("*.py")))


@pytest.mark.long  # mypy, where nothing is cached
@pytest.mark.parametrize(
    "command", ["mypy", "ruff check", "ruff format --check", "lint-imports"], ids=lambda command: command.split()[0:2]
)
def test_the_checkers_find_nothing(command: str) -> None:
    tool, *options = command.split()
    done = subprocess.run([Path(sys.executable).with_name(tool), *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def function_lengths() -> Iterator[tuple[int, str]]:
    """Lines of every function without its docstring."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                said = node.body[0] if ast.get_docstring(node) else None
                lines = (node.end_lineno or 0) - node.lineno + 1
                yield lines - ((said.end_lineno or 0) - said.lineno + 1 if said else 0), f"{path.name}: {node.name}"


def test_functions_are_short() -> None:
    lengths = sorted(function_lengths())
    sizes = [length for length, _ in lengths]
    assert statistics.median(sizes) <= 8
    assert sizes[int(len(sizes) * 0.9)] < 25
    assert sizes[-1] <= 40, lengths[-3:]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sheetsync.cli import app\ntry: app(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    heavy = [name for name in ("torch", "pandas", "requests", "PIL", "pydantic") if f"'{name}'" in done.stdout]
    assert "'sheetsync.cli'" in done.stdout
    assert heavy == []
