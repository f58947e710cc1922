"""Programs under a limit of memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence

LIMITING = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_STACK, (2 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))  # of a thread
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def run_limited(args: Sequence[str], megabytes: int, seconds: float = 240) -> tuple[str, float]:
    """Run Python with these arguments; gives what it printed, and the most memory that it held, in MB.

    It cannot get more for its data than `megabytes`. Fails where it ends with an error, or not in time.
    """
    command = [sys.executable, "-c", LIMITING, str(megabytes * 1_000_000), *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        late = threading.Timer(seconds, process.kill)
        late.start()
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        late.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    return said, usage.ru_maxrss * unit / 1e6
