"""A sheet in a CSV file."""
