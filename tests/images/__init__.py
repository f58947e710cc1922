"""Tests of sheetsync/images."""
