"""The training package, reached through processes and run directories."""
