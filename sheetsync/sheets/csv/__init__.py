"""CSV files as sheets."""
