"""study.toml: what a study is made of, every key checked before anything runs."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from muscle_bayes.cohort import Exposure
from muscle_bayes.errors import StudyFileError
from muscle_bayes.study.complaints import complaints
from muscle_bayes.study.estimating import ESTIMATES, ON_REQUEST
from muscle_bayes.study.images_settings import ImagesSection

_STRICT = ConfigDict(extra="forbid", frozen=True)


class StudySection(BaseModel):
    """`[study]`: name, seed, where results go.

    Attributes
    ----------
    name : str
        For titles.
    seed : int
        Seed of every random number of the study.
    out : pathlib.Path
        Folder for everything that is written, relative to study.toml.
    overlaps_nako : bool
        Whether participants are also in the NAKO study whose results the `published` priors would use.
    """

    model_config = _STRICT

    name: str = Field(min_length=1)
    seed: int = Field(default=1, ge=0)
    out: Path = Path("results")
    overlaps_nako: bool = False


class Recoding(BaseModel):
    """A column with codes of its own: `sex = { column = "geschlecht", values = { w = "female", m = "male" } }`."""

    model_config = _STRICT

    column: str
    values: dict[str, str | int | float] = Field(default_factory=dict)


class ParticipantsSection(BaseModel):
    """`[participants]`: the table, and which of its columns is which.

    Attributes
    ----------
    file : pathlib.Path
        csv, tsv or parquet, relative to study.toml.
    columns : dict
        The study's column name -> canonical name, or canonical name -> column and codes.
    """

    model_config = _STRICT

    file: Path
    columns: dict[str, str | Recoding] = Field(default_factory=dict)


class MeasurementsSection(BaseModel):
    """`[measurements]`: a finished measurement table, relative to study.toml."""

    model_config = _STRICT

    file: Path


class ExposureSection(BaseModel):
    """`[exposure]`: which measurements are the exposure; see `muscle_bayes.cohort.Exposure`."""

    model_config = _STRICT

    muscle: str = "autochthonous"
    region: str | None = None
    adipose: str = "threshold"
    compartment: str = "labels"
    session: str | None = None
    backend: str | None = None
    weights_sha256: str | None = None
    pool: tuple[str, ...] = ()

    def exposure(self) -> Exposure:
        """Return the exposure for `read_cohort`."""
        return Exposure(**self.model_dump())


class ExclusionSection(BaseModel):
    """`[[exclusions]]`: who is left out, with a name for the flow."""

    model_config = _STRICT

    name: str = Field(min_length=1)
    column: str
    op: Literal["==", "!=", "<", "<=", ">", ">=", "in", "not_in", "is_missing"]
    value: Any = None

    @field_validator("value")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        members = value if isinstance(value, list) else [value]
        if not all(isinstance(member, str | int | float | bool | None) for member in members):
            raise ValueError("a value is a text, a number, true or false, or a list of these")
        return value

    def rule(self) -> dict[str, Any]:
        """Return the rule for `read_cohort`."""
        return self.model_dump(exclude_none=True)


class MissingSection(BaseModel):
    """`[missing]`: what happens to participants with missing values; complete cases of each model's columns."""

    model_config = _STRICT

    policy: Literal["complete_cases"] = "complete_cases"


class FitSection(BaseModel):
    """`[[fits]]`: a model, how it is fitted, and under which priors.

    Attributes
    ----------
    model : str
        A name of the catalogue, or a model file relative to study.toml.
    method : {"auto", "nuts", "laplace", "ml"}
        By which engine.
    priors : str, optional
        A prior set in place of the model's own.
    force_published : bool
        Take the `published` priors although they come from the same data; the fit says so.
    name : str, optional
        Folder and file names of the results; the model's name by default.
    """

    model_config = _STRICT

    model: str = Field(min_length=1)
    method: Literal["auto", "nuts", "laplace", "pymc", "ml"] = "auto"
    priors: str | None = None
    force_published: bool = False
    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    estimates: tuple[str, ...] | None = None

    @field_validator("estimates")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = [name for name in value or () if name not in (*ESTIMATES, *ON_REQUEST)]
        if unknown:
            raise ValueError(f"there is no estimate {unknown[0]!r}: take of {', '.join((*ESTIMATES, *ON_REQUEST))}")
        return value

    @property
    def label(self) -> str:
        """Name of the fit's folder and the stem of its files."""
        return self.name or Path(self.model).stem


