"""Train a fixed network on a folder of images, and predict every image in it, out of sample.

Knows folders only: a tree `<split>/<label>/<image>` goes in, a run directory comes out. `python -m training.train
--help` describes both. The folders, in reading order:

    recipe.py    every training choice, frozen
    data/        a folder of images -> arrays on disk -> batches
    networks/    the fixed networks
    weights.py   pretrained weights: found, verified, downloaded
    parallel/    jobs in worker processes
    fitting/     the training loop, checkpoints, cross-validation, metrics
    embedding/   vectors from a frozen network, and a linear classifier on them
    runs/        the run directory: while it is made, and when it is complete
    train.py, predict.py, provisional.py    the programs
"""
