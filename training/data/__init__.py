"""From a folder of images to arrays on disk to batches."""
