"""From an address to a checked picture in the content-addressed store."""
