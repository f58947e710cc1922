"""The run directory: while it is made (workspace), and when it is complete (directory)."""
