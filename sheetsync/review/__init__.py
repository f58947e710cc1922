"""The review: a verdict on each image, the order in which to look, and the cells that are to be written."""
