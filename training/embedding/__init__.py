"""Embeddings from a frozen network, and the linear classifier on them that makes provisional predictions."""
