"""What each version of the sheet held, and how it scored."""
