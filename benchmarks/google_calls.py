"""API calls, bytes and seconds of passes over a Google Sheet: `python benchmarks/google_calls.py [ROWS…]`.

A sheet of so many rows, 3,000 and 100,000 by default (a URL, every tenth as =IMAGE; a label; two columns of the team)
is served by a local server in its own process, and passes run over it with a trainer that takes no time and images
from memory:

    first    everything is new
    full     100 rows were relabelled, and a new model predicts another confidence for every image
    one      one row was relabelled
    idle     nothing changed

All but the last write twice: provisional predictions, and those of the model.

One line for each pass, most of it from the pass's own report. `body` is the longest request; `said` is the size of all
responses, and `sent` that size compressed, as it is transferred; `MiB` is the peak memory so far of the process that
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
PASSES = {"first": 0, "full": 100, "one": 1, "idle": 0}  # and how many rows are relabelled before each
STAGES = ("read", "mirror", "provisional", "train", "review", "write")
SCOPE = "https://www.googleapis.com/auth/spreadsheets"
URL = "https://images.example.org/manuscripts/page-{:07}.png"


class ChangingTrainer(QuickTrainer):
    """A trainer whose confidences change with every training."""

    def predictions(self, run: Any, manifest: Any, progress: Any) -> list[Prediction]:
        """Return predictions whose confidences are shifted by the number of trainings."""
        shift = len(self.trained) / 100
        unshifted = super().predictions(run, manifest, progress)
        return [Prediction(each.key, each.label, abs(each.confidence - shift), each.quality) for each in unshifted]


def serve(pipe: Connection, rows: int, key: Path) -> None:
    """Serve a sheet until `None` is received; relabels rows on request, and sends back the sizes it has counted."""
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
    """Return the image cell of a row."""
    return URL.format(n) if n % 10 else f'=IMAGE("{URL.format(n)}")'


def one_pass(root: Path, address: tuple[str, str], web: Web, trainer: QuickTrainer) -> Report:
    url, book = address
    key = Credentials.from_service_account_file(str(root / "key.json"), scopes=[SCOPE])
    with closing(Client(key)) as client:
        client.session.mount("https://", EndpointAdapter(url))
        environment = Environment(
            GoogleSheet(client, book), web, trainer, time.perf_counter, lambda *_: None, time.time
        )
        return Pass(project(root), environment).run()


def show(rows: int, name: str, report: Report, sizes: Sequence[int]) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    body, said, sent = (size / 1e6 for size in sizes)
    seconds = " ".join(f"{report.seconds[stage]:7.2f}" for stage in STAGES)
    calls = f"{report.calls.reads:5} {report.calls.writes:6} {report.cells:7}"
    print(f"{rows:7} {name:6} {calls} {body:7.2f} {said:7.2f} {sent:7.2f} {seconds} {memory:6.0f}", flush=True)


def measure(rows: int) -> None:
    """Run all passes over one sheet, in this process."""
    web = Web({URL.format(n): png(n % 1000) for n in range(rows)})
    trainer = ChangingTrainer()
    parent_end, child_end = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        server = multiprocessing.Process(target=serve, args=(child_end, rows, root / "key.json"), daemon=True)
        server.start()
        address = parent_end.recv()
        for name, relabelled in PASSES.items():
            parent_end.send(relabelled)
            parent_end.recv()
            report = one_pass(root, address, web, trainer)
            parent_end.send("sizes")
            show(rows, name, report, parent_end.recv())
        parent_end.send(None)
        server.join()
    if server.exitcode:
        raise SystemExit("the server failed, or was asked for something it does not know: see above")


def main() -> None:
    """Print the table, each size from its own process."""
    if len(sys.argv) == 2:
        measure(int(sys.argv[1]))
        return
    stages = " ".join(f"{stage[:7]:>7}" for stage in STAGES)
    print(f"{'rows':>7} pass   reads writes   cells body MB said MB sent MB {stages}    MiB", flush=True)
    for rows in sys.argv[1:] or map(str, SIZES):
        subprocess.run([sys.executable, __file__, rows], check=True)


if __name__ == "__main__":
    main()
