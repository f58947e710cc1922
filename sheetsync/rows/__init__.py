"""What people wrote: from a table to usable rows, and what is wrong with the others. Pure."""
