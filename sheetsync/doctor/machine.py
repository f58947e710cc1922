"""Checks of this machine: GPU, disk, hard links, lock, proxy. Each returns a `Finding` and changes nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any

from filelock import FileLock, Timeout

from sheetsync.common.atomic import TEMPORARY
from sheetsync.common.finding import Finding, FindingState, note, ok, problem
from sheetsync.common.state_folder import StateFolder

LITTLE = 10**9  # bytes of disk: with less, a pass may fail
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def device(found: Mapping[str, Any]) -> Finding:
    """Check what training runs on; `found` is the output of `training/device.py`."""
    torch, gpu = f"PyTorch {found['torch']}", found["gpu"]
    if gpu is None:
        why = f" ({found['said']})" if found["said"] else ""
        return note(f"{torch}, no GPU that it can use{why}: training runs on {found['cores']} cores")
    if "error" in gpu:
        return problem(f"{torch} cannot use the GPU: {gpu['error']}", "see with `nvidia-smi` who or what is in the way")
    return ok(f"{torch} on {gpu['name']}, {_size(gpu['free'])} of {_size(gpu['total'])} free")


def folder(root: Path, *places: Path) -> Finding:
    """Check that the project and `places` in it, which may not exist yet, can be written. Raises `OSError`."""
    if not root.is_dir():
        return problem(f"there is no folder {root}", "name the folder with sheetsync.toml: --project DIR")
    for place in sorted({root, *map(_nearest, places)}):
        try_to_write(place)
    return ok(f"{root} can be written")


def try_to_write(place: Path) -> None:
    """Write to a nameless file in a folder, which not even `kill -9` leaves there. Raises `OSError`."""
    try:
        with tempfile.TemporaryFile(prefix=TEMPORARY, dir=place) as file:
            file.write(b"sheetsync")
    except OSError as error:
        raise OSError(error.errno, f"cannot be written ({error.strerror})", str(place)) from error


def space(state: StateFolder, dataset: Path, free: Callable[[Path], int]) -> Finding:
    """Check the free space where images and runs are kept, and in the dataset."""
    left, taken = min(map(free, {_nearest(state.objects), _nearest(dataset)})), _taken(state.root)
    said = f"{_size(left)} free; images and runs take {_size(taken)} so far"
    if left >= max(LITTLE, taken):
        return ok(said)
    weight: FindingState = "problem" if left < LITTLE else "note"  # a large project may grow slowly
    return Finding("", weight, f"little room: {said}", "free some, or move the project to a larger disk")


def links(store: Path, dataset: Path, link: Callable[[Path, Path], None]) -> Finding:
    """Check that the dataset can be hard links to the images in `store`."""
    here, there = _nearest(store), _nearest(dataset)
    copy = there / f"{TEMPORARY}{token_hex(8)}"  # a name that a later pass removes, if this is killed here
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=here) as file:
        try:
            link(Path(file.name), copy)
        except OSError:
            return note(f"no hard links from {here} to {there}: every image takes its space twice")
        finally:
            copy.unlink(missing_ok=True)
    return ok("the dataset can be hard links, so that every image takes its space once")


def lock(state: StateFolder) -> Finding:
    """Check if another sheetsync is at work. A pass that starts during this check may be told to wait."""
    try:
        if state.lock.exists():
            with FileLock(state.lock, timeout=0):
                pass
    except Timeout:
        return note("another sheetsync is at work here just now: some of this may change meanwhile")
    return ok("no other sheetsync is at work here")


def proxy(environ: Mapping[str, str]) -> Finding:
    """Name the variables that set a proxy, never their values: these can hold a password."""
    names = sorted(name for name, value in environ.items() if name.casefold() in PROXIES and value)
    if not names:
        return ok("none is set")
    said = (
        f"images are fetched through the proxy in {', '.join(names)}; private names that only it knows are not refused"
    )
    return note(said, "let that proxy refuse them, or let nobody edit the sheet who must not see what it can reach")


def _nearest(path: Path) -> Path:
    """Return this folder, or the existing one above it."""
    return path if path.exists() or path == path.parent else _nearest(path.parent)


def _taken(place: Path) -> int:
    """Sum the bytes of all files below a folder."""
    files = (Path(where, name) for where, _, names in os.walk(place) for name in names)
    return sum(file.lstat().st_size for file in files)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
