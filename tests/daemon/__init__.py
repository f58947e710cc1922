"""Tests of sheetsync/daemon."""
