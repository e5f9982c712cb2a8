"""A model, as a model file of the catalogue states it."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from muscle_bayes.errors import ModelFileError
from muscle_bayes.resources import data_folder
from muscle_bayes.specification.event import Event, parse_event
from muscle_bayes.specification.formula import Formula, parse_formula
from muscle_bayes.specification.priors import (
    DEFAULT_ADJUSTMENT,
    DEFAULT_INTERCEPT,
    DEFAULT_SITE_SD,
    HalfNormalPrior,
    NormalPrior,
    OddsRatioPrior,
    PrevalencePrior,
    PriorSet,
    set_prior,
)

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Standardise(BaseModel):
    """How a Z-score is made.

    Attributes
    ----------
    source : str
        The raw column (`from` in the file).
    over : {"all"}
        Over whom mean and SD are taken: the whole analysis set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: str = Field(alias="from")
    over: Literal["all"] = "all"


class ExposureTerm(BaseModel):
    """What the study asks about, and for which contrast.

    Attributes
    ----------
    contrast : float
        Units of the column that odds ratios are stated for.
    adverse : {"high", "low"}
        Which end goes with more of the outcome.
    """

    model_config = _STRICT

    contrast: float = Field(default=2.0, gt=0)
    adverse: Literal["high", "low"] = "high"


class Priors(BaseModel):
    """Priors as stated in a model file.

    Attributes
    ----------
    set : {"weak", "sceptical"}
        For exposures and their interactions.
    intercept, adjustment, site_sd
        For what the set does not cover.
    terms : dict of str to OddsRatioPrior
        Terms with a prior of their own.
    """

    model_config = _STRICT

    set: PriorSet = "weak"
    intercept: PrevalencePrior = DEFAULT_INTERCEPT
    adjustment: OddsRatioPrior = DEFAULT_ADJUSTMENT
    site_sd: HalfNormalPrior = DEFAULT_SITE_SD
    terms: dict[str, OddsRatioPrior] = Field(default_factory=dict)