class SensitivitySection(BaseModel):
    """`[sensitivity]`: refit under other priors, sites, definitions and covariates; off where the table is not there.

    Attributes
    ----------
    fits : tuple of str
        Names of the fits; by default the first.
    priors, site_sd, leave_out_sites, adipose, adjustment, estimands, draws
        As in `mb.sensitivity`; what is left out has its default there.
    """

    model_config = _STRICT

    fits: tuple[str, ...] = ()
    priors: tuple[str, ...] | None = None
    site_sd: tuple[float, ...] | None = None
    leave_out_sites: bool | None = None
    adipose: tuple[str, ...] | None = None
    adjustment: tuple[str, ...] | None = None
    estimands: tuple[str, ...] | None = None
    draws: int | None = Field(default=None, ge=100)

    def arguments(self) -> dict[str, Any]:
        """Return what is set, for `mb.sensitivity`."""
        return self.model_dump(exclude={"fits"}, exclude_none=True)


class Study(BaseModel):
    """A study, as study.toml states it.

    Attributes
    ----------
    study, participants, measurements, images, exposure, exclusions, missing, fits, sensitivity
        The tables of the file.
    folder : pathlib.Path
        What relative paths start from: the folder of study.toml.
    """

    model_config = _STRICT

    study: StudySection
    participants: ParticipantsSection
    measurements: MeasurementsSection | None = None
    images: ImagesSection | None = None
    exposure: ExposureSection | None = None
    exclusions: tuple[ExclusionSection, ...] = ()
    missing: MissingSection = MissingSection()
    fits: tuple[FitSection, ...] = Field(min_length=1)
    sensitivity: SensitivitySection | None = None
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.measurements is not None and self.images is not None:
            raise ValueError("[measurements] and [images] are both given: keep the one that the study starts from")
        names = [fit.label for fit in self.fits]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two fits are called {twice[0]!r}: give one of them a name of its own with the key name")
        asked = self.sensitivity.fits if self.sensitivity is not None else ()
        unknown = [name for name in asked if name not in names]
        if unknown:
            raise ValueError(
                f"[sensitivity] names the fit {unknown[0]!r}, and there is none: take of {', '.join(names)}"
            )
        return self

    @property
    def out(self) -> Path:
        """Folder of the results, absolute."""
        return self.resolve(self.study.out)

    def resolve(self, path: Path | str) -> Path:
        """Return a path of the study file as an absolute one."""
        return (self.folder / path).resolve()

    def sensitivity_of(self, fit: FitSection) -> SensitivitySection | None:
        """Return the sensitivity that is asked for of a fit, or None."""
        if self.sensitivity is None:
            return None
        return self.sensitivity if fit.label in (self.sensitivity.fits or (self.fits[0].label,)) else None

    def model_source(self, fit: FitSection) -> str | Path:
        """Return what `load_model` takes: a name of the catalogue, or the path of a model file."""
        return self.resolve(fit.model) if fit.model.endswith(".toml") else fit.model


def load_study(path: Path | str) -> Study:
    """Read study.toml.

    Parameters
    ----------
    path : path
        The file, or its folder.

    Returns
    -------
    Study
        With every key checked.

    Raises
    ------
    StudyFileError
        Where the file is absent, is no TOML, or breaks a rule; unknown keys are told with the nearest known one.
    """
    path = Path(path)
    path = path / "study.toml" if path.is_dir() else path
    if not path.is_file():
        raise StudyFileError(str(path), "There is no such file", "`muscle-bayes init DIR` writes one to start from")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyFileError(str(path), f"It is no TOML file: {error}", "Mend the line") from error
    return study_from(content, folder=path.parent, where=path.name)


def study_from(content: dict[str, Any], *, folder: Path, where: str = "study.toml") -> Study:
    """Build a study from the content of its file.

    Parameters
    ----------
    content : dict
        Parsed TOML.
    folder : pathlib.Path
        What relative paths start from.
    where : str
        File, for errors.

    Returns
    -------
    Study
        With every key checked.

    Raises
    ------
    StudyFileError
        Where a rule is broken; all of them at once.
    """
    if "folder" in content:
        raise StudyFileError(f"{where}, folder", "Unknown key", "Take it out")
    try:
        return Study.model_validate({**content, "folder": folder.resolve()})
    except ValidationError as error:
        told = complaints(error, Study)
        if len(told) == 1:
            place, problem, remedy = told[0]
            raise StudyFileError(f"{where}, {place}" if place else where, problem, remedy) from error
        text = "; ".join(f"({i}) {place}: {problem}. {remedy}" for i, (place, problem, remedy) in enumerate(told, 1))
        raise StudyFileError(where, f"{len(told)} problems: {text}", "Correct all of them, then run again") from error
