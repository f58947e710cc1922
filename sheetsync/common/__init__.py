"""What knows nothing of sheets or images: text, atomic files, progress."""
