"""Tests of sheetsync/sheets."""
