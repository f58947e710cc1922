"""The recipe: frozen choices with a digest."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, fields, replace

import pytest

from training.errors import RecipeError
from training.recipe import RECIPES, Recipe, load_recipe

ROMAN = RECIPES["roman-resnet50"]


def changed(recipe, field):
    value = getattr(recipe, field)
    other = {
        bool: lambda: not value,
        int: lambda: value + 1,
        float: lambda: value / 2 + 0.001,
        str: lambda: value + "!",
    }
    copy = replace(recipe)
    object.__setattr__(copy, field, other[type(value)]())  # a choice of one has no second valid value
    return copy


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "training.recipe", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("field", [field.name for field in fields(Recipe) if field.name != "name"])
def test_every_field_changes_the_digest(field):
    assert changed(ROMAN, field).digest != ROMAN.digest


def test_the_name_does_not_change_the_digest():
    assert replace(ROMAN, name="something else").digest == ROMAN.digest


def test_the_competitions_recipe_stays_what_it_was():
    assert ROMAN.digest == "336ee3f8bdc73e6c"


def test_a_recipe_is_frozen():
    with pytest.raises(FrozenInstanceError):
        ROMAN.epochs = 1


def test_probabilities_are_averaged_from_epoch_20_of_100():
    assert ROMAN.first_averaged == 20
    assert replace(ROMAN, average_from=0.0).first_averaged == 1
    assert replace(ROMAN, epochs=3, average_from=1.0).first_averaged == 3


@pytest.mark.parametrize("name", RECIPES)
def test_the_command_prints_what_the_code_knows(name):
    shown = json.loads(command(name).stdout)
    assert list(shown)[:2] == ["name", "digest"]
    assert shown == {"digest": RECIPES[name].digest} | asdict(RECIPES[name])


def test_an_unknown_name_is_told_in_one_line_that_lists_the_known_ones():
    result = command("nope")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert all(name in result.stderr for name in RECIPES)


def test_the_commands_help_names_every_recipe_and_shows_how_to_make_one_of_your_own():
    shown = command("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(f"\n  {name} " in shown.stdout for name in RECIPES)
    assert "python -m training.recipe roman-resnet50 > mine.json" in shown.stdout


@pytest.mark.parametrize("arguments", [[], ["roman-resnet50", "resnet50"], ["--epochs"]])
def test_wrong_usage_of_the_command_prints_nothing_and_points_to_the_usage(arguments):
    result = command(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: python -m training.recipe [-h] NAME\n")


def test_reading_a_recipe_imports_nothing_heavy():
    code = "import training.recipe, sys; print({'torch', 'numpy', 'pandas', 'PIL', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_file_holds_a_recipe(tmp_path, ending):
    path = tmp_path / f"own.{ending}"
    values = asdict(replace(ROMAN, name="own", epochs=3))
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path.write_text(json.dumps(values) if ending == "json" else "\n".join(lines))
    assert load_recipe(str(path)) == replace(ROMAN, name="own", epochs=3)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"epochs": None}, "missing: epochs"),
        ({"epoch": 3}, "unknown: epoch"),
        ({"epochs": "3"}, "epochs is '3'"),
        ({"epochs": True}, "epochs is True"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"precision": "fp16"}, "fp32, bf16"),
        ({"average_from": 1.5}, "between 0 and 1"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"image_size": 4}, "image_size must lie between 8 and 1024 for resnet50-conv2"),
        ({"network": "resnet50", "image_size": 64}, "crop_size must lie between 33 and 1024"),
        ({"least_steps": -1}, "least_steps must lie between 0 and 1000000"),
        ({"beta2": 1.0}, "beta2 must be below 1"),
        ({"weights": "imagenet1k-v1"}, "weights 'imagenet1k-v1' are of another network than resnet50-conv2"),
        ({"network": "vgg"}, "it can be resnet50-conv2, resnet50, efficientnet-lite0"),
    ],
)
def test_a_wrong_file_says_which_field(tmp_path, edit, words):
    path = tmp_path / "own.json"
    values = asdict(ROMAN) | edit
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    with pytest.raises(RecipeError, match=words):
        load_recipe(str(path))


def test_few_images_are_gone_over_more_often_until_there_are_enough_steps():
    photo = RECIPES["resnet50"]
    assert [photo.with_min_steps(n).epochs for n in (1, 32, 33, 700, 1344, 100_000)] == [500, 500, 250, 23, 12, 12]
    assert ROMAN.with_min_steps(3) == ROMAN


def test_a_seed_after_the_name_is_added_to_the_recipes(tmp_path):
    (tmp_path / "own.json").write_text(json.dumps(asdict(ROMAN) | {"name": "own", "seed": 5}))
    found = load_recipe(f"{tmp_path}/own.json@2")
    assert (found.name, found.seed) == ("own@2", 7)
    assert load_recipe("roman-resnet50@0").digest == ROMAN.digest
    assert json.loads(command("roman-resnet50@1").stdout)["digest"] == replace(ROMAN, seed=1).digest
    for wrong in ("roman-resnet50@", "roman-resnet50@-1", "@1", "nope@1"):
        assert command(wrong).returncode == 2, wrong


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_a_file_that_is_no_recipe_says_so(tmp_path, content):
    path = tmp_path / "own.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecipeError, match=r"own\.json"):
        load_recipe(str(path))


def test_a_whole_number_will_do_for_a_broken_one(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(asdict(ROMAN) | {"learning_rate": 1}))
    assert load_recipe(str(path)).learning_rate == 1.0
