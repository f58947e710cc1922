"""Tests of sheetsync/versions."""
