"""Check out an earlier version of the dataset: rebuild its folder from the store, without a download."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from sheetsync.common.atomic import TEMPORARY
from sheetsync.dataset.records import Manifest
from sheetsync.errors import MirrorError, NotFound
from sheetsync.images.store import ImageStore, link
from sheetsync.rows.folder_names import disambiguate

NAMED = 3  # missing images that an error names


def check_out(manifest: Manifest, store: ImageStore, target: Path) -> None:
    """Build the ImageFolder of a manifest at `target`, whole or not at all, by hard links into the store.

    `manifest` is that of a revision, without file suffixes. Where the file system has no hard links, files are copied.
    Raises `NotFound` where the store lacks images, and `MirrorError` where `target` is there already and not empty.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise MirrorError(f"{target} is there already, and not an empty folder: choose another, or remove it first")
    found = store.find_intact(entry.digest for entry in manifest)
    _check_complete(manifest, found, store.root)
    folders = disambiguate({entry.label for entry in manifest})
    with _built_whole(target) as temporary:
        for entry in manifest:
            source = found[entry.digest]
            shown = entry._replace(suffix=source.suffix, folder=folders.get(entry.label, ""))
            _link(source, temporary / shown.path)


def _check_complete(manifest: Manifest, found: Container[str], store: Path) -> None:
    missing = [entry for entry in manifest if entry.digest not in found]
    if missing:
        named = ", ".join(f"{entry.digest} (label {entry.label}, {entry.split})" for entry in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise NotFound(
            f"{len(missing)} of its {len(manifest)} images are missing or broken in {store}: {named}{more}. "
            "`sheetsync gc --keep` or a crash may be the cause; a sync of rows that hold them fetches them again"
        )


@contextmanager
def _built_whole(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target`, which replaces it when the block ends well, else is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{target.name}-", dir=target.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp makes it for its owner alone
        yield temporary
        temporary.replace(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        link(source, target)
    except OSError as error:
        if source.exists():
            raise
        raise NotFound(f"{source} was removed meanwhile: was `sheetsync gc` at work?") from error
