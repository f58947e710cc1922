"""Text for messages: cut to a length, quoted, listed."""

from __future__ import annotations

from collections.abc import Collection

MOST_LISTED = 5


def quote_inline(given: str) -> str:
    """A text of somebody else's as a sentence can quote it."""
    return f"“{shorten(given, 80)}”"


def shorten(given: str, most: int) -> str:
    """A text of somebody else's, short, and nothing unseen in it."""
    clean = "".join(char if char.isprintable() else "�" for char in given)
    return f"{clean[:most]}…" if len(clean) > most else clean


def join_names(names: Collection[str], between: str) -> str:
    """Names in order, as many as a sentence can bear.

    >>> join_names("edcba", ", "), join_names("gfedcba", ", ")
    ('a, b, c, d, e', 'a, b, c, d, e and 2 more')
    """
    first, more = sorted(names)[:MOST_LISTED], len(names) - MOST_LISTED
    return between.join(first) + (f" and {more} more" if more > 0 else "")
