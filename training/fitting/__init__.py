"""The training loop, checkpoints, cross-validation, metrics."""
