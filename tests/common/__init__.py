"""Tests of sheetsync/common."""
