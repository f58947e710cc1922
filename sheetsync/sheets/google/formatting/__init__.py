"""Formatting of a Google Sheet: notes, colours, filter views, a drop-down of labels."""
