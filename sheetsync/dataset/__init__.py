"""The ImageFolder that is kept equal to the rows: plan, then apply."""
