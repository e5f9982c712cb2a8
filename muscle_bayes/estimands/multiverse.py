"""Which specifications a sensitivity analysis computes: combinations of choices, and what reviewers ask for, one at a time."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from muscle_bayes.estimands.specifications import (
    ADJUSTMENTS,
    AGE_TERMS,
    LEAN_MUSCLE,
    SITE_TERMS,
    STANDING,
    WIDTHS,
    Specification,
    adipose_definitions,
)

#: Persons whom a reviewer may want left out, where the table has the column: not for what they may confound, but because
#: muscle and pain may have another reason in them.
RULES: dict[str, dict[str, Any]] = {
    "with osteoporosis": {"column": "osteoporosis", "op": "==", "value": 1},
    "with osteoarthritis": {"column": "osteoarthritis", "op": "==", "value": 1},
    "BMI 35 or above": {"column": "bmi_kg_m2", "op": ">=", "value": 35},
    "65 years or older": {"column": "age_years", "op": ">=", "value": 65},
}


def standing(model: Any, own: str = "threshold") -> Specification:
    """Return the specification that is the model as it stands.

    Parameters
    ----------
    model : Model
        As it stands.
    own : str
        The adipose definition of the table's plain columns.

    Returns
    -------
    Specification
        Every choice the model's own.
    """
    scale = model.priors.site_sd.half_normal if model.parsed.groups else None
    return Specification(model.name, model.priors.set, scale, adipose=own if adipose_definitions(model) else "")


def combinations(
    models: Sequence[Any],
    *,
    priors: Sequence[str],
    site_sd: Sequence[float],
    excluded: Sequence[str],
    adipose: Sequence[str],
    adjustment: Sequence[str] = (STANDING,),
    lean_muscle: Sequence[str] = (STANDING,),
    site_term: Sequence[str] = (STANDING,),
    age_term: Sequence[str] = (STANDING,),
    own: str = "threshold",
) -> list[Specification]:
    """Return every combination of choices, those of one design after each other.

    Parameters
    ----------
    models : sequence of Model
        Each with the same choices.
    priors, site_sd, excluded, adipose, adjustment, lean_muscle, site_term, age_term : sequences
        Choices, as `Specification` names them.
    own : str
        The adipose definition of the table's plain columns.

    Returns
    -------
    list of Specification
        Without repeats: a scale of the site SD is no choice where site has no random effect.
    """
    found: dict[Specification, None] = {}
    for model in models:
        plain = standing(model, own)
        designs = product(adipose if plain.adipose else ("",), lean_muscle, adjustment, site_term, age_term)
        for definition, form, covariates, site, age in designs:
            scales = (None,) if site == "fixed effect" or plain.site_sd is None else site_sd
            for one, prior_set, scale in product(excluded, priors, scales):
                found[
                    plain.but(
                        priors=prior_set, site_sd=scale, excluded=one, adipose=definition, adjustment=covariates,
                        lean_muscle=form, site_term=site, age_term=age,
                    )
                ] = None  # fmt: skip
    return list(found)


def reviewers(model: Any, table: pd.DataFrame, own: str = "threshold") -> tuple[list[Specification], dict[str, Any]]:
    """Return what a reviewer will ask for: the model as it stands with one choice changed at a time.

    Parameters
    ----------
    model : Model
        As it stands.
    table : pandas.DataFrame
        Persons; a column that is not there becomes a row that says so, except for exclusions by it.
    own : str
        The adipose definition of the table's plain columns.

    Returns
    -------
    specifications : list of Specification
        BMI added; without the diagnoses that may be mediators, and other sets of covariates that the model has; lean muscle
        without a ratio; site as a fixed effect, within and between, and with exposures centred or standardised within
        it; age as a spline; wider and narrower priors; persons left out.
    rules : dict
        The exclusions that these name.
    """
    plain, names = standing(model, own), set(model.parsed.names)
    sources = {rule.source for rule in model.standardise.values()}
    found = []
    for adjustment, gone in ADJUSTMENTS.items():
        covariates = names - set(model.exposures)
        changes = bool(set(gone) & covariates) or (adjustment == "without covariates" and bool(covariates))
        if adjustment.startswith("with BMI"):
            changes = "bmi_z" not in names and (changes or not gone)
        if changes:
            found.append(plain.but(adjustment=adjustment))
    if any(source.startswith("lmm_") for source in sources):
        found += [plain.but(lean_muscle=form) for form in LEAN_MUSCLE[1:]]
    scored = any(name in model.standardise for name in model.exposures)
    if model.parsed.groups and scored:
        found += [
            plain.but(site_term=term, site_sd=None if term == "fixed effect" else plain.site_sd)
            for term in SITE_TERMS[1:]
        ]
    age = [name for name, rule in model.standardise.items() if rule.source == "age_years"]
    if age and (age[0],) in model.parsed.terms:
        found += [plain.but(age_term=form) for form in AGE_TERMS[1:]]
    found += [plain.but(priors=width) for width in WIDTHS]
    rules = {name: rule for name, rule in RULES.items() if rule["column"] in table}
    found += [plain.but(excluded=name) for name in rules]
    return found, rules


def in_order(specifications: Sequence[Specification]) -> list[Specification]:
    """Return specifications without repeats, those of one design after each other, in the order in which designs first come."""
    by_design: dict[tuple[str, ...], dict[Specification, None]] = {}
    for one in specifications:
        by_design.setdefault(one.design, {})[one] = None
    return [one for group in by_design.values() for one in group]


def rule_names(exclusions: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return exclusions, as study.toml states them, by their names."""
    return {
        str(rule.get("name", rule.get("column", "rule"))): {k: v for k, v in rule.items() if k != "name"}
        for rule in exclusions
    }
