"""Tests of sheetsync/sync."""
