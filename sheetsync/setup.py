"""Make a project: a sheetsync.toml that explains itself, and a sheet if there is none."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from sheetsync.config import CONFIG, Settings
from sheetsync.errors import ConfigError, SheetError
from sheetsync.objects import write_text
from sheetsync.rows import Columns, layout
from sheetsync.sheets import open_sheet
from sheetsync.tables import Table

TEMPLATE = """\
# What sheetsync works on. Every key but `sheet` may be left out; what is commented out shows the default.

sheet = {sheet}
recipe = {recipe}        # the fixed model: roman-resnet50, demo-resnet50, or a recipe file of your own
dataset = "dataset"              # the ImageFolder that is kept equal to the sheet
# every_minutes = 5.0            # between passes of `sheetsync watch`
# slices = []                    # columns of your own to keep as tags, such as ["lighting"]

[columns]
# image = ["image", "image_url", "url"]   # the first one found counts
# label = "label"
# split = "split"                # train, val, test or skip; empty = assigned from the image
# status = "status"              # the columns that sheetsync fills; choose other names if yours are called so
# prediction = "prediction"
# confidence = "confidence"
# label_quality = "label_quality"
# review = "review"
# review_rank = "review_rank"
# used_split = "used_split"

[splits]                         # how images without a given split are shared out; the rest trains
# val = 0.2
# test = 0.0

[download]
# workers = 16                   # images at a time
# timeout = 20.0                 # seconds without a byte
# total_seconds = 60.0           # for one attempt at one image
# max_megabytes = 30.0
# max_megapixels = 100.0
# attempts = 3                   # for what may pass: timeouts, 429, 5xx
{private}allow_private = {allow}          # addresses inside your network; leave it off if strangers can edit the sheet

[google]                         # for a sheet at https://docs.google.com/spreadsheets/d/…
# credentials = "credentials.json"   # the key of your service account
# scores = "scores"              # the tab of the scores
# endpoint = ""                  # another server that speaks the protocol of Google Sheets, for tests
"""


def make_project(
    folder: Path, sheet: str, *, recipe: str = Settings.model_fields["recipe"].default, private: bool = False
) -> list[str]:
    """Write sheetsync.toml, and the sheet with a header if it is missing; gives lines that say what to do next.

    Raises `ConfigError` when there is a project already, and `SheetError` when the sheet is not usable.
    """
    config = folder / CONFIG
    if config.exists():
        raise ConfigError(f"{config} is there already: edit it, or remove it first")
    table, said = _sheet(folder, sheet)
    toml = TEMPLATE.format(
        sheet=_quoted(sheet), recipe=_quoted(recipe), private="" if private else "# ", allow=str(private).lower()
    )
    write_text(config, toml)
    try:
        layout(table, Columns())
    except SheetError as error:  # the file is there in which other names can be given
        raise SheetError(f"wrote {config}, but {error}") from error
    where = "" if folder == Path() else f" --project {shlex.quote(str(folder))}"
    return [said, f"wrote {config}", f"next: sheetsync plan{where}, then sheetsync sync{where}"]


def _sheet(folder: Path, sheet: str) -> tuple[Table, str]:
    """The rows of the sheet, made if it is missing, and words on them."""
    opened = open_sheet(sheet, folder)
    if "://" in sheet:
        table = opened.read().rows
        return table, f"{opened.name}: {len(table.rows)} rows"
    path = folder / sheet
    if not path.exists() and path.suffix == ".csv":
        if Path(sheet).exists():
            raise ConfigError(f"{sheet} is here and not in {folder}: give its path as seen from {folder}")
        write_text(path, "image,label,split\n")
        return opened.read().rows, f"wrote {path} with a header: add a row an image"
    table = opened.read().rows
    return table, f"{path}: {len(table.rows)} rows"


def _quoted(words: str) -> str:
    """A TOML basic string."""
    return json.dumps(words, ensure_ascii=False)  # the same, but for characters that no name holds
