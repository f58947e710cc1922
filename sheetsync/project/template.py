"""The sheetsync.toml that `init` writes."""

from __future__ import annotations

TEMPLATE = """\
# What sheetsync works on. Every key but `sheet` may be left out; what is commented out shows the default.

sheet = {sheet}
recipe = {recipe}        # the fixed model: roman-resnet50, resnet50 for photographs, demo-resnet50, or a recipe file
dataset = "dataset"              # the ImageFolder that is kept equal to the sheet
# every_minutes = 5.0            # between passes of `sheetsync watch`
# slices = []                    # columns of your own to keep as tags, such as ["lighting"]

[columns]
# image = ["image", "image_url", "url"]   # the first one found counts
# label = "label"
# split = "split"                # train, val, test or skip; empty = assigned from the image
# status = "status"              # the columns that sheetsync fills; choose other names if yours are called so
# prediction = "prediction"
# confidence = "confidence"
# label_quality = "label_quality"
# review = "review"
# review_rank = "review_rank"
# used_split = "used_split"

[splits]                         # shares of the images without a split, 0 to 1; the rest is for training
# val = 0.2
# test = 0.0

[training]
# provisional = true             # quick predictions first, marked in `status`, until the model is trained
# when_edited = "finish"         # the training although somebody edited; or "restart" the pass
# seeds = 1                      # how often each version is trained; scores show mean and spread
# weights = ""                   # pretrained weights, for a machine without a network: their file, or its folder

[download]
# workers = 32                   # images at a time
# per_host = 16                  # of them from one host
# timeout = 20.0                 # seconds without a byte
# total_seconds = 60.0           # for one attempt at one image
# max_megabytes = 30.0
# max_megapixels = 100.0
# attempts = 3                   # for temporary failures: timeouts, 429, 5xx
# refresh = "never"              # or "monthly", "weekly", "daily", "hourly", "always": ask whether images changed
{private}allow_private = {allow}          # addresses inside your network; leave it off if strangers can edit the sheet
# folder = ""                    # the folder that image paths are relative to; default: beside the CSV
# buckets = []                   # buckets that may be read, such as ["s3://my-images", "gs://team/pictures"]

[google]                         # for a sheet at https://docs.google.com/spreadsheets/d/…
# credentials = "credentials.json"   # the key of your service account, or what `sheetsync login` takes
# scores = "scores"              # the tab of the scores
# endpoint = ""                  # for tests: a server on this machine that answers like Google Sheets
"""
