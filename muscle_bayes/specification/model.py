"""A model, as a model file of the catalogue states it."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from muscle_bayes.errors import ModelFileError
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
from muscle_bayes.specification.published import published_priors, require_new_data

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Standardise(BaseModel):
    """How a Z-score is made.

    Attributes
    ----------
    source : str
        The raw column (`from` in the file).
    over : str
        Over whom mean and SD are taken: `all`, the whole analysis set, or a column of groups such as `sex`, each of which then
        has its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: str = Field(alias="from")
    over: str = Field(default="all", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")

    @model_validator(mode="after")
    def _other_column(self) -> Self:
        if self.over == self.source:
            raise ValueError(f'over = {self.over!r} is the column itself; name a column of groups, or "all"')
        return self


class ExposureTerm(BaseModel):
    """What the study asks about, and for which contrast.

    Attributes
    ----------
    contrast : float
        Units of the column that odds ratios and priors are stated for: 2 for a Z-score unless stated, else 1. A categorical
        exposure has none to state: each level stands against the reference, one unit of its 0/1 column.
    adverse : {"high", "low"} or None
        Which end goes with more of the outcome; None for a categorical exposure, whose levels need not have ends.
    """

    model_config = _STRICT

    contrast: float = Field(default=2.0, gt=0)
    adverse: Literal["high", "low"] | None = "high"


class Priors(BaseModel):
    """Priors as stated in a model file.

    Attributes
    ----------
    set : {"weak", "sceptical", "published"}
        For exposures and their interactions; `published` covers exposures with a published odds ratio, others stay `weak`.
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

    @model_validator(mode="before")
    @classmethod
    def _exposures(cls, data: Any) -> Any:
        """Fill in what an exposure does not state, by what kind of column it is."""
        if not isinstance(data, dict) or not isinstance(data.get("exposures"), dict):
            return data
        levels, z = (
            set(table) if isinstance(table := data.get(key), dict) else set() for key in ("levels", "standardise")
        )
        stated = {}
        for name, exposure in data["exposures"].items():
            if not isinstance(exposure, dict | ExposureTerm):
                return data
            said = exposure if isinstance(exposure, dict) else exposure.model_dump(exclude_unset=True)
            if name in levels:
                if said.get("contrast", 1) != 1 or said.get("adverse") is not None:
                    raise ValueError(
                        f"[exposures] {name} is categorical: each level is compared with the reference, so it has neither "
                        "contrast nor adverse"
                    )
                stated[name] = {**said, "contrast": 1.0, "adverse": None}
            else:
                stated[name] = {"contrast": 2.0 if name in z else 1.0, **said}
        return {**data, "exposures": stated}

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
        if self.priors.set == "published":
            published_priors(self)
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
        published = published_priors(self) if self.priors.set == "published" else {}
        prior_set = "weak" if published else self.priors.set
        for term in self.parsed.terms:
            label = ":".join(term)
            named = [part for part in term if part in self.exposures]
            if label in self.priors.terms:
                stated = self.priors.terms[label]
            elif label in published:
                stated = published[label]
            elif named:
                stated = set_prior(prior_set, self.exposures[named[0]].contrast, interaction=len(term) > 1)
            else:
                stated = self.priors.adjustment
            per = "per level against the reference" if set(named) & set(self.levels) else f"per {stated.per:g}"
            text = f"OR {stated.or_95[0]:.3g} to {stated.or_95[1]:.3g} {per}"
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

        Raises
        ------
        ModelFileError
            Where there is no such set, or a prior is of a term that the formula does not have.
        PriorError
            Where `published` does not apply to this model.
        """
        if priors is None:
            return self
        stated = {"set": priors} if isinstance(priors, str) else priors.model_dump()
        content = self.model_dump(by_alias=True)
        content["priors"] = content["priors"] | stated
        try:
            return Model.model_validate(content)
        except ValidationError as error:
            raise ModelFileError(
                f"priors={priors!r}", first_complaint(error), "Take 'weak', 'sceptical' or 'published', or Priors(...)"
            ) from error

    def design(self, cohort: Any) -> Any:
        """Make the analysis set and the design matrices from a cohort; see `specification.design.make_design`."""
        from muscle_bayes.specification.design import make_design

        return make_design(self, cohort)

    def to_bambi(self, cohort: Any, *, force_published: bool = False) -> Any:
        """Return this model of a cohort as a `bambi.Model`; see `specification.bayesian_models.to_bambi`."""
        from muscle_bayes.specification.bayesian_models import to_bambi

        design = self.design(cohort)
        require_new_data(self, design, force_published=force_published)
        return to_bambi(self, design)

    def to_pymc(self, cohort: Any, *, force_published: bool = False) -> Any:
        """Return this model of a cohort as a `pymc.Model`; see `specification.bayesian_models.to_pymc`."""
        from muscle_bayes.specification.bayesian_models import to_pymc

        design = self.design(cohort)
        require_new_data(self, design, force_published=force_published)
        return to_pymc(self, design)


def first_complaint(error: ValidationError) -> str:
    """Say the first complaint of pydantic in one sentence.

    Parameters
    ----------
    error : pydantic.ValidationError
        Of a model file.

    Returns
    -------
    str
        Place and message.
    """
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
