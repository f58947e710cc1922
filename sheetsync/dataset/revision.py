"""Revision: the digest of what a model would see, and its text form."""

from __future__ import annotations

import hashlib
from collections import Counter

from sheetsync.common.memo import cache_last
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.rows.schema import SPLITS, UNLABELLED


@cache_last
def revision_text(manifest: Manifest) -> str:
    """Write what a model would see as sorted lines, one per image: key, image digest, split and label between tabs."""
    seen = (entry for entry in manifest if entry.split != UNLABELLED)
    return "".join(sorted(f"{entry.key}\t{entry.digest}\t{entry.split}\t{entry.label}\n" for entry in seen))


@cache_last
def revision(manifest: Manifest) -> str:
    """Return the digest of what a model would see: 16 hex characters of the SHA-256 of `revision_text`.

    Images without a label are not part of it: no model learns from them.
    """
    return hashlib.sha256(revision_text(manifest).encode()).hexdigest()[:16]


def parse_revision(text: str) -> Manifest:
    """Parse a `revision_text` into the manifest it was written from, but for file suffixes, which it lacks."""
    lines = (line.split("\t") for line in text.split("\n") if line)
    return Manifest(tuple(Entry(key, digest, split, label, "") for key, digest, split, label in lines))


def split_sizes(manifest: Manifest) -> dict[str, int]:
    """Count the images of each split; 0 for a split without any."""
    counts = Counter(entry.split for entry in manifest)
    return {split: counts[split] for split in (*SPLITS, UNLABELLED)}
