"""Tests of sheetsync/doctor."""
