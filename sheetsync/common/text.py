"""Text for messages: cut to a length, quoted, listed."""

from __future__ import annotations

from collections.abc import Collection

MAX_LISTED = 5


def quote_inline(text: str) -> str:
    """A text of somebody else's as a sentence can quote it."""
    return f"“{shorten(text, 80)}”"


def shorten(text: str, max_chars: int) -> str:
    """A text of somebody else's, short, and nothing unseen in it."""
    clean = "".join(char if char.isprintable() else "�" for char in text)
    return f"{clean[:max_chars]}…" if len(clean) > max_chars else clean


def join_names(names: Collection[str], separator: str) -> str:
    """Names in order, as many as a sentence can bear.

    >>> join_names("edcba", ", "), join_names("gfedcba", ", ")
    ('a, b, c, d, e', 'a, b, c, d, e and 2 more')
    """
    first, more = sorted(names)[:MAX_LISTED], len(names) - MAX_LISTED
    return separator.join(first) + (f" and {more} more" if more > 0 else "")
