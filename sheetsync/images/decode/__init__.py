"""Decode and check pictures within limits, and render what plain loaders misread."""
