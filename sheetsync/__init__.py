"""sheetsync: an image dataset kept in a spreadsheet."""

__version__ = "0.1.0"
