"""Tests of sheetsync/review."""
