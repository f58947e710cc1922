"""sheetsync.toml: what it may hold, what is said of the rest, and the one that `init` writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sheetsync.common.state_folder import StateFolder
from sheetsync.dataset.plan import SplitFractions
from sheetsync.doctor.google import open_probe
from sheetsync.errors import ConfigError, SheetError
from sheetsync.project.config import CONFIG, Settings, load_project
from sheetsync.project.init import find_project, make_project
from sheetsync.rows.header import ColumnHeaders
from sheetsync.sheets import open_sheet
from tests.helpers.googleserver import GoogleServer


def written(folder: Path, text: str) -> Path:
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load_project(written(folder, text))
    assert str(folder / CONFIG) in str(raised.value)
    return str(raised.value)


DEFAULTS = Settings.model_construct(sheet="labels.csv")

WRONG = {
    'sheets = "labels.csv"': ["unknown key 'sheets'", "'sheet' is missing"],
    'sheet = "a.csv"\n[column]\nimage = "pic"': ["unknown key 'column'"],
    'sheet = "a.csv"\n[columns]\npicture = "pic"': ["unknown key 'columns.picture'"],
    'sheet = "a.csv"\n[download]\nworker = 1': ["unknown key 'download.worker'"],
    "recipe = 'demo-resnet50'": ["'sheet' is missing"],
    "sheet = 5": ["'sheet' = 5: ", "valid string"],
    'sheet = ""': ["'sheet' = ''"],
    'sheet = "a.csv"\nevery_minutes = "often"': ["'every_minutes' = 'often': ", "valid number"],
    'sheet = "a.csv"\nevery_minutes = 0': ["'every_minutes' = 0: ", "greater than 0"],
    'sheet = "a.csv"\nevery_minutes = inf': ["'every_minutes' = inf: "],
    'sheet = "a.csv"\nevery_minutes = 1e300': ["'every_minutes' = 1e+300: "],
    'sheet = "a.csv"\nslices = "lighting"': ["'slices' = 'lighting': "],
    'sheet = "a.csv"\nslices = [" "]': ["'slices.0' = ' ': "],
    'sheet = "a.csv"\ncolumns = "x"': ["'columns' = 'x': "],
    'sheet = "a.csv"\n[columns]\nlabel = ""': ["'columns.label' = ''"],
    'sheet = "a.csv"\n[columns]\nlabel = " Status"': ["two columns cannot share the name 'status'"],
    'sheet = "a.csv"\n[columns]\nimage = ["url", "label"]': ["two columns cannot share the name 'label'"],
    'sheet = "a.csv"\n[splits]\nval = 1.5': ["'splits.val' = 1.5: ", "less than or equal to 1"],
    'sheet = "a.csv"\n[splits]\nval = nan': ["'splits.val' = nan: "],
    'sheet = "a.csv"\n[splits]\nval = 0.7\ntest = 0.3': ["'splits' = ", "must leave something to train on"],
    'sheet = "a.csv"\n[download]\nworkers = 0': ["'download.workers' = 0: "],
    'sheet = "a.csv"\n[download]\nworkers = 2.5': ["'download.workers' = 2.5: "],
    'sheet = "a.csv"\n[download]\nmax_megabytes = inf': ["'download.max_megabytes' = inf: "],
    'sheet = "a.csv"\n[download]\nmax_megapixels = nan': ["'download.max_megapixels' = nan: "],
    'sheet = "a.csv"\n[download]\nallow_private = "maybe"': ["'download.allow_private' = 'maybe': "],
    'sheet = "a.csv"\n[download]\nbuckets = ["my-images"]': ["'download.buckets.0' = 'my-images': "],
    'sheet = "a.csv"\n[download]\nbuckets = ["s3://"]': ["'download.buckets.0' = 's3://': "],
    'sheet = "a.csv"\n[training]\nprovisional = "maybe"': ["'training.provisional' = 'maybe': ", "valid boolean"],
    'sheet = "a.csv"\n[training]\nwhen_edited = "stop"': ["'training.when_edited' = 'stop': ", "'finish' or 'restart'"],
    'sheet = "a.csv"\n[training]\nseeds = 0': ["'training.seeds' = 0: ", "greater than or equal to 1"],
    'sheet = "a.csv"\n[training]\nseeds = 21': ["'training.seeds' = 21: ", "less than or equal to 20"],
    'sheet = "a.csv"\n[training]\nseed = 2': ["unknown key 'training.seed'"],
    'sheet = "a.csv"\ndataset = ".."': ["'dataset' = '..': must be a folder inside the project's"],
    'sheet = "a.csv"\ndataset = "."': ["'dataset' = '.': must be a folder inside the project's"],
    'sheet = "a.csv"\ndataset = "/tmp/x"': ["'dataset' = '/tmp/x': must be a folder inside the project's"],
    'sheet = "a.csv"\ndataset = ".sheetsync/x"': ["'dataset' = '.sheetsync/x': .sheetsync is sheetsync's own"],
    'sheet = "a.csv': ["is not valid TOML"],
    'sheet = "a.csv"\nsheet = "b.csv"': ["is not valid TOML"],
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_with_file_and_field(tmp_path: Path, text: str) -> None:
    said = refusal(tmp_path, text)
    assert [words for words in WRONG[text] if words not in said] == []
    assert "\n" not in said


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, 'sheet = 5\nextra = 1\n[splits]\nval = "half"')
    assert all(words in said for words in ("'sheet' = 5", "unknown key 'extra'", "'splits.val' = 'half'"))


def test_a_file_that_is_not_utf_8_is_said(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_bytes('sheet = "größe.csv"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_project(tmp_path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no sheetsync\.toml in .*`sheetsync init SHEET\.csv` makes one"):
        load_project(tmp_path)


def test_a_dataset_that_is_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    outside.mkdir()
    (project / "dataset").symlink_to(outside)
    assert "must be a folder inside the project's" in refusal(project, 'sheet = "a.csv"')


def test_only_the_file_counts_not_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE", "other")
    monkeypatch.setenv("SHEET", "other.csv")
    monkeypatch.setenv("EVERY_MINUTES", "99")
    assert load_project(written(tmp_path, 'sheet = "labels.csv"')).settings.model_dump() == DEFAULTS.model_dump()


def test_what_is_written_arrives_where_it_is_used(tmp_path: Path) -> None:
    project = load_project(
        written(
            tmp_path,
            'sheet = "a.csv"\nslices = ["lighting"]\n[columns]\nimage = "pic"\nlabel = "class"\nstatus = "note"\n'
            "[splits]\nval = 0.1\ntest = 0.3\n"
            "[download]\nworkers = 3\ntimeout = 4\ntotal_seconds = 5\nmax_megabytes = 0.5\nmax_megapixels = 2\n"
            'attempts = 6\nallow_private = true\nfolder = "pics"\nbuckets = ["s3://mine/a"]\n',
        )
    )
    limits, columns = project.limits, project.columns
    assert project.split_fractions == SplitFractions(0.1, 0.3)
    assert (columns.image, columns.label, columns.tags) == (("pic",), "class", ("lighting",))
    assert columns.machine["status"] == "note"
    assert (limits.workers, limits.read_seconds, limits.total_seconds, limits.attempts) == (3, 4, 5, 6)
    assert (limits.max_bytes, limits.max_pixels, limits.allow_private) == (500_000, 2_000_000, True)
    assert (project.image_folder, project.settings.download.buckets) == (tmp_path / "pics", ("s3://mine/a",))
    assert (project.dataset, project.state) == (tmp_path / "dataset", StateFolder(tmp_path / ".sheetsync"))


def test_a_recipe_is_a_file_of_the_project_or_a_name(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, 'sheet = "a.csv"\nrecipe = "own.json"'))
    assert project.recipe == "own.json"
    (tmp_path / "own.json").write_text("{}")
    assert project.recipe == str(tmp_path / "own.json")


def test_weights_are_looked_for_in_the_project(tmp_path: Path) -> None:
    assert load_project(written(tmp_path, 'sheet = "a.csv"')).weights == ""
    given = load_project(written(tmp_path, 'sheet = "a.csv"\n[training]\nweights = "models/net.pth"'))
    assert given.weights == str(tmp_path / "models" / "net.pth")
    given = load_project(written(tmp_path, 'sheet = "a.csv"\n[training]\nweights = "/models"'))
    assert given.weights == "/models"


# --- init -----------------------------------------------------------------------------------------


def test_the_file_that_init_writes_says_the_defaults(tmp_path: Path) -> None:
    make_project(tmp_path, "labels.csv")
    project = load_project(tmp_path)
    assert project.settings.model_dump() == DEFAULTS.model_dump()
    assert project.columns == ColumnHeaders()


def test_what_the_file_shows_as_defaults_are_the_defaults(tmp_path: Path) -> None:
    make_project(tmp_path, "labels.csv")
    lines = (tmp_path / CONFIG).read_text().splitlines()[1:]
    shown = "\n".join(line.removeprefix("# ") for line in lines)
    assert load_project(written(tmp_path, shown)).settings.model_dump() == DEFAULTS.model_dump()
    sections = tomllib.loads(shown)
    assert sections.keys() == Settings.model_fields.keys()
    for name in ("columns", "splits", "training", "download"):
        assert sections[name].keys() == type(getattr(DEFAULTS, name)).model_fields.keys()


@pytest.mark.parametrize("name", ['my "best" sheet.csv', "größe.csv", "a\\b.csv", "{sheet}.csv", "line\nbreak.csv"])
def test_any_name_of_a_sheet_survives(tmp_path: Path, name: str) -> None:
    make_project(tmp_path, name)
    assert load_project(tmp_path).settings.sheet == name
    assert (tmp_path / name).read_text() == "image,label,split\n"


def test_an_existing_sheet_is_left_alone_and_counted(tmp_path: Path) -> None:
    content = "who,image,label\nAda,http://pics.example/1.png,i\nBob,nothing,i\n"
    (tmp_path / "labels.csv").write_text(content)
    said = make_project(tmp_path, "labels.csv", private=True)
    assert said[0] == f"{tmp_path / 'labels.csv'}: 2 rows"
    assert (tmp_path / "labels.csv").read_text() == content
    assert load_project(tmp_path).limits.allow_private


def test_a_project_that_is_there_is_kept(tmp_path: Path) -> None:
    written(tmp_path, "mine")
    with pytest.raises(ConfigError, match="is there already"):
        make_project(tmp_path, "labels.csv")
    assert (tmp_path / CONFIG).read_text() == "mine"
    assert not (tmp_path / "labels.csv").exists()


@pytest.mark.parametrize(
    "sheet", ["photo.png", "https://docs.google.com/spreadsheets/d/x", "https://example.org/x", "none.tsv"]
)
def test_a_sheet_that_cannot_be_used_leaves_no_project(tmp_path: Path, sheet: str) -> None:
    with pytest.raises(SheetError):
        make_project(tmp_path, sheet)
    assert not (tmp_path / CONFIG).exists()


def test_a_google_sheet_that_cannot_be_read_yet_leaves_a_project(tmp_path: Path) -> None:
    with GoogleServer() as server:
        server.key_file(tmp_path / "credentials.json").chmod(0o600)
        server.tokens.refused, server.tokens.why = "invalid_grant", "Account not found"
        with pytest.raises(SheetError, match=r"^wrote .*sheetsync\.toml, but Google does not accept the credentials"):
            make_project(tmp_path, ADDRESS)
    assert load_project(tmp_path).settings.sheet == ADDRESS


ADDRESS = "https://docs.google.com/spreadsheets/d/abc/edit#gid=7"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ADDRESS, True),
        (ADDRESS.replace("#", "?gid=7#"), True),
        (ADDRESS.replace("/d/", "/u/0/d/"), True),
        (ADDRESS.replace("edit#", "edit?usp=sharing#"), True),
        (ADDRESS.replace("gid=7", "gid=8"), False),
        (ADDRESS.partition("#")[0], False),
        (ADDRESS.replace("abc", "abd"), False),
        ("labels.csv", False),
    ],
)
def test_another_spelling_of_the_address_is_the_same_sheet(tmp_path: Path, other: str, same: bool) -> None:
    written(tmp_path, f'sheet = "{ADDRESS}"\n')
    if same:
        assert find_project(tmp_path, other) == [f"{tmp_path / CONFIG} is there already, and stays as it is"]
    else:
        with pytest.raises(ConfigError, match="is there already, for the sheet"):
            find_project(tmp_path, other)


@pytest.mark.parametrize(
    ("endpoint", "host", "fits"),
    [
        ("", "", True),
        ("http://127.0.0.1:8080", "", True),
        ("http://127.9.9.9/v4/", "", True),
        ("http://localhost:80", "", True),
        ("https://[::1]:443", "", True),
        ("https://sheets.example", "sheets.example", True),
        ("https://Sheets.Example:8443/x", "sheets.example", True),
        ("http://sheets.example", "sheets.example", False),
        ("https://sheets.example", "", False),
        ("https://sheets.example", "example", False),
        ("https://a.sheets.example", "sheets.example", False),
        ("http://127.0.0.1.example", "", False),
        ("http://127.0.0.1@sheets.example", "", False),
        ("http://sheets.example\\\\@127.0.0.1", "", False),
        ("http://sheets.example#@127.0.0.1", "", False),
        ("http://10.0.0.1", "", False),
        ("http://[::2]", "", False),
        ("ftp://127.0.0.1", "", False),
        ("127.0.0.1", "", False),
        ("http://", "", False),
    ],
)
def test_an_endpoint_that_would_get_the_token_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, host: str, fits: bool
) -> None:
    monkeypatch.setenv("SHEETSYNC_ENDPOINT_HOST", host)
    project = load_project(written(tmp_path, f'sheet = "{ADDRESS}"\n[google]\nendpoint = "{endpoint}"\n'))
    google = project.settings.google.model_dump()
    (tmp_path / "credentials.json").write_text("{}")  # what is said of it tells that it was looked at
    words = "neither the key" if fits else "would get your access to Google: take it out"
    with pytest.raises(SheetError, match=words):
        open_sheet(ADDRESS, tmp_path, **google)
    if fits:
        assert open_probe(ADDRESS, tmp_path, patience=1, **google)
    else:
        with pytest.raises(SheetError, match=words):
            open_probe(ADDRESS, tmp_path, patience=1, **google)


def test_a_column_that_sheetsync_uses_is_no_slice(tmp_path: Path) -> None:
    (tmp_path / "sheetsync.toml").write_text('sheet = "a.csv"\nslices = ["light", "Status "]\n')
    with pytest.raises(ConfigError, match="the column 'Status ' cannot be a slice"):
        load_project(tmp_path)


@pytest.mark.parametrize("name", ["@review", "=review", " +review", "-review", " "])
def test_a_header_that_would_be_a_formula_is_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path, f'sheet = "a.csv"\n[columns]\nreview = "{name}"\n')
    with pytest.raises(ConfigError, match=r"columns\.review"):
        load_project(tmp_path)
