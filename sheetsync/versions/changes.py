"""Changes between two versions, image by image."""

from __future__ import annotations

from sheetsync.dataset.records import Manifest
from sheetsync.versions.records import Changes


def changes(before: Manifest, after: Manifest) -> Changes:
    """Compare two revisions, image by image."""
    old, new = ({entry.key: entry for entry in manifest} for manifest in (before, after))
    both = [(old[key], new[key]) for key in old.keys() & new.keys()]
    return Changes(
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
        relabelled=sum(a.label != b.label for a, b in both),
        moved=sum(a.label == b.label and a.split != b.split for a, b in both),
        replaced=sum(a.digest != b.digest for a, b in both),
    )
