"""Train one fixed network on a folder of images, and say what it thinks of every image.

Knows folders only: a tree `<split>/<label>/<image>` goes in, a run directory comes out. `python -m
training.train --help` shows how. The files, in reading order: recipe, data, shelf, pixels, network, model,
augment, feed, trainer, fit, checkpoint, crossval, workers, score, run, workspace, train, predict; then weights,
efficientnet, head, embed, provisional.
"""
