"""Variants of a model that a reviewer asks for: priors, adipose definitions, covariates."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.refitting import without
from muscle_bayes.specification import Standardise

#: Sets of covariates beside the model's own, by the name that tables and figures show.
ADJUSTMENTS = (
    "as specified",
    "with BMI",
    "without osteoarthritis and osteoporosis",
    "without covariates",
)

_MEASURES = {"intermat_percent": "intermat_{}_percent", "lmm_cm3_per_kg_m2": "lmm_{}_cm3_per_kg_m2"}


def with_priors(model: Any, prior_set: str, site_sd: float) -> Any:
    """Return a model with another prior set and another scale of the site SD's prior.

    Parameters
    ----------
    model : Model
        Terms with a prior of their own keep it.
    prior_set : {"weak", "sceptical"}
        For the exposures.
    site_sd : float
        Scale of the half-normal prior.

    Returns
    -------
    Model
        A copy.
    """
    model = model.with_priors(prior_set)
    scale = model.priors.site_sd.model_copy(update={"half_normal": float(site_sd), "reason": "sensitivity analysis"})
    return model.model_copy(update={"priors": model.priors.model_copy(update={"site_sd": scale})})


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
    if adjustment == "as specified":
        return model
    if adjustment == "with BMI":
        if "bmi_kg_m2" not in columns:
            raise EstimandError("adjustment='with BMI'", "the table has no column 'bmi_kg_m2'", "Leave it out")
        if "bmi_z" in model.parsed.names:
            return model
        added = Standardise.model_validate({"from": "bmi_kg_m2"})
        left, right = str(model.parsed).split(" ~ ")
        return model.model_copy(
            update={
                "formula": f"{left} ~ bmi_z + {right.removeprefix('1 + ')}",
                "standardise": {**model.standardise, "bmi_z": added},
            }
        )
    if adjustment == "without osteoarthritis and osteoporosis":
        return without(model, ["osteoarthritis", "osteoporosis"])
    if adjustment == "without covariates":
        return without(model, [name for name in model.parsed.names if name not in model.exposures])
    raise EstimandError(f"adjustment={adjustment!r}", "there is no such set", f"Take one of {', '.join(ADJUSTMENTS)}")


def site_exclusions(frame: pd.DataFrame, site: str | None, leave_out: bool) -> list[str]:
    """Return which sites to leave out in turn, first none; with fewer than three sites none can be spared."""
    if not leave_out or site is None:
        return [""]
    levels = sorted(frame[site].astype("str").unique())
    return ["", *levels] if len(levels) >= 3 else [""]
