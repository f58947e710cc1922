"""From a folder of images to decoded arrays on disk, and to batches of tensors."""
