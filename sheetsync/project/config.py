"""Configuration: sheetsync.toml, checked, and the project that it describes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from sheetsync.common.state_folder import STATE, StateFolder
from sheetsync.dataset.plan import SplitFractions
from sheetsync.errors import ConfigError
from sheetsync.images.fetch.base import Limits
from sheetsync.rows.header import ColumnHeaders
from sheetsync.rows.schema import MACHINE_COLUMNS
from sheetsync.trainer.lineage import MOST_SEEDS

CONFIG = "sheetsync.toml"
Header = Annotated[str, Field(pattern=r"^\s*[^\s=+@-]")]  # a spreadsheet program takes the others for formulas
Bucket = Annotated[str, Field(pattern=r"^(s3|gs)://[a-z0-9][a-z0-9._-]*(/[^/]+)*/?$")]
Share = Annotated[float, Field(ge=0, le=1)]


HOURS: dict[str, float | None] = {"never": None, "monthly": 720, "weekly": 168, "daily": 24, "hourly": 1, "always": 0}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ColumnSettings(_Section):
    """[columns]: what the columns are called in this sheet."""

    image: Header | tuple[Header, ...] = ("image", "image_url", "url")
    label: Header = "label"
    split: Header = "split"
    status: Header = "status"
    prediction: Header = "prediction"
    confidence: Header = "confidence"
    label_quality: Header = "label_quality"
    review: Header = "review"
    review_rank: Header = "review_rank"
    used_split: Header = "used_split"

    def images(self) -> tuple[str, ...]:
        """The names that the column of images may have."""
        return (self.image,) if isinstance(self.image, str) else self.image

    def names(self) -> tuple[str, ...]:
        """Every header that sheetsync looks for."""
        return (*self.images(), *(getattr(self, name) for name in type(self).model_fields if name != "image"))

    @model_validator(mode="after")
    def _distinct(self) -> ColumnSettings:
        names = [name.strip().casefold() for name in self.names()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two columns cannot share the name '{twice[0]}'")
        return self


class SplitSettings(_Section):
    """[splits]: which part of the images without a given split goes where; the rest trains."""

    val: Share = 0.2
    test: Share = 0.0

    @model_validator(mode="after")
    def _some_train(self) -> SplitSettings:
        if self.val + self.test >= 1:
            raise ValueError("val and test together must leave something to train on")
        return self


class DownloadSettings(_Section):
    """[download]: limits of one image, and where images may be."""

    workers: int = Field(default=32, ge=1, le=256)
    per_host: int = Field(default=16, ge=1, le=256)
    timeout: float = Field(default=20.0, gt=0, le=600)
    total_seconds: float = Field(default=60.0, gt=0, le=3600)
    max_megabytes: float = Field(default=30.0, gt=0)
    max_megapixels: float = Field(default=100.0, gt=0)
    attempts: int = Field(default=3, ge=1, le=10)
    refresh: Literal["never", "monthly", "weekly", "daily", "hourly", "always"] = "never"
    allow_private: bool = False
    folder: str = ""
    buckets: tuple[Bucket, ...] = ()


class TrainingSettings(_Section):
    """[training]: what a pass does beside the recipe's own training."""

    provisional: bool = True
    when_edited: Literal["finish", "restart"] = "finish"
    seeds: int = Field(default=1, ge=1, le=MOST_SEEDS)
    weights: str = ""


class GoogleSettings(_Section):
    """[google]: how a Google Sheet is reached. `endpoint` is a server on this machine, for tests."""

    credentials: str = Field(default="credentials.json", min_length=1)
    scores: str = Field(default="scores", min_length=1)
    endpoint: str = ""


