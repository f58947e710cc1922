"""Tests of sheetsync/dataset."""
