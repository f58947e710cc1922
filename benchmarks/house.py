"""Code metrics (sizes, one-use helpers, names, docstrings): `python benchmarks/house.py [--list] [CHECKOUT …]`.

One column for each checkout. Counts over `sheetsync/` and `training/`, from the syntax tree alone:

- modules at the top level of the two packages, and folders there
- lines of functions without their docstrings: median, 90th percentile, longest
- private helpers of at most six lines that are named once besides their definition, per 1,000 lines of code
- names that stand for two things: public names (of classes and functions) that two modules define, whatever their case
- docstrings that begin with "What", "Whether" or "The same"
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("sheetsync", "training")
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (*FUNCTION, ast.ClassDef, ast.Module)
HELPER_LINES = 6
RIDDLES = ("What", "Whether", "The same")


def body_lines(node: ast.AST) -> int:
    """Lines of a function without its docstring."""
    docstring = node.body[0] if ast.get_docstring(node) else None
    size = node.end_lineno - node.lineno + 1
    return size - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)


def docstrings(tree: ast.AST) -> Iterator[str]:
    """Every docstring of a module."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, DOCUMENTED))
    return (text for node in nodes if (text := ast.get_docstring(node)))


def one_use_helpers(trees: dict[Path, ast.AST], words: Counter[str]) -> list[str]:
    """Short private functions whose name stands once more in all of the code."""
    functions = (node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, FUNCTION))
    private = [each for each in functions if each.name.startswith("_") and not each.name.startswith("__")]
    return [each.name for each in private if body_lines(each) <= HELPER_LINES and words[each.name] == 2]


def homonyms(trees: dict[Path, ast.AST]) -> list[str]:
    """Public names, in lower case, that two modules define."""
    modules: dict[str, set[Path]] = defaultdict(set)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, *FUNCTION)) and not node.name.startswith("_") and node.name != "main":
                modules[node.name.casefold()].add(path)
    return sorted(name for name, found in modules.items() if len(found) > 1)


def figures(root: Path) -> dict[str, object]:
    """All figures of one checkout."""
    paths = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    sources = {path: path.read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(source) for path, source in sources.items()}
    words = Counter(word for source in sources.values() for word in re.findall(r"\b_\w+", source))
    lines = sum(source.count("\n") for source in sources.values())
    nodes = (node for tree in trees.values() for node in ast.walk(tree))
    sizes = sorted(body_lines(node) for node in nodes if isinstance(node, FUNCTION))
    top = [path for package in PACKAGES for path in (root / package).iterdir() if path.name != "__pycache__"]
    helpers = one_use_helpers(trees, words)
    texts = [text for tree in trees.values() for text in docstrings(tree)]
    if "--list" in sys.argv:
        print("one-use helpers:", *sorted(helpers), "\nnames of two things:", *homonyms(trees), sep=" ")
    return {
        "modules": len(paths),
        "lines": lines,
        "top-level modules": sum(path.suffix == ".py" and path.stem != "__init__" for path in top),
        "top-level folders": sum(path.is_dir() for path in top),
        "functions": len(sizes),
        "median": statistics.median(sizes),
        "p90": sizes[int(len(sizes) * 0.9)],
        "longest": sizes[-1],
        "one-use helpers": len(helpers),
        "one-use helpers per 1,000 lines": round(1000 * len(helpers) / lines, 1),
        "public names of two things": len(homonyms(trees)),
        "docstrings": len(texts),
        "docstrings What/Whether/The same": sum(text.startswith(RIDDLES) for text in texts),
    }


def main(roots: list[str]) -> None:
    found = {root: figures(Path(root)) for root in roots or ["."]}
    for name in next(iter(found.values())):
        print(f"{name:<34}", *(f"{each[name]!s:>10}" for each in found.values()))


if __name__ == "__main__":
    main([argument for argument in sys.argv[1:] if argument != "--list"])
