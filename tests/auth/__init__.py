"""Tests of sheetsync/auth."""
