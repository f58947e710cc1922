"""The errors that training raises on purpose.

    TrainingError      the user can mend it: one sentence, no traceback
    ├── RecipeError    no such recipe, or a recipe file that holds something it must not
    └── DataError      the folder cannot be trained on: an image, a class or a split is the matter

Anything else that is raised is a bug and keeps its traceback.
"""


class TrainingError(Exception):
    """Something the user can mend."""


class RecipeError(TrainingError):
    """There is no such recipe, or it is not whole."""


class DataError(TrainingError):
    """The dataset folder cannot be trained on as it is."""
