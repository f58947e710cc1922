"""Tests of sheetsync/trainer."""
