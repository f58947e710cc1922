"""Run a Python program in a process with a memory limit, and measure its peak memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A small process in between: the kernel's peak memory of a program includes that of the process it was forked from.
LIMITER = """
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_STACK, (2 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))  # of a thread
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its buffers for each thread would count
done = subprocess.run([sys.executable, *sys.argv[3:]], timeout=float(sys.argv[2]))
print()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(done.returncode)
"""


def run_limited(args: Sequence[str], megabytes: int, seconds: float = 240, given: str = "") -> tuple[str, float]:
    """Run Python with these arguments and `given` as input; return its output, and its peak memory in MB.

    It cannot allocate more than `megabytes`. Fails where it ends with an error, or not in `seconds`.
    """
    command = [sys.executable, "-c", LIMITER, str(megabytes * 1_000_000), str(seconds), *args]
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    output, _, peak = done.stdout.removesuffix("\n").rpartition("\n")
    return output.removesuffix("\n"), int(peak) / 1e6
