"""List and run the programs of this package: `python -m training PROGRAM …` is `python -m training.PROGRAM …`."""

from __future__ import annotations

import runpy
import sys

PROGRAMS = {
    "train": "train a recipe on a folder of images (also: sheetsync-train)",
    "predict": "predict images with the model of a run",
    "provisional": "predict every image at once, before a training, with a classifier on frozen features",
    "recipe": "print a recipe as JSON",
    "weights": "say which pretrained weights a recipe starts from, and whether they are there",
    "device": "say what a training would run on",
}
HELP = "usage: python -m training PROGRAM ...\n\n{}\n\n`python -m training train --help` says more of a program.\n"


def main(arguments: list[str]) -> int:
    """Run the program that the first argument names and return its exit code; without one, list the programs."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(HELP.format("\n".join(f"  {name:<12} {words}" for name, words in PROGRAMS.items())))
        return 0
    name, *options = arguments
    if name not in PROGRAMS:
        sys.stderr.write(f"there is no program {name!r}; there are {', '.join(PROGRAMS)}\n")
        return 2
    module = f"training.{name}"
    sys.argv = [module, *options]
    runpy.run_module(module, run_name="__main__", alter_sys=True)  # ends this process with the program's exit code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
