"""Tests of sheetsync/rows."""
