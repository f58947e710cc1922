"""Embeddings of a frozen network, and the quick answer's classifier on them."""
