"""Formatting of a Google Sheet for people: drop-down, colours, notes, filter views."""
