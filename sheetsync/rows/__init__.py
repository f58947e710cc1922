"""Parse what people wrote: from a table of cells to usable rows, and issues with the others. Pure."""
