"""The errors that training raises on purpose.

    TrainingError      the user can mend it: one sentence, no traceback
    ├── RecipeError    an unknown recipe, or a recipe file with a wrong, missing or unknown field
    └── DataError      the dataset folder cannot be trained on: an image, a class or a split is at fault

Any other error is a bug and keeps its traceback.
"""


class TrainingError(Exception):
    """An error that the user can mend."""


class RecipeError(TrainingError):
    """An unknown recipe, or one with a wrong, missing or unknown field."""


class DataError(TrainingError):
    """The dataset folder cannot be trained on as it is."""
