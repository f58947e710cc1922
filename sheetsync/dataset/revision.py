"""Revision: the digest of what a model would see, and its text form."""

from __future__ import annotations

import hashlib
from collections import Counter

from sheetsync.common.memo import cache_last
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.rows.schema import SPLITS, UNLABELLED


@cache_last
def revision_text(manifest: Manifest) -> str:
    """What a model would see, a line an image, sorted: key, image digest, split and label between tabs."""
    seen = (entry for entry in manifest if entry.split != UNLABELLED)
    return "".join(sorted(f"{entry.key}\t{entry.digest}\t{entry.split}\t{entry.label}\n" for entry in seen))


@cache_last
def revision(manifest: Manifest) -> str:
    """The name of what a model would see: 16 hex characters of the SHA-256 of `revision_text`.

    Images without a label are not part of it: no model learns from them.
    """
    return hashlib.sha256(revision_text(manifest).encode()).hexdigest()[:16]


def parse_revision(text: str) -> Manifest:
    """The inverse of `revision_text`, but for file suffixes, which it does not tell."""
    lines = (line.split("\t") for line in text.split("\n") if line)
    return Manifest(tuple(Entry(key, digest, split, label, "") for key, digest, split, label in lines))


def split_sizes(manifest: Manifest) -> dict[str, int]:
    """Images a split, every split named."""
    counts = Counter(entry.split for entry in manifest)
    return {split: counts[split] for split in (*SPLITS, UNLABELLED)}
