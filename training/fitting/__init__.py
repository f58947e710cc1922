"""The training loop, its checkpoints, cross-validation, and metrics."""
