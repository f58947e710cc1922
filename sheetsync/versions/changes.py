"""Changes between two versions (a diff), counted image by image."""

from __future__ import annotations

from sheetsync.dataset.records import Manifest
from sheetsync.versions.records import Changes


def count_changes(before: Manifest, after: Manifest) -> Changes:
    """Count the images that differ between two revisions, by key."""
    old, new = ({entry.key: entry for entry in manifest} for manifest in (before, after))
    both = [(old[key], new[key]) for key in old.keys() & new.keys()]
    return Changes(
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
        relabelled=sum(a.label != b.label for a, b in both),
        moved=sum(a.label == b.label and a.split != b.split for a, b in both),
        replaced=sum(a.digest != b.digest for a, b in both),
    )
