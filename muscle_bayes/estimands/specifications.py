"""Variants of a model that a reviewer asks for: priors, adipose definitions, covariates, site, age, form of lean muscle."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import derived_exposures as derived
from muscle_bayes.estimands.refitting import without
from muscle_bayes.specification import Standardise
from muscle_bayes.specification.priors import SETS, Z_975, OddsRatioPrior

#: The choice that leaves a model as it is.
STANDING = "as specified"

#: Sets of covariates beside the model's own, with what each leaves out; docs/adjustment.md says which answers what.
ADJUSTMENTS: dict[str, tuple[str, ...]] = {
    STANDING: (),
    "with BMI": (),
    "without osteoarthritis and osteoporosis": ("osteoarthritis", "osteoporosis"),
    "with BMI, without osteoarthritis and osteoporosis": ("osteoarthritis", "osteoporosis"),
    "without diagnoses": ("osteoarthritis", "osteoporosis", "diabetes", "dyslipidemia"),
    "without physical activity": ("activity", "activity_met_min_week"),
    "without covariates": (),
}

#: What stands in place of volume by BMI.
LEAN_MUSCLE = (STANDING, "volume / height²", "volume given height and weight", "volume beside height and weight")

#: How study site enters.
SITE_TERMS = (STANDING, "fixed effect", "within and between", "centred exposures", "Z within site")

#: How age enters.
AGE_TERMS = (STANDING, "spline")

#: Factor on the SD of every prior of the exposures and their interactions.
WIDTHS = {"twice as wide": 2.0, "half as wide": 0.5}

_MEASURES = {"intermat_percent": "intermat_{}_percent", "lmm_cm3_per_kg_m2": "lmm_{}_cm3_per_kg_m2"}
_LMM = re.compile(r"^lmm_(?:(\w+)_)?cm3_per_kg_m2$")
_AGE_SPLINE = "ns({}, df=4)"


@dataclass(frozen=True)
class Specification:
    """The choices that make one specification; the defaults leave the model as it stands.

    Attributes
    ----------
    model : str
        Name of the model.
    priors : str
        Prior set of the exposures: ``weak``, ``sceptical``, ``published``, one of `WIDTHS`, or a name of one's own.
    site_sd : float or None
        Scale of the half-normal prior of the site SD; None where site has no random effect.
    excluded : str
        Who is left out: ``nobody``, ``site Essen``, or the name of a rule.
    adipose : str
        Definition of adipose tissue.
    adjustment, lean_muscle, site_term, age_term : str
        Of `ADJUSTMENTS`, `LEAN_MUSCLE`, `SITE_TERMS`, `AGE_TERMS`.
    """

    model: str
    priors: str
    site_sd: float | None
    excluded: str = "nobody"
    adipose: str = "threshold"
    adjustment: str = STANDING
    lean_muscle: str = STANDING
    site_term: str = STANDING
    age_term: str = STANDING

    def but(self, **choices: Any) -> "Specification":
        """Return this specification with other choices."""
        return replace(self, **choices)

    @property
    def design(self) -> tuple[str, ...]:
        """The choices that decide on columns and Z-scores; specifications that share them share their design."""
        return (self.model, self.adipose, self.adjustment, self.lean_muscle, self.site_term, self.age_term)

    def stated(self) -> dict[str, Any]:
        """Return the choices by name."""
        return asdict(self)


#: Columns that state the choices of a specification.
CHOICES = tuple(Specification.__dataclass_fields__)


def with_priors(model: Any, priors: str, site_sd: float | None, stated: Mapping[str, Any] | None = None) -> Any:
    """Return a model with other priors of its exposures and another scale of the site SD's prior.

    Parameters
    ----------
    model : Model
        Terms with a prior of their own keep it under a set; `WIDTHS` widen or narrow it too.
    priors : str
        A prior set, one of `WIDTHS`, or a name in `stated`; the model's own set leaves them as they are.
    site_sd : float or None
        Scale of the half-normal prior; None leaves it.
    stated : mapping of str to Priors or str, optional
        Priors of one's own by name.

    Returns
    -------
    Model
        A copy.

    Raises
    ------
    EstimandError
        Where there are no such priors.
    """
    if stated and priors in stated:
        model = model.with_priors(stated[priors])
    elif priors in WIDTHS:
        model = _wider(model, WIDTHS[priors])
    elif priors in (*SETS, "published"):
        model = model if priors == model.priors.set else model.with_priors(priors)
    else:
        known = ", ".join([*SETS, "published", *WIDTHS, *(stated or {})])
        raise EstimandError(f"priors={priors!r}", "there are no such priors", f"Take of {known}, or state them")
    if site_sd is None or site_sd == model.priors.site_sd.half_normal:
        return model
    scale = model.priors.site_sd.model_copy(update={"half_normal": float(site_sd), "reason": "sensitivity analysis"})
    return model.model_copy(update={"priors": model.priors.model_copy(update={"site_sd": scale})})


def _wider(model: Any, factor: float) -> Any:
    """Multiply the SD of the prior of every term that an exposure takes part in."""
    named = dict(model.priors.terms)
    resolved = model.normal_priors()
    for term in model.parsed.terms:
        label = ":".join(term)
        if model.role(term) == "exposure":
            prior = resolved[label]
            half = Z_975 * factor * prior.sd
            named[label] = OddsRatioPrior(
                or_95=(math.exp(prior.mean - half), math.exp(prior.mean + half)),
                reason=f"{prior.reason}; SD times {factor:g}",
            )
    kept = "weak" if model.priors.set == "published" else model.priors.set
    return model.model_copy(update={"priors": model.priors.model_copy(update={"terms": named, "set": kept})})


def with_adipose(model: Any, adipose: str, columns: Sequence[str], own: str = "threshold") -> Any:
    """Return a model whose exposures are measured by another adipose definition.

    Parameters
    ----------
    model : Model
        Exposures from ``intermat_percent`` and ``lmm_cm3_per_kg_m2`` are exchanged.
    adipose : {"threshold", "fraction", "mixture"}
        The definition.
    columns : sequence of str
        Columns of the table.
    own : str
        The definition that the table's plain columns follow.

    Returns
    -------
    Model
        A copy.

    Raises
    ------
    EstimandError
        Where the table has no column of that definition.
    """
    changed = {}
    for name, rule in model.standardise.items():
        if rule.source in _MEASURES:
            column = _MEASURES[rule.source].format(adipose)
            if column not in columns:
                if adipose != own:
                    raise EstimandError(
                        f"adipose={adipose!r}", f"the table has no column {column!r}", "Leave this definition out"
                    )
                column = rule.source
            rule = rule.model_copy(update={"source": column})
        changed[name] = rule
    return model.model_copy(update={"standardise": changed})


def with_adjustment(model: Any, adjustment: str, columns: Sequence[str]) -> Any:
    """Return a model with another set of covariates.

    Parameters
    ----------
    model : Model
        The model.
    adjustment : str
        One of `ADJUSTMENTS`.
    columns : sequence of str
        Columns of the table.

    Returns
    -------
    Model
        A copy.

    Raises
    ------
    EstimandError
        Where there is no such set, or the table has no BMI.
    """
    _known("adjustment", adjustment, ADJUSTMENTS)
    if adjustment.startswith("with BMI"):
        if "bmi_kg_m2" not in columns:
            raise EstimandError(f"adjustment={adjustment!r}", "the table has no column 'bmi_kg_m2'", "Leave it out")
        model = _added(model, {"bmi_z": "bmi_kg_m2"})
    if adjustment == "without covariates":
        return without(model, [name for name in model.parsed.names if name not in model.exposures])
    return without(model, ADJUSTMENTS[adjustment]) if ADJUSTMENTS[adjustment] else model


def with_lean_muscle(model: Any, form: str, table: pd.DataFrame, own: str = "threshold") -> tuple[Any, pd.DataFrame]:
    """Return a model whose lean muscle is no volume divided by BMI, and the table with the columns it needs.

    Parameters
    ----------
    model : Model
        With an exposure from LMM.
    form : str
        One of `LEAN_MUSCLE`: the volume by the square of height; what height and weight do not account for
        (`derived_exposures.allometric_residual`); the volume itself with Z-scores of height and weight as covariates.
    table : pandas.DataFrame, n rows
        Persons.
    own : str
        The adipose definition that the table's plain columns follow.

    Returns
    -------
    tuple of Model and pandas.DataFrame
        Copies.

    Raises
    ------
    EstimandError
        Where the model has no LMM, or its prior is the published one, which is of volume by BMI.
    MissingColumnError
        Where the table lacks height, weight or BMI.
    """
    _known("lean_muscle", form, LEAN_MUSCLE)
    if form == STANDING:
        return model, table
    found = [(name, _LMM.match(rule.source)) for name, rule in model.standardise.items()]
    name, match = next(((name, match) for name, match in found if match), ("", None))
    if match is None:
        raise EstimandError(f"lean_muscle={form!r}", "the model has no LMM", "Leave it out")
    source = model.standardise[name].source
    volume = derived.lean_volume(table, source, own=match[1] in (None, own))
    derived.require(table, "height_cm")
    if form == "volume / height²":
        column, values = derived.PER_HEIGHT_SQUARED, derived.per_height_squared(volume, table["height_cm"])
    elif form == "volume given height and weight":
        derived.require(table, "weight_kg")
        column = derived.RESIDUAL
        values, _ = derived.allometric_residual(volume, table["height_cm"], table["weight_kg"])
    else:
        derived.require(table, "weight_kg")
        column, values = derived.VOLUME, volume
        model = _added(model, {"height_z": "height_cm", "weight_z": "weight_kg"})
    rule = model.standardise[name].model_copy(update={"source": column})
    return model.model_copy(update={"standardise": {**model.standardise, name: rule}}), table.assign(**{column: values})


def with_age(model: Any, form: str) -> Any:
    """Return a model with age as a natural cubic spline of 4 degrees of freedom.

    Parameters
    ----------
    model : Model
        With a Z-score of ``age_years`` as a term of its own.
    form : {"as specified", "spline"}
        How age enters.

    Returns
    -------
    Model
        A copy.

    Raises
    ------
    EstimandError
        Where the model has no such term.
    """
    _known("age_term", form, AGE_TERMS)
    if form == STANDING:
        return model
    age = next((name for name, rule in model.standardise.items() if rule.source == "age_years"), "")
    if (age,) not in model.parsed.terms:
        raise EstimandError(f"age_term={form!r}", "the model has no straight line of age", "Leave it out")
    terms = [_AGE_SPLINE.format(age) if term == (age,) else ":".join(term) for term in model.parsed.terms]
    terms_priors = {key: prior for key, prior in model.priors.terms.items() if key != age}
    priors = model.priors.model_copy(update={"terms": terms_priors})
    return _formula(model, terms, _groups(model)).model_copy(update={"priors": priors})


def with_fixed_site(model: Any, site: str, levels: Sequence[str]) -> Any:
    """Return a model with a coefficient for each site but the first in place of the random effect.

    Parameters
    ----------
    model : Model
        With a random effect of site.
    site : str
        The site's column.
    levels : sequence of str
        The sites that are left.

    Returns
    -------
    Model
        A copy; the coefficients have the prior of adjustment terms.
    """
    terms = [":".join(term) for term in model.parsed.terms]
    if len(levels) < 2:
        return _formula(model, terms, "")
    fixed = _formula(model, [*terms, site], "")
    return fixed.model_copy(update={"levels": {**model.levels, site: list(levels)}})


def with_covariates(model: Any, columns: Sequence[str]) -> Any:
    """Return a model with further columns as covariates."""
    terms = [":".join(term) for term in model.parsed.terms]
    return _formula(model, [*terms, *(name for name in columns if name not in terms)], _groups(model))


def site_exclusions(frame: pd.DataFrame, site: str | None, leave_out: bool) -> list[str]:
    """Return which sites to leave out in turn; with fewer than three sites none can be spared."""
    if not leave_out or site is None:
        return []
    levels = sorted(frame[site].astype("str").unique())
    return levels if len(levels) >= 3 else []


def adipose_definitions(model: Any) -> bool:
    """Whether a model takes an exposure from a canonical column that other adipose definitions have too."""
    return any(rule.source in _MEASURES for rule in model.standardise.values())


def _known(choice: str, value: str, known: Any) -> None:
    if value not in known:
        raise EstimandError(f"{choice}={value!r}", "there is no such choice", f"Take one of {', '.join(known)}")


def _added(model: Any, scores: Mapping[str, str]) -> Any:
    """Add Z-scores as covariates, where the model does not have them."""
    new = {name: source for name, source in scores.items() if name not in model.parsed.names}
    rules = {name: Standardise.model_validate({"from": source}) for name, source in new.items()}
    return with_covariates(model, list(new)).model_copy(update={"standardise": {**model.standardise, **rules}})


def _groups(model: Any) -> str:
    """Return the group-level part of the formula as it is written."""
    return str(model.parsed).removeprefix(f"{model.parsed.response} ~ {model.parsed.common}")


def _formula(model: Any, terms: Sequence[str], groups: str) -> Any:
    return model.model_copy(update={"formula": f"{model.parsed.response} ~ {' + '.join(terms or ['1'])}{groups}"})
