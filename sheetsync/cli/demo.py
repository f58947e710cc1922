"""An example project with real images, real mistakes and a real training.

scikit-learn's 1,797 handwritten digits (Alpaydin and Kaynak, UCI, CC BY 4.0), 3 % of the labels wrong on
purpose, a dead URL, a file that is no image, an image twice. The images come over HTTP from this machine.
"""

from __future__ import annotations

import csv
import io
import random
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from sheetsync.cli.output import show_problems
from sheetsync.cli.progress import show_progress
from sheetsync.common.atomic import write_atomic
from sheetsync.common.progress import Progress
from sheetsync.errors import ConfigError
from sheetsync.project.config import Project, load_project
from sheetsync.project.init import make_project
from sheetsync.rows.table import Table
from sheetsync.sheets import open_sheet
from sheetsync.sync.pipeline import Pass
from sheetsync.sync.report import Report
from sheetsync.sync.summary import score_words

SHEET = "digits.csv"
PLANTED = "planted.csv"
RECIPE = "demo-resnet50"
SIDE = 64  # pixels; the scans have 8, which no one can look at
WRONG = 0.03
SEED = 7
SHOWN = 10
DEAD = "http://127.0.0.1:9/gone.png"  # the discard port: nothing listens there

MakePass = Callable[[Project, Progress], Pass]


def run_demo(folder: Path, make_pass: MakePass) -> None:
    """Make the example in a new folder, run one pass over it, and show what came out.

    Raises `ConfigError` when the folder holds anything.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: remove it, or name another: sheetsync demo DIR")
    console = Console(soft_wrap=True)
    images = folder / "web"
    labels = _draw_digits(images)
    with _serve(images) as address:
        planted = _write_sheet(folder, labels, address)
        console.print(f"{folder}: a sheet of {len(labels)} images, {len(planted)} labels wrong on purpose")
        make_project(folder, SHEET, recipe=RECIPE, private=True)
        project = load_project(folder)
        with show_progress(Console(stderr=True)) as progress:
            report = make_pass(project, progress).run()
    _show(console, folder, report, open_sheet(SHEET, folder).read().rows, planted)


# --- making it ------------------------------------------------------------------------------------


def _draw_digits(folder: Path) -> list[str]:
    """Save every digit as an image, `0000.png` and so on; returns their true labels."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True)
    digits = load_digits()
    for number, scan in enumerate(digits.images):  # (8, 8), 0..16
        picture = Image.fromarray((255 - scan * 255 / 16).astype("uint8"))
        picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.png")
    return [str(label) for label in digits.target]


@contextmanager
def _serve(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on this machine; yields the address."""
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open

    def log_message(self, *_: Any) -> None:
        """Say nothing: the progress bar is on the terminal."""


def _write_sheet(folder: Path, labels: Sequence[str], address: str) -> dict[str, str]:
    """Write the CSV that a careless team might have; returns the URL and true label of every planted mistake."""
    chance = random.Random(SEED)
    wrong = set(chance.sample(range(len(labels)), round(WRONG * len(labels))))
    classes = sorted(set(labels))
    rows, planted = [], {}
    for number, label in enumerate(labels):
        url, given = f"{address}/{number:04d}.png", label
        if number in wrong:
            given = chance.choice([other for other in classes if other != label])
            planted[url] = label
        rows.append((url, given, "", chance.choice(("Ada", "Grace", "Alan"))))
    rows += [(DEAD, "3", "", "Ada"), ("notes.txt", "5", "", "Alan"), (*rows[42][:3], "Grace")]
    write_atomic(folder / "notes.txt", "This is no image, though a row says so.\n")
    write_atomic(folder / SHEET, _csv(("image", "label", "split", "who"), rows))
    write_atomic(folder / PLANTED, _csv(("image", "true_label"), sorted(planted.items())))
    return planted


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows((header, *rows))
    return out.getvalue()


# --- showing it -----------------------------------------------------------------------------------


def _show(console: Console, folder: Path, report: Report, table: Table, planted: dict[str, str]) -> None:
    console.print(f"\nValidation accuracy {score_words(report.score)} for revision {report.revision}", highlight=False)
    show_problems(console, report)
    ranked = _review_list(table)
    console.print(_grid(ranked[:SHOWN], planted))
    found = sum(row["image"] in planted for row in ranked[: len(planted)])
    console.print(
        f"{found} of the {len(planted)} planted mistakes are among the first {len(planted)} of the review list, "
        f"out of {len(ranked)} labelled images.\n",
        highlight=False,
    )
    console.print(_next_steps(folder), highlight=False, markup=False)


def _review_list(table: Table) -> list[dict[str, str]]:
    named = (dict(zip(table.header, cells, strict=False)) for cells in table.rows)
    return sorted((row for row in named if row.get("review_rank")), key=lambda row: int(row["review_rank"]))


def _grid(rows: Sequence[dict[str, str]], planted: dict[str, str]) -> Grid:
    grid = Grid(title="Look here first")
    for name in ("image", "label", "prediction", "confidence", "label_quality", "planted?"):
        grid.add_column(name)
    for row in rows:
        truth = planted.get(row["image"])
        machine = (row[name] for name in ("prediction", "confidence", "label_quality"))
        planted_words = f"yes, it is a {truth}" if truth else "no"
        grid.add_row(row["image"].rpartition("/")[2], row["label"], *machine, planted_words)
    return grid


def _next_steps(folder: Path) -> str:
    return f"""\
the sheet     {folder / SHEET}  (your columns first, then sheetsync's; sort by review_rank)
the scores    {folder / "digits.scores.csv"}
the dataset   {folder / "dataset"}  (an ImageFolder a split, and metadata.csv)
the answers   {folder / PLANTED}

Now fix labels in {SHEET} with a text editor or a spreadsheet program, then:

    cd {shlex.quote(str(folder))}
    {_command()} sync"""


def _command() -> str:
    """Return the command that runs this program from elsewhere: its virtual environment may not be active."""
    return "sheetsync" if shutil.which("sheetsync") else shlex.quote(str(Path(sys.argv[0]).resolve()))
