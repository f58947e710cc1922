"""Tests of sheetsync/project."""
