"""Text of others in messages: shortened, quoted, listed."""

from __future__ import annotations

from collections.abc import Collection

MAX_LISTED = 5


def quote_inline(text: str) -> str:
    """Quote somebody else's text within a sentence, shortened to 80 characters."""
    return f"“{shorten(text, 80)}”"


def shorten(text: str, max_chars: int) -> str:
    """Cut somebody else's text to a length and replace its invisible characters."""
    clean = "".join(char if char.isprintable() else "�" for char in text)
    return f"{clean[:max_chars]}…" if len(clean) > max_chars else clean


def join_names(names: Collection[str], separator: str) -> str:
    """Join names in order; of many, the first `MAX_LISTED` and how many more there are.

    >>> join_names("edcba", ", "), join_names("gfedcba", ", ")
    ('a, b, c, d, e', 'a, b, c, d, e and 2 more')
    """
    first, more = sorted(names)[:MAX_LISTED], len(names) - MAX_LISTED
    return separator.join(first) + (f" and {more} more" if more > 0 else "")
