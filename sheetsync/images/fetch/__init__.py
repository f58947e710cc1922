"""Fetch bytes: HTTP, Google Drive, buckets, local files, data URLs."""
