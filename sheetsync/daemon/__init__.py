"""Passes on a schedule."""
