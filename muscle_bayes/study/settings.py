"""study.toml: what a study is made of, every key checked before anything runs."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from muscle_bayes.cohort import Exposure
from muscle_bayes.cohort.names import nearest
from muscle_bayes.errors import StudyFileError

_UNION_MEMBERS = frozenset({"str", "Recoding", "int", "float", "bool", "list[union[str,int,float]]"})
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


class ImagesSection(BaseModel):
    """`[images]`: where each participant's images lie.

    Attributes
    ----------
    root : pathlib.Path
        Folder that the patterns start from, relative to study.toml.
    format : {"nifti"}
        What the images are.
    water, fat, image, labels : str, optional
        Patterns such as `sub-{participant_id}/ses-{session_id}/anat/*_water.nii.gz`; each must meet exactly one file. Water and
        fat of a Dixon pair, or `image`, one contrast.
    backend : {"labelmap", "hull"}
        `labelmap` reads `labels`; `hull` finds the muscle compartment of limbs without them.
    weights : str, optional
        Of a network; the two backends of this version have none.
    """

    model_config = _STRICT

    root: Path
    format: Literal["nifti"] = "nifti"
    water: str | None = None
    fat: str | None = None
    image: str | None = None
    labels: str | None = None
    backend: Literal["labelmap", "hull"] = "labelmap"
    weights: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.water is None) != (self.fat is None):
            raise ValueError("water and fat belong together: give both, or image = for one contrast")
        if (self.water is None) == (self.image is None):
            raise ValueError("give water and fat of a Dixon pair, or image of one contrast, not both and not neither")
        if self.backend == "labelmap" and self.labels is None:
            raise ValueError('backend = "labelmap" needs labels, a pattern of label maps')
        if self.backend == "hull" and self.labels is not None:
            raise ValueError('backend = "hull" finds the compartment itself: take labels out, or use "labelmap"')
        if self.weights is not None:
            raise ValueError(f"backend {self.backend!r} has no weights: take the key out")
        return self

    @property
    def patterns(self) -> dict[str, str]:
        """The patterns that are given, by role."""
        roles = {"water": self.water, "fat": self.fat, "image": self.image, "labels": self.labels}
        return {role: pattern for role, pattern in roles.items() if pattern is not None}


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
    value: str | int | float | bool | list[str | int | float] | None = None

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
    name : str, optional
        Folder and file names of the results; the model's name by default.
    """

    model_config = _STRICT

    model: str = Field(min_length=1)
    method: Literal["auto", "nuts", "laplace", "ml"] = "auto"
    priors: str | None = None
    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")

    @property
    def label(self) -> str:
        """Name of the fit's folder and the stem of its files."""
        return self.name or Path(self.model).stem


class Study(BaseModel):
    """A study, as study.toml states it.

    Attributes
    ----------
    study, participants, measurements, images, exposure, exclusions, missing, fits
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
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.measurements is not None and self.images is not None:
            raise ValueError("[measurements] and [images] are both given: keep the one that the study starts from")
        names = [fit.label for fit in self.fits]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two fits are called {twice[0]!r}: give one of them a name of its own with the key name")
        return self

    @property
    def out(self) -> Path:
        """Folder of the results, absolute."""
        return self.resolve(self.study.out)

    def resolve(self, path: Path | str) -> Path:
        """Return a path of the study file as an absolute one."""
        return (self.folder / path).resolve()

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
        told = list(dict.fromkeys(_tell(detail) for detail in _root_causes(error.errors())))
        if len(told) == 1:
            place, problem, remedy = told[0]
            raise StudyFileError(f"{where}, {place}" if place else where, problem, remedy) from error
        text = "; ".join(f"({i}) {place}: {problem}. {remedy}" for i, (place, problem, remedy) in enumerate(told, 1))
        raise StudyFileError(where, f"{len(told)} problems: {text}", "Correct all of them, then run again") from error


def _root_causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the complaints without those that only follow from others: a list is short because its member is wrong."""
    places = [detail["loc"] for detail in details]

    def follows(detail: ErrorDetails) -> bool:
        loc = detail["loc"]
        if detail["type"] == "too_short":
            return any(place[: len(loc)] == loc and len(place) > len(loc) for place in places)
        # "name or recoding": where a recoding was written, that it is no plain name is no news.
        return bool(loc) and loc[-1] == "str" and any(place[: len(loc)] == (*loc[:-1], "Recoding") for place in places)

    return [detail for detail in details if not follows(detail)]


def _tell(detail: ErrorDetails) -> tuple[str, str, str]:
    """Return place, problem and remedy of one complaint of pydantic."""
    loc = [str(part) for part in detail["loc"]]
    known = list(Recoding.model_fields) if loc[3:4] == ["Recoding"] else _keys_beside(loc)
    # Members of a union (a column's plain name or recoding, a rule's value) are a level of pydantic's, not of the file.
    loc = [part for level, part in enumerate(loc) if level != 3 or part not in _UNION_MEMBERS]
    place = _place(loc)
    kind, message = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        near = nearest(loc[-1], known)
        remedy = f"Perhaps you meant {near!r}" if near else f"Use one of {', '.join(known)}"
        return place, f"Unknown key {loc[-1]!r}", remedy
    if kind == "missing":
        return place, "This is missing", "Add it; `muscle-bayes init DIR` writes a study.toml that explains every key"
    given = detail.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return place, f"{message}{shown}", "Correct it"


def _place(loc: list[str]) -> str:
    """Return a location as people write it: `[[fits]] number 2, method`."""
    if not loc:
        return ""
    table, rest = loc[0], loc[1:]
    if rest and rest[0].isdigit():
        return ", ".join([f"[[{table}]] number {int(rest[0]) + 1}", *rest[1:]])
    return f"[{table}] {'.'.join(rest)}".strip()


def _keys_beside(loc: list[str]) -> list[str]:
    """Return the keys that the table of an unknown key does know."""
    section: Any = Study
    for part in loc[:-1]:
        if part.isdigit() or not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue
        if part not in section.model_fields:
            break
        annotation = section.model_fields[part].annotation
        inside = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
        section = inside[0] if inside else annotation
    if isinstance(section, type) and issubclass(section, BaseModel):
        return [name for name in section.model_fields if name != "folder"]
    return []
