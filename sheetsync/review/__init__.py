"""What the model says of each image, in which order to look, and which cells that fills."""
