"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path,
    typer.Option(
        "--project", "-p", metavar="DIR", file_okay=False, help="The folder with sheetsync.toml.", show_default="here"
    ),
]
Shrink = Annotated[
    bool, typer.Option("--allow-shrink", help="Continue although over half of the images would leave the dataset.")
]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")]
Keep = Annotated[
    int, typer.Option(metavar="N", min=0, help="Keep the images of the last N versions of each recipe; 0 = of all.")
]
Every = Annotated[
    float | None,
    typer.Option(help="Minutes between passes; every_minutes of sheetsync.toml if not given.", min=0.01, max=10_080),
]
Retry = Annotated[bool, typer.Option("--retry", help="Ask at once for images that failed before.")]
