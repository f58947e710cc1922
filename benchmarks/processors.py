"""Do tests that train or embed pass on other processors? `python benchmarks/processors.py`, some minutes a setting.

Runs them under each of SETTINGS, which makes the libraries below compute as they do on another processor, and prints
a line a setting: the last one that pytest printed, and below it the tests that failed. Ends with 1 if any did.

    python benchmarks/processors.py --only ISA --only BF16            settings whose name contains one of these words
    python benchmarks/processors.py tests/test_head.py -k digits      other files, and what pytest takes besides

A setting can only take away what this processor has. AMX, which some of Intel's have, is used where it is there and
PyTorch computes in bf16; nothing makes another processor have it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SETTINGS = (
    "",  # as it is
    "ATEN_CPU_CAPABILITY=default",  # PyTorch's own loops, without vectors
    "ATEN_CPU_CAPABILITY=avx2",
    "ONEDNN_MAX_CPU_ISA=SSE41",  # convolutions, and what is computed in bf16
    "ONEDNN_MAX_CPU_ISA=AVX2",
    "ONEDNN_MAX_CPU_ISA=AVX512_CORE",  # no bf16 in hardware
    "MKL_CBWR=COMPATIBLE",  # products of matrices in PyTorch
    "OPENBLAS_CORETYPE=Prescott",  # and in NumPy
    "OPENBLAS_CORETYPE=Haswell",
    "OMP_NUM_THREADS=1",
    "OMP_NUM_THREADS=2",
    "PRETEND_BF16=0",  # the four below are read by what PRETEND says
    "PRETEND_BF16=1",
    "PRETEND_CORES=1",
    "PRETEND_CORES=16",
    "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell PRETEND_BF16=0",  # a laptop of 2015
)
# Python runs it as every process starts, also those that a test starts.
PRETEND = """
import os, sys

class Bf16:
    def find_spec(self, name, path=None, target=None):
        if name == "training.fitting.trainer":
            import torch.cpu
            torch.cpu.get_capabilities = lambda: {"avx512_bf16": os.environ["PRETEND_BF16"] == "1"}

if "PRETEND_BF16" in os.environ:
    sys.meta_path.insert(0, Bf16())
if cores := int(os.environ.get("PRETEND_CORES", 0)):
    os.cpu_count = lambda: cores
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
"""
# A file trains when it imports from `training`, names a module of it, or runs `sheetsync` on a recipe or on the demo.
TRAINS = re.compile(r"^(from|import) training\b|\btraining\.[a-z_]+ ?[(\"']|(?<!def )\btiny_recipe\b|\"demo\"", re.M)


def files() -> list[str]:
    """The test files that train or embed, by themselves or through a module beside them that they import."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))}
    found = {path for path, text in texts.items() if TRAINS.search(text)}
    while True:
        names = "|".join(path.stem for path in found)
        imports = re.compile(rf"^(from|import) ([\w.]*\.)?({names})\b", re.M)
        more = {path for path, text in texts.items() if imports.search(text)} - found
        if not more:
            return [str(path.relative_to(ROOT)) for path in sorted(found) if path.name.startswith("test_")]
        found |= more


def run(setting: str, arguments: list[str], startup: str) -> bool:
    """Run pytest under a setting and print what came of it; true when all passed."""
    paths = os.pathsep.join(filter(None, [startup, os.environ.get("PYTHONPATH")]))
    world = os.environ | dict(word.split("=") for word in setting.split()) | {"PYTHONPATH": paths}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=world, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines() or done.stderr.splitlines() or ["pytest said nothing"]
    failed = [f"    {line}" for line in lines if line.startswith(("FAILED", "ERROR"))]
    ended = f" (ended by signal {-done.returncode})" if done.returncode < 0 else ""
    print(f"{setting or 'as it is'}: {lines[-1]}{ended}", *failed, sep="\n", flush=True)
    return not done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="WORD")
    chosen, arguments = parser.parse_known_args()
    if not any(argument.endswith(".py") for argument in arguments):
        arguments += files()
    with tempfile.TemporaryDirectory() as startup:
        Path(startup, "sitecustomize.py").write_text(PRETEND)
        settings = [each for each in SETTINGS if any(word in (each or "as it is") for word in chosen.only or [""])]
        passed = [run(setting, arguments, startup) for setting in settings]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
