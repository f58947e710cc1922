"""The fixed networks."""
