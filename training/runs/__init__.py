"""The run directory, while it is made and when it is whole."""
