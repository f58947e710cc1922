"""Tests of sheetsync/cli."""
