"""Images a second from a local server, beside plain concurrent requests and img2dataset, in one run.

    python benchmarks/download_speed.py                                   # sheetsync and plain requests
    python benchmarks/download_speed.py --img2dataset VENV/bin/python     # an environment with img2dataset in it

5,000 JPEGs of about 2 kB, each its own content, from one process on this machine; all contenders use 32 connections,
wait 3 s for an answer and try once. sheetsync checks and decodes every image, gives it its digest and its perceptual
hash, keeps it under its content, synced to disk, and links it into the dataset; plain requests verify nothing and
write one file each; img2dataset decodes, and writes what it writes. Each is timed around its download alone, after its
imports.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from statistics import median
from threading import local
from typing import Any

IMAGES, THREADS, TIMEOUT = 5000, 32, 3
SCENES = {"as it is": {}, "50 ms later": {"wait": 0.05}, "2 % errors, 1 % silent": {"faults": True}}


# --- the server -----------------------------------------------------------------------------------


def picture() -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.effect_noise((56, 56), 60).convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


def numbered(jpeg: bytes, number: int) -> bytes:
    """The same picture with a comment in it, so that its bytes are its own."""
    note = f"{number:08d}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + jpeg[2:]


class Server(asyncio.Protocol):
    """Enough HTTP/1.1 for many small answers over connections that stay open."""

    def __init__(self, jpeg: bytes, wait: float, faults: bool):
        self.jpeg, self.wait, self.faults = jpeg, wait, faults

    def connection_made(self, transport: Any) -> None:
        self.transport, self.read = transport, b""

    def data_received(self, data: bytes) -> None:
        self.read += data
        while b"\r\n\r\n" in self.read:
            request, _, self.read = self.read.partition(b"\r\n\r\n")
            number, close = int(request.split(b" ", 2)[1][1:-4]), b"connection: close" in request.lower()
            if self.wait:
                asyncio.get_running_loop().call_later(self.wait, self.answer, number, close)
            else:
                self.answer(number, close)

    def answer(self, number: int, close: bool) -> None:
        if self.faults and number % 100 == 50:
            return
        bad = self.faults and number % 50 == 7
        body = b"" if bad else numbered(self.jpeg, number)
        head = b"HTTP/1.1 404 Not Found" if bad else b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg"
        self.transport.write(b"%s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body))
        if close:
            self.transport.close()


def serve(port: Any, wait: float, faults: bool) -> None:
    async def run() -> None:
        jpeg = picture()
        made = await asyncio.get_running_loop().create_server(
            lambda: Server(jpeg, wait, faults), "127.0.0.1", 0, backlog=512
        )
        port.send(made.sockets[0].getsockname()[1])
        await made.serve_forever()

    asyncio.run(run())


# --- the contenders -------------------------------------------------------------------------------


def plain(urls: list[str], folder: Path) -> int:
    """requests, a session a thread, a file each."""
    import requests

    here = local()

    def fetch(place: tuple[int, str]) -> bool:
        if not hasattr(here, "session"):
            here.session = requests.Session()
        try:
            answer = here.session.get(place[1], timeout=TIMEOUT)
        except requests.RequestException:
            return False
        if answer.ok:
            (folder / f"{place[0]}.jpg").write_bytes(answer.content)
        return answer.ok

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(fetch, enumerate(urls)))


def sheetsync(urls: list[str], folder: Path) -> int:
    """What a pass does with new rows, from addresses to the dataset."""
    from sheetsync.dataset.mirror import Mirror
    from sheetsync.dataset.plan import SplitFractions
    from sheetsync.images.download import download
    from sheetsync.images.fetch.base import Limits
    from sheetsync.images.fetch.sources import fetcher_for
    from sheetsync.images.records import Download, FetchRecord
    from sheetsync.images.store import ImageStore
    from sheetsync.rows.cells import image_key
    from sheetsync.rows.records import Row

    limits = Limits(THREADS, THREADS, TIMEOUT, TIMEOUT, attempts=1, allow_private=True)
    tree = Mirror(folder / "dataset", ImageStore(folder / "objects"))
    rows = [Row(number, image_key(url), url, f"class{number % 10}") for number, url in enumerate(urls, 2)]
    results = download(map(Download, rows), tree.store, fetcher_for(folder, limits), limits)
    return sum(isinstance(each, FetchRecord) for each in tree.receive(rows, results, SplitFractions()))


def img2dataset(urls: list[str], folder: Path, processes: int = 1) -> int:
    """img2dataset with files out, images decoded and not resized."""
    from img2dataset import download

    (folder / "urls.txt").write_text("\n".join(urls))
    shape = {"output_format": "files", "resize_mode": "no", "number_sample_per_shard": IMAGES // processes}
    places = {"url_list": str(folder / "urls.txt"), "output_folder": str(folder / "out")}
    threads = {"thread_count": THREADS // processes, "processes_count": processes}
    download(**places, **shape, **threads, timeout=TIMEOUT, retries=0)
    return len(list((folder / "out").rglob("*.jpg")))


def img2dataset_2(urls: list[str], folder: Path) -> int:
    """The same in two processes."""
    return img2dataset(urls, folder, 2)


CONTENDERS: dict[str, Callable[[list[str], Path], int]] = {
    each.__name__: each for each in (sheetsync, plain, img2dataset, img2dataset_2)
}


# --- measuring ------------------------------------------------------------------------------------


def timed(name: str, port: int) -> None:
    """In a process of its own: download all, and print seconds and images."""
    urls = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(IMAGES)]
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder, "warm")
        warm.mkdir()
        if not name.startswith("img2dataset"):  # imports, out of the time
            CONTENDERS[name](urls[:1], warm)
        else:
            import img2dataset as _  # noqa: F401
        began = time.perf_counter()
        came = CONTENDERS[name](urls, Path(folder))
        print(json.dumps([time.perf_counter() - began, came]))


def rate(python: str, name: str, port: int) -> float:
    done = subprocess.run(
        [python, __file__, "--timed", name, "--port", str(port)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    seconds, came = json.loads(done.stdout.splitlines()[-1])
    print(f"    {name:14} {seconds:6.2f} s  {came} images  {came / seconds:6.0f} a second", flush=True)
    return came / seconds


def measure(pythons: dict[str, str], scene: str, rounds: int) -> None:
    mine, theirs = multiprocessing.Pipe()
    options = {"wait": 0.0, "faults": False} | SCENES[scene]
    server = multiprocessing.Process(target=serve, args=(theirs, *options.values()), daemon=True)
    server.start()
    port, found = mine.recv(), {name: [] for name in pythons}
    print(scene)
    for _ in range(rounds):
        for name, python in pythons.items():
            found[name].append(rate(python, name, port))
    server.terminate()
    ours = median(found["sheetsync"])
    for name, rates in found.items():
        pairs = [a / b for a, b in zip(found["sheetsync"], rates, strict=True)]
        ratio = f"sheetsync / {name}: {ours / median(rates):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
        print(
            f"  {name:14} median {median(rates):6.0f} images a second" + (f"   {ratio}" if name != "sheetsync" else "")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img2dataset", metavar="PYTHON", help="the Python of an environment that has img2dataset")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenes", nargs="*", choices=SCENES, default=list(SCENES))
    parser.add_argument("--timed", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.timed:
        timed(given.timed, given.port)
        return
    pythons = {"sheetsync": sys.executable, "plain": sys.executable}
    if given.img2dataset:
        pythons |= {"img2dataset": given.img2dataset, "img2dataset_2": given.img2dataset}
    for scene in given.scenes:
        measure(pythons, scene, given.rounds)


if __name__ == "__main__":
    main()
