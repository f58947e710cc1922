"""Program that downloads the URLs on its input, and prints the result of each.

download_program.py FOLDER WORKERS < list of URLs, JSON > {url: reason | [digest, suffix, original_suffix, phash], …}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sheetsync.images.download import download
from sheetsync.images.fetch.base import Limits
from sheetsync.images.fetch.sources import fetcher_for
from sheetsync.images.records import Download, FetchRecord
from sheetsync.images.store import ImageStore
from sheetsync.rows.cells import image_key
from sheetsync.rows.records import Row


def main(folder: Path, workers: int) -> None:
    limits = Limits(workers=workers, per_host=workers, allow_private=True, attempts=1)
    wanted = [Download(Row(number, image_key(url), url)) for number, url in enumerate(json.load(sys.stdin), start=2)]
    names = {each.row.key: each.row.url for each in wanted}
    results: dict[str, object] = {}
    for each in download(wanted, ImageStore(folder / "objects"), fetcher_for(folder, limits), limits):
        result = (
            [each.digest, each.suffix, each.original_suffix, each.phash]
            if isinstance(each, FetchRecord)
            else each.reason
        )
        results[names[each.key]] = result
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
