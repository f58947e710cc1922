"""Programs under a limit of memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A process between, for what a kernel tells of a program's memory counts what it was forked from, and this is small.
BETWEEN = """
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_STACK, (2 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))  # of a thread
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its buffers count, and nobody asks for them
done = subprocess.run([sys.executable, *sys.argv[3:]], timeout=float(sys.argv[2]))
print()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(done.returncode)
"""


def run_limited(args: Sequence[str], megabytes: int, seconds: float = 240, given: str = "") -> tuple[str, float]:
    """Run Python with these arguments and input; gives what it printed, and the most memory that it held, in MB.

    It cannot get more for its data than `megabytes`. Fails where it ends with an error, or not in time.
    """
    command = [sys.executable, "-c", BETWEEN, str(megabytes * 1_000_000), str(seconds), *args]
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    said, _, peak = done.stdout.removesuffix("\n").rpartition("\n")
    return said.removesuffix("\n"), int(peak) / 1e6