class Model(BaseModel):
    """A regression model of the catalogue, or of one's own.

    Attributes
    ----------
    formula : str
        In the grammar of `muscle_bayes.specification.formula`.
    name, title, question : str
        For people.
    family : {"bernoulli"}
        Logistic regression.
    outcome : str
        What the event is called in tables and figures.
    event : str
        Such as ``pain_nrs >= 4``; by default the formula's response equals 1.
    levels : dict of str to list of str
        Levels of each categorical predictor, the reference first.
    standardise : dict of str to Standardise
        Z-scores and where they come from.
    exposures : dict of str to ExposureTerm
        The predictors that the study asks about; all others are adjustment.
    priors : Priors
        As stated.
    references : list of str
        Where the model comes from.
    """

    model_config = _STRICT

    formula: str
    name: str = "model"
    title: str = ""
    question: str = ""
    family: Literal["bernoulli"] = "bernoulli"
    outcome: str = ""
    event: str = ""
    levels: dict[str, list[str]] = Field(default_factory=dict)
    standardise: dict[str, Standardise] = Field(default_factory=dict)
    exposures: dict[str, ExposureTerm] = Field(default_factory=dict)
    priors: Priors = Field(default_factory=Priors)
    references: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        formula = self.parsed
        _ = self.parsed_event
        known = set(formula.names)
        for table, names in (("standardise", self.standardise), ("exposures", self.exposures), ("levels", self.levels)):
            unknown = sorted(set(names) - known)
            if unknown:
                raise ValueError(
                    f"[{table}] names {unknown[0]!r}, which is not in the formula ({', '.join(formula.names)})"
                )
        labels = {":".join(term) for term in formula.terms}
        unknown = sorted(set(self.priors.terms) - labels)
        if unknown:
            raise ValueError(
                f"[priors] names {unknown[0]!r}, which is no term of the formula ({', '.join(sorted(labels))})"
            )
        for column, levels in self.levels.items():
            if len(levels) < 2 or len(set(levels)) < len(levels):
                raise ValueError(f"[levels] {column} needs two or more different levels, the reference first")
        for term in formula.terms:
            if len(term) > 1 and any((part,) not in formula.terms for part in term):
                raise ValueError(f"the interaction {':'.join(term)} stands without the main effects of all its parts")
        return self

    @property
    def parsed(self) -> Formula:
        """The formula, parsed."""
        return parse_formula(self.formula, where=f"model {self.name!r}")

    @property
    def parsed_event(self) -> Event:
        """The event, parsed."""
        response = self.parsed.response
        return parse_event(self.event or f"{response} == 1", where=f"model {self.name!r}")

    @property
    def outcome_label(self) -> str:
        """What the outcome is called in tables and figures."""
        return self.outcome or self.parsed.response

    def role(self, term: tuple[str, ...]) -> Literal["exposure", "adjustment"]:
        """Return whether a term belongs to an exposure or is there for adjustment.

        Parameters
        ----------
        term : tuple of str
            A term of the formula.

        Returns
        -------
        {"exposure", "adjustment"}
            A term with an exposure among its parts is an exposure term.
        """
        return "exposure" if set(term) & set(self.exposures) else "adjustment"

    def normal_priors(self) -> dict[str, NormalPrior]:
        """Resolve the prior of the intercept and of every term.

        Returns
        -------
        dict of str to NormalPrior
            `intercept` first, then each term by its label (``intermat_z:lmm_z``).
        """
        intercept = self.priors.intercept
        low, high = intercept.prevalence_95
        resolved = {
            "intercept": NormalPrior(
                "intercept",
                intercept.mean,
                intercept.sd,
                f"prevalence {low:.3g} to {high:.3g} at the means",
                intercept.reason,
            )
        }
        for term in self.parsed.terms:
            label = ":".join(term)
            contrasts = [self.exposures[part].contrast for part in term if part in self.exposures]
            if label in self.priors.terms:
                stated = self.priors.terms[label]
            elif contrasts:
                stated = set_prior(self.priors.set, contrasts[0], interaction=len(term) > 1)
            else:
                stated = self.priors.adjustment
            text = f"OR {stated.or_95[0]:.3g} to {stated.or_95[1]:.3g} per {stated.per:g}"
            resolved[label] = NormalPrior(label, stated.mean, stated.sd, text, stated.reason)
        return resolved

    def with_priors(self, priors: "str | Priors | None") -> "Model":
        """Return the model with other priors.

        Parameters
        ----------
        priors : str or Priors, optional
            The name of a set, or all of them; None leaves them as they are.

        Returns
        -------
        Model
            A copy.
        """
        if priors is None:
            return self
        if isinstance(priors, str):
            try:
                priors = Priors.model_validate(self.priors.model_dump() | {"set": priors})
            except ValidationError as error:
                raise ModelFileError(f"priors={priors!r}", _first(error), "Take 'weak' or 'sceptical'") from error
        return self.model_copy(update={"priors": priors})

    def design(self, cohort: Any) -> Any:
        """Make the analysis set and the design matrices from a cohort; see `specification.design.make_design`."""
        from muscle_bayes.specification.design import make_design

        return make_design(self, cohort)

    def to_bambi(self, cohort: Any) -> Any:
        """Return this model of a cohort as a `bambi.Model`; see `specification.bayesian_models.to_bambi`."""
        from muscle_bayes.specification.bayesian_models import to_bambi

        return to_bambi(self, self.design(cohort))

    def to_pymc(self, cohort: Any) -> Any:
        """Return this model of a cohort as a `pymc.Model`; see `specification.bayesian_models.to_pymc`."""
        from muscle_bayes.specification.bayesian_models import to_pymc

        return to_pymc(self, self.design(cohort))


def load_model(name: str | Path) -> Model:
    """Load a model of the catalogue by name, or a model file.

    Parameters
    ----------
    name : str or pathlib.Path
        Such as ``cbp_interaction`` or ``my_models/walking.toml``.

    Returns
    -------
    Model
        The validated model.

    Raises
    ------
    ModelFileError
        Where there is no such model, or the file breaks a rule of the format.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = data_folder("models") / f"{name}.toml"
        if not path.is_file():
            raise ModelFileError(
                f"model {str(name)!r}",
                "there is no such model",
                f"Take one of {', '.join(list_models())}, or a file NAME.toml",
            )
    if not path.is_file():
        raise ModelFileError(str(path), "there is no such file", "Check the path")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(
            str(path), f"not a TOML file: {error}", "Mend the line, or start from a file of the catalogue"
        ) from error
    return read_model(content, name=path.stem, where=str(path))


def read_model(content: dict[str, Any], *, name: str, where: str) -> Model:
    """Build a model from the content of a model file.

    Parameters
    ----------
    content : dict
        The parsed TOML.
    name : str
        The model's name.
    where : str
        What an error names.

    Returns
    -------
    Model
        The validated model.

    Raises
    ------
    ModelFileError
        Where the content breaks a rule of the format.
    """
    content = dict(content)
    priors = dict(content.pop("priors", {}))
    named = {key: priors.pop(key) for key in ("set", "intercept", "adjustment", "site_sd") if key in priors}
    try:
        return Model.model_validate({"name": name, **content, "priors": {**named, "terms": priors}})
    except ValidationError as error:
        raise ModelFileError(where, _first(error), "Mend that line; models/README.md describes every key") from error


def list_models() -> list[str]:
    """Return the names of the catalogue.

    Returns
    -------
    list of str
        Sorted by name.
    """
    return sorted(path.stem for path in data_folder("models").glob("*.toml"))


def _first(error: ValidationError) -> str:
    """Say the first complaint of pydantic in one sentence."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
