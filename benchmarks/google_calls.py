"""What a Google Sheet costs: `python benchmarks/google_calls.py [ROWS…]`, 3,000 and 100,000 if not given.

A sheet of so many rows (a URL, every tenth as =IMAGE; a label; two columns of the team) stands on a local server in a
process of its own, and passes run over it with a trainer that takes no time and images from memory:

    first    everything is new
    full     100 rows were labelled otherwise, and a new model says something else of every image
    one      one row was labelled otherwise
    idle     nothing was

All but the last write twice: what is provisional, and what the model says.

One line a pass, most of it from the pass's own report. `body` is the longest request; `said` are the bytes of all
answers, and `sent` the same as they go over the line, packed; `MiB` is the most memory so far of the process that
runs the passes. Seconds depend on the machine and are there to be compared with each other.
"""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from google.oauth2.service_account import Credentials

from sheetsync.sheets.google.client import Client, EndpointAdapter
from sheetsync.sheets.google.sheet import GoogleSheet
from sheetsync.sync.environment import Environment
from sheetsync.sync.pipeline import Pass
from sheetsync.sync.report import Report
from sheetsync.trainer.records import Prediction
from tests.helpers.googleserver import GoogleServer
from tests.helpers.support import CLASSES, QuickTrainer, Web, png, project

SIZES = (3_000, 100_000)
PASSES = {"first": 0, "full": 100, "one": 1, "idle": 0}  # and how many rows are labelled otherwise before each
STAGES = ("read", "mirror", "provisional", "train", "review", "write")
SCOPE = "https://www.googleapis.com/auth/spreadsheets"
URL = "https://images.example.org/manuscripts/page-{:07}.png"


class Moody(QuickTrainer):
    """Says something else of every image after each training."""

    def predictions(self, run: Any, manifest: Any, progress: Any) -> list[Prediction]:
        """As of the last training."""
        shift = len(self.trained) / 100
        said = super().predictions(run, manifest, progress)
        return [Prediction(each.key, each.label, abs(each.confidence - shift), each.quality) for each in said]


def serve(pipe: Connection, rows: int, key: Path) -> None:
    """A server until told to end; takes what people type, and gives what it counted since."""
    with GoogleServer() as server:
        cells = [[cell(n), CLASSES[n % 4], "Ada" if n % 3 else "Bob", f"shelf {n % 97}"] for n in range(rows)]
        book = server.create("Images", [["image", "label", "who", "where"], *cells])
        server.key_file(key).chmod(0o600)
        pipe.send((server.url, book))
        for relabelled in iter(pipe.recv, None):
            others = [[CLASSES[(n + 1 + (relabelled == 1)) % 4]] for n in range(relabelled)]
            if others:
                server.book(book).type("Sheet1", "B2", others)
            server.clear_log()
            pipe.send(None)
            pipe.recv()
            pipe.send((max(len(each.content) for each in server.asked), server.said, server.sent))


def cell(n: int) -> str:
    """The image of a row."""
    return URL.format(n) if n % 10 else f'=IMAGE("{URL.format(n)}")'


def one_pass(root: Path, place: tuple[str, str], web: Web, trainer: QuickTrainer) -> Report:
    url, book = place
    key = Credentials.from_service_account_file(str(root / "key.json"), scopes=[SCOPE])
    with closing(Client(key)) as client:
        client.session.mount("https://", EndpointAdapter(url))
        world = Environment(GoogleSheet(client, book), web, trainer, time.perf_counter, lambda *_: None, time.time)
        return Pass(project(root), world).run()


def show(rows: int, name: str, report: Report, weighed: Sequence[int]) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    body, said, sent = (each / 1e6 for each in weighed)
    seconds = " ".join(f"{report.seconds[stage]:7.2f}" for stage in STAGES)
    calls = f"{report.calls.reads:5} {report.calls.writes:6} {report.cells:7}"
    print(f"{rows:7} {name:6} {calls} {body:7.2f} {said:7.2f} {sent:7.2f} {seconds} {memory:6.0f}", flush=True)


def measure(rows: int) -> None:
    """All passes over one sheet, in this process."""
    web = Web({URL.format(n): png(n % 1000) for n in range(rows)})
    trainer = Moody()
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        server = multiprocessing.Process(target=serve, args=(theirs, rows, root / "key.json"), daemon=True)
        server.start()
        place = ours.recv()
        for name, relabelled in PASSES.items():
            ours.send(relabelled)
            ours.recv()
            report = one_pass(root, place, web, trainer)
            ours.send("weigh")
            show(rows, name, report, ours.recv())
        ours.send(None)
        server.join()
    if server.exitcode:
        raise SystemExit("the server answered what it should not have, or broke: see above")


def main() -> None:
    """Print the table, each size from a process of its own."""
    if len(sys.argv) == 2:
        measure(int(sys.argv[1]))
        return
    stages = " ".join(f"{stage[:7]:>7}" for stage in STAGES)
    print(f"{'rows':>7} pass   reads writes   cells body MB said MB sent MB {stages}    MiB", flush=True)
    for rows in sys.argv[1:] or map(str, SIZES):
        subprocess.run([sys.executable, __file__, rows], check=True)


if __name__ == "__main__":
    main()
