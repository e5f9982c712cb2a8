"""A model, as a model file of the catalogue states it."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from muscle_bayes.errors import FormulaError, ModelFileError
from muscle_bayes.specification.event import ORDERED, Event, parse_event
from muscle_bayes.specification.formula import Formula, parse_formula
from muscle_bayes.specification.priors import (
    HalfNormalPrior,
    NormalPrior,
    SDPrior,
    SlopeSDPrior,
    set_prior,
)
from muscle_bayes.specification.published import published_priors, require_new_data
from muscle_bayes.specification.sections import ExposureTerm, Priors, Standardise
from muscle_bayes.specification.transforms import call_of, variables_of_term

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Model(BaseModel):
    """A regression model of the catalogue, or of one's own.

    Attributes
    ----------
    formula : str
        In the grammar of `muscle_bayes.specification.formula`.
    name, title, question : str
        For people.
    family : {"bernoulli", "cumulative"}
        Logistic regression of an event; or of an ordered outcome, proportional odds: logit P(Y > k) = eta - threshold_k, so
        that an odds ratio is that of a higher category wherever the scale is cut.
    outcome : str
        What the event (or the ordered outcome) is called in tables and figures.
    event : str
        Such as ``pain_nrs >= 4``; by default the formula's response equals 1. Not for an ordered outcome.
    categories : list of str
        Of an ordered outcome, the lowest first; by default the whole numbers that occur.
    among : str
        A condition such as ``pain_nrs >= 1``: only these people enter. Z-scores are still those of everyone who is complete.
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
    family: Literal["bernoulli", "cumulative"] = "bernoulli"
    outcome: str = ""
    event: str = ""
    categories: list[str] = Field(default_factory=list)
    among: str = ""
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
        try:
            calls = parse_formula(data.get("formula", "")).calls
        except (FormulaError, TypeError):
            calls = ()  # said where the formula itself is checked
        smooth = {name for call in calls if call.smooth for name in call.variables}
        curved = {name for call in calls for name in call.variables}
        stated = {}
        for name, exposure in data["exposures"].items():
            if not isinstance(exposure, dict | ExposureTerm):
                return data
            said = exposure if isinstance(exposure, dict) else exposure.model_dump(exclude_unset=True)
            if said.get("levels") and name not in curved:
                raise ValueError(f"[exposures] {name} has levels, which only an exposure inside a transform needs")
            if name in levels:
                if said.get("contrast", 1) != 1 or said.get("adverse") is not None:
                    raise ValueError(
                        f"[exposures] {name} is categorical: each level is compared with the reference, so it has neither "
                        "contrast nor adverse"
                    )
                stated[name] = {**said, "contrast": 1.0, "adverse": None}
            else:
                # Levels of a curve need not have ends either: a U-shape has two.
                ends = {"adverse": None} if said.get("levels") else {}
                stated[name] = {"contrast": 2.0 if name in z | smooth else 1.0, **ends, **said}
        return {**data, "exposures": stated}

    @field_validator("categories", mode="before")
    @classmethod
    def _numbers_as_texts(cls, stated: Any) -> Any:
        if isinstance(stated, list):
            return [str(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in stated]
        return stated

    @model_validator(mode="after")
    def _outcome(self) -> Self:
        _ = self.parsed_event, self.parsed_among
        if self.family == "bernoulli":
            if self.categories:
                raise ValueError('categories are of an ordered outcome; add family = "cumulative", or take them out')
            return self
        if self.event:
            raise ValueError('an ordered outcome has no event; take `event` out, or family = "bernoulli"')
        if self.categories and (len(self.categories) < 2 or len(set(self.categories)) < len(self.categories)):
            raise ValueError("categories must be two or more different ones, the lowest first")
        if self.priors.set == "published":
            raise ValueError("no odds ratios of an ordered outcome are published; take the set weak or sceptical")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        formula = self.parsed
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
        for call in formula.calls:
            for column in call.variables:
                if column in self.levels:
                    raise ValueError(f"{call} takes numbers, but {column} is categorical by [levels]")
        for column, levels in self.levels.items():
            if len(levels) < 2 or len(set(levels)) < len(levels):
                raise ValueError(f"[levels] {column} needs two or more different levels, the reference first")
        for term in formula.terms:
            if len(term) > 1 and any((part,) not in formula.terms for part in term):
                raise ValueError(f"the interaction {':'.join(term)} stands without the main effects of all its parts")
        self._groups_consistent(formula)
        if self.priors.set == "published":
            published_priors(self)
        return self

    def _groups_consistent(self, formula: Formula) -> None:
        """Refuse slopes and groups that would mean something else than a reader thinks."""
        terms, predictors = (
            {frozenset(term) for term in formula.terms},
            {name for term in formula.terms for name in term},
        )
        for group in formula.groups:
            slopes = {frozenset(slope) for slope in group.slopes}
            for slope in group.slopes:
                label = ":".join(slope)
                if frozenset(slope) not in terms:
                    raise ValueError(
                        f"{group} varies {label!r}, which is no common term; without one its average would be fixed at 0"
                    )
                if len(slope) > 1 and any(frozenset([part]) not in slopes for part in slope):
                    raise ValueError(f"{group} varies {label!r} without the main effects of all its parts")
                if set(slope) & set(group.columns):
                    raise ValueError(f"{group} varies {label!r} over itself")
                if not group.intercept and set(slope) & set(self.levels):
                    raise ValueError(f"{group} varies the categorical {label!r}, which needs 1 in place of 0 beside it")
            scored = [column for column in group.columns if column in self.standardise]
            if scored:
                raise ValueError(f"{group} makes groups of {scored[0]!r}, which is a Z-score; make bands of it first")
            if 0 < len(predictors & set(group.columns)) < len(group.columns):
                raise ValueError(
                    f"{group} crosses predictors of the model with other columns; add all of {', '.join(group.columns)} to the "
                    "formula, or none"
                )
        varying = [
            f"{term}|{group.factor}"
            for group in formula.groups
            for term in [*(["1"] if group.intercept else []), *(":".join(slope) for slope in group.slopes)]
        ]
        for name, prior in self.priors.sds.items():
            if name not in varying:
                raise ValueError(
                    f"[priors] names {name!r}, which does not vary in the formula ({', '.join(varying) or 'nothing does'})"
                )
            if name.startswith("1|") and prior.per is not None:
                raise ValueError(f"[priors] {name!r} is the SD of an intercept and takes no `per`")

    @property
    def parsed(self) -> Formula:
        """The formula, parsed."""
        return parse_formula(self.formula, where=f"model {self.name!r}")

    @property
    def parsed_event(self) -> Event:
        """The event, parsed; of an ordered outcome, its column."""
        response = self.parsed.response
        if self.family == "cumulative":
            return Event(response, ORDERED, 0.0)
        return parse_event(self.event or f"{response} == 1", where=f"model {self.name!r}")

    @property
    def parsed_among(self) -> Event | None:
        """The condition on who enters, parsed; None where everyone does."""
        return parse_event(self.among, where=f"model {self.name!r}") if self.among else None

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
        return "exposure" if set(variables_of_term(term)) & set(self.exposures) else "adjustment"

    def normal_priors(self) -> dict[str, NormalPrior]:
        """Resolve the prior of the intercept and of every term.

        Returns
        -------
        dict of str to NormalPrior
            `intercept` first, then each term by its label (``intermat_z:lmm_z``). An ordered outcome has thresholds and no
            intercept.
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
        if self.family == "cumulative":
            resolved = {}
        published = published_priors(self) if self.priors.set == "published" else {}
        prior_set = "weak" if published else self.priors.set
        for term in self.parsed.terms:
            label = ":".join(term)
            named = [name for name in variables_of_term(term) if name in self.exposures]
            smooth = next((call for part in term if (call := call_of(part)) is not None and call.smooth), None)
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
            if smooth is not None:
                text += f" SD along the straight line, departures from it {smooth.bend:g} times as large"
            resolved[label] = NormalPrior(label, stated.mean, stated.sd, text, stated.reason)
        return resolved

    def sd_prior(self, term: str, factor: str) -> SDPrior:
        """Resolve the prior of the SD of group effects.

        Parameters
        ----------
        term : str
            ``1`` or the label of a term.
        factor : str
            What it varies over.

        Returns
        -------
        SDPrior
            Per one unit of the term's column.
        """
        name = f"{term}|{factor}"
        stated: HalfNormalPrior = self.priors.site_sd if term == "1" else self.priors.slope_sd
        stated = self.priors.sds.get(name, stated)
        text = f"half-normal {stated.half_normal:g}"
        if term == "1" or not isinstance(stated, SlopeSDPrior):
            return SDPrior(name, stated.half_normal, text, stated.reason)
        exposures = [part for part in term.split(":") if part in self.exposures]
        per = stated.per or (self.exposures[exposures[0]].contrast if exposures else 1.0)
        return SDPrior(name, stated.half_normal / per, f"{text} on the log odds ratio per {per:g}", stated.reason)

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
