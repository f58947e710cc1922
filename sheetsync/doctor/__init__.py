"""Diagnosis: what is wrong, and what to do."""
