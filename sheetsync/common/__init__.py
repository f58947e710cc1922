"""Helpers that know nothing of sheets or images: text, atomic files, progress."""
