"""Download throughput from a local server, beside plain concurrent requests and img2dataset, in one run.

    python benchmarks/download_speed.py                                   # sheetsync and plain requests
    python benchmarks/download_speed.py --img2dataset VENV/bin/python     # an environment with img2dataset in it

5,000 different JPEGs of about 2 kB, from one process on this machine; all contenders use 32 connections, a timeout of
3 s and one attempt. sheetsync checks and decodes every image, computes its digest and its perceptual hash, stores it by
content, synced to disk, and links it into the dataset; plain requests verify nothing and write one file each;
img2dataset decodes each image and writes it with its metadata. Only the download is timed, after imports.
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
    """Return the JPEG with a number in a comment, so that its bytes differ from all others."""
    note = f"{number:08d}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + jpeg[2:]


class Server(asyncio.Protocol):
    """An HTTP/1.1 server for many small responses over keep-alive connections."""

    def __init__(self, jpeg: bytes, wait: float, faults: bool):
        self.jpeg, self.wait, self.faults = jpeg, wait, faults

    def connection_made(self, transport: Any) -> None:
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            request, _, self.received = self.received.partition(b"\r\n\r\n")
            number, close = int(request.split(b" ", 2)[1][1:-4]), b"connection: close" in request.lower()
            if self.wait:
                asyncio.get_running_loop().call_later(self.wait, self.respond, number, close)
            else:
                self.respond(number, close)

    def respond(self, number: int, close: bool) -> None:
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
        server = await asyncio.get_running_loop().create_server(
            lambda: Server(jpeg, wait, faults), "127.0.0.1", 0, backlog=512
        )
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


# --- the contenders -------------------------------------------------------------------------------


def plain(urls: list[str], folder: Path) -> int:
    """Download with requests: a session for each thread, a file for each image."""
    import requests

    thread = local()

    def fetch(number: int, url: str) -> bool:
        if not hasattr(thread, "session"):
            thread.session = requests.Session()
        try:
            response = thread.session.get(url, timeout=TIMEOUT)
        except requests.RequestException:
            return False
        if response.ok:
            (folder / f"{number}.jpg").write_bytes(response.content)
        return response.ok

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(fetch, range(len(urls)), urls))


def sheetsync(urls: list[str], folder: Path) -> int:
    """Download as a pass does for new rows, from URLs to the dataset."""
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
    mirror = Mirror(folder / "dataset", ImageStore(folder / "objects"))
    rows = [Row(number, image_key(url), url, f"class{number % 10}") for number, url in enumerate(urls, 2)]
    results = download(map(Download, rows), mirror.store, fetcher_for(folder, limits), limits)
    return sum(isinstance(each, FetchRecord) for each in mirror.receive(rows, results, SplitFractions()))


def img2dataset(urls: list[str], folder: Path, processes: int = 1) -> int:
    """Download with img2dataset into files, images decoded and not resized."""
    from img2dataset import download

    (folder / "urls.txt").write_text("\n".join(urls))
    shape = {"output_format": "files", "resize_mode": "no", "number_sample_per_shard": IMAGES // processes}
    paths = {"url_list": str(folder / "urls.txt"), "output_folder": str(folder / "out")}
    threads = {"thread_count": THREADS // processes, "processes_count": processes}
    download(**paths, **shape, **threads, timeout=TIMEOUT, retries=0)
    return len(list((folder / "out").rglob("*.jpg")))


def img2dataset_2(urls: list[str], folder: Path) -> int:
    """Download with img2dataset in two processes."""
    return img2dataset(urls, folder, 2)


CONTENDERS: dict[str, Callable[[list[str], Path], int]] = {
    each.__name__: each for each in (sheetsync, plain, img2dataset, img2dataset_2)
}


# --- measuring ------------------------------------------------------------------------------------


def timed(name: str, port: int) -> None:
    """Download all images in this process, and print seconds and the number of images."""
    urls = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(IMAGES)]
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder, "warm")
        warm.mkdir()
        if not name.startswith("img2dataset"):  # so that imports are not timed
            CONTENDERS[name](urls[:1], warm)
        else:
            import img2dataset as _  # noqa: F401
        start = time.perf_counter()
        images = CONTENDERS[name](urls, Path(folder))
        print(json.dumps([time.perf_counter() - start, images]))


def rate(python: str, name: str, port: int) -> float:
    done = subprocess.run(
        [python, __file__, "--timed", name, "--port", str(port)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    seconds, images = json.loads(done.stdout.splitlines()[-1])
    print(f"    {name:14} {seconds:6.2f} s  {images} images  {images / seconds:6.0f} a second", flush=True)
    return images / seconds


def measure(pythons: dict[str, str], scene: str, rounds: int) -> None:
    parent_end, child_end = multiprocessing.Pipe()
    options = {"wait": 0.0, "faults": False} | SCENES[scene]
    server = multiprocessing.Process(target=serve, args=(child_end, *options.values()), daemon=True)
    server.start()
    port, rates = parent_end.recv(), {name: [] for name in pythons}
    print(scene)
    for _ in range(rounds):
        for name, python in pythons.items():
            rates[name].append(rate(python, name, port))
    server.terminate()
    ours = median(rates["sheetsync"])
    for name, theirs in rates.items():
        pairs = [a / b for a, b in zip(rates["sheetsync"], theirs, strict=True)]
        ratio = f"sheetsync / {name}: {ours / median(theirs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
        print(
            f"  {name:14} median {median(theirs):6.0f} images a second" + (f"   {ratio}" if name != "sheetsync" else "")
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
