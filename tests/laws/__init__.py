"""The laws that every sheet keeps, under kills, storms of edits, and hostile input."""