class Settings(BaseSettings):
    """sheetsync.toml, checked. `sheet` is a path or address, `recipe` a name or the path of a recipe file."""

    model_config = SettingsConfigDict(extra="forbid", allow_inf_nan=False)

    sheet: str = Field(min_length=1)
    recipe: str = Field(default="roman-resnet50", min_length=1)
    dataset: str = Field(default="dataset", min_length=1)
    every_minutes: float = Field(default=5.0, gt=0, le=10_080)
    slices: tuple[Header, ...] = ()
    columns: ColumnSettings = ColumnSettings()
    splits: SplitSettings = SplitSettings()
    training: TrainingSettings = TrainingSettings()
    download: DownloadSettings = DownloadSettings()
    google: GoogleSettings = GoogleSettings()

    @model_validator(mode="after")
    def _slices_of_people(self) -> Settings:
        ours = {name.strip().casefold() for name in self.columns.names()}
        taken = sorted(name for name in self.slices if name.strip().casefold() in ours)
        if taken:
            raise ValueError(f"the column '{taken[0]}' cannot be a slice: sheetsync has another use for it")
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_: PydanticBaseSettingsSource, **__: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the file counts: what a project does must not depend on who runs it."""
        return (TomlConfigSettingsSource(settings_cls),)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a sheetsync.toml."""

    root: Path
    settings: Settings

    @property
    def state(self) -> StateFolder:
        """Where sheetsync keeps images, runs and revisions."""
        return StateFolder(self.root / STATE)

    @property
    def dataset(self) -> Path:
        """The dataset folder, an ImageFolder per split."""
        return self.root / self.settings.dataset

    @property
    def local(self) -> bool:
        """True if images may be paths: the sheet is a file, or a folder of images is configured."""
        return "://" not in self.settings.sheet or bool(self.settings.download.folder)

    @property
    def image_folder(self) -> Path:
        """Where the paths of images start: the folder that was named, or the one of a sheet in a file."""
        named = self.settings.download.folder
        return self.root / named if named else (self.root / self.settings.sheet).parent

    @property
    def recipe(self) -> str:
        """The name of a built-in recipe, or the path of a recipe file of the team's own."""
        file = self.root / self.settings.recipe
        return str(file) if file.is_file() else self.settings.recipe

    @property
    def weights(self) -> str:
        """Where the pretrained weights of the recipe are: a file, or a folder that holds it; "" = not given."""
        given = self.settings.training.weights
        return str(self.root / given) if given else ""

    @property
    def columns(self) -> ColumnHeaders:
        """The headers to look for."""
        names = self.settings.columns
        machine = {name: getattr(names, name) for name in MACHINE_COLUMNS}
        return ColumnHeaders(names.images(), names.label, names.split, self.settings.slices, machine)

    @property
    def split_fractions(self) -> SplitFractions:
        """How images without a given split are shared out."""
        return SplitFractions(self.settings.splits.val, self.settings.splits.test)

    @property
    def refresh(self) -> float | None:
        """Seconds after which an address is asked again if its image has changed; None = never."""
        hours = HOURS[self.settings.download.refresh]
        return None if hours is None else hours * 3600

    @property
    def limits(self) -> Limits:
        """Limits of one download."""
        given = self.settings.download
        return Limits(
            workers=given.workers,
            per_host=given.per_host,
            read_seconds=given.timeout,
            total_seconds=given.total_seconds,
            max_bytes=int(given.max_megabytes * 1e6),
            max_pixels=int(given.max_megapixels * 1e6),
            attempts=given.attempts,
            allow_private=given.allow_private,
        )


def load_project(folder: Path) -> Project:
    """Read the project in a folder.

    Raises `ConfigError` naming the file and, where one is wrong, the field.
    """
    path = folder.resolve() / CONFIG
    if not path.is_file():
        raise ConfigError(
            f"there is no {CONFIG} in {path.parent}: `sheetsync init SHEET.csv` makes one, "
            "`sheetsync demo` a whole example"
        )

    class Here(Settings):
        model_config = SettingsConfigDict(toml_file=path)  # the rest is inherited

    try:
        settings = Here()  # type: ignore[call-arg]  # its values come from the file
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(_words(each) for each in error.errors())}") from error
    _check_dataset_folder(path, settings)
    return Project(path.parent, settings)


def _words(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if not field:
        return str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"unknown key '{field}'"
    if error["type"] == "missing":
        return f"'{field}' is missing"
    return f"'{field}' = {error['input']!r}: {error['msg'].removeprefix('Value error, ')}"


def _check_dataset_folder(path: Path, settings: Settings) -> None:
    """The dataset is kept equal to the sheet, so it must be a folder of its own, inside the project."""
    dataset = (path.parent / settings.dataset).resolve()
    if dataset == path.parent or not dataset.is_relative_to(path.parent):
        raise ConfigError(f"{path}: 'dataset' = {settings.dataset!r}: must be a folder inside the project's")
    if dataset.is_relative_to(path.parent / STATE):
        raise ConfigError(f"{path}: 'dataset' = {settings.dataset!r}: {STATE} is sheetsync's own")
