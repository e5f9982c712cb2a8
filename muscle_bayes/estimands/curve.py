"""The odds-ratio curve: one predictor against a stated reference, over all values that the data hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.odds_ratios import contrast_summary
from muscle_bayes.estimands.variables import Variable, design_rows, model_scale, variables_of
from muscle_bayes.specification.transforms import INVERSES, equal_steps

_STEPS = 100
_BINS = 40
#: Bars of the distribution with fewer persons are not kept.
_LEAST = 5


def odds_ratio_curve(
    fit: Any,
    variable: str,
    reference: float | None = None,
    grid: Sequence[float] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return the odds ratio of every value of a numeric predictor against a reference value.

    For predictors in a smooth, whose odds ratio is no one number; a linear one gives its straight line, which shows what a
    smooth was asked to improve on.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    variable : str
        A numeric predictor, by its name in the formula or by its raw column.
    reference : float, optional
        Where the odds ratio is 1, in the unit that `variable` names (Z or raw). By default the first of the levels that the
        model states, else the mean of a Z-score, else the median.
    grid : sequence of float, optional
        Values in the same unit; by default 101 from the 1st to the 99th percentile of the analysis set, at
        equal steps on the scale on which the model takes the predictor (the square root, for ``ns(sqrt(x), df=4)``).
    at : mapping, optional
        Values of other predictors that it interacts with; by default their reference.
    cohort : Cohort or pandas.DataFrame, optional
        Not needed; taken so that every estimand is called alike.
    allow_unconverged : bool
        Report a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        One row a value: canonical columns, then `value` (raw units), `z` (missing for a raw column), `supported` (between
        the 1st and the 99th percentile), `rope_share`. At the reference the odds ratio is 1 without error and `prob_gt_null`
        is missing. Each interval is of one value, not of the whole curve at once. ``.attrs`` has the reference, label,
        unit, the transform of the axis (empty for none), and the distribution of the analysis set as a histogram.

    Raises
    ------
    EstimandError
        Where the variable is none, or not numeric.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    fit.require_converged(allow_unconverged)
    variables = variables_of(fit)
    found = _numeric(variable, variables)
    raw = variable != found.name and found.kind == "standardised"
    quantiles = fit.support.quantiles.loc[found.name]
    low, high = float(quantiles[0.01]), float(quantiles[0.99])
    axis = found.scale if found.scale in INVERSES else ""
    values = equal_steps(low, high, _STEPS, axis) if grid is None else np.asarray(grid, dtype=float)
    zero = float(found.reference) if reference is None else float(reference)
    if raw:
        values = values if grid is None else (values - found.mean) / found.sd
        zero = zero if reference is None else (zero - found.mean) / found.sd
    others = model_scale(at or {}, variables)

    rows = design_rows(fit, variables, [{**others, found.name: value} for value in (zero, *values)])
    difference = rows[1:] - rows[0]
    summary = contrast_summary(fit, difference)
    summary["prob_gt_null"][~difference.any(axis=1)] = np.nan
    one_scale = found.over == "all"
    standardised = found.kind == "standardised"
    shown = found.to_raw(values) if one_scale else values
    said = [_stated(found, value) for value in (zero, *values)]
    stands = ", ".join(variables[name].stated(others.get(name, variables[name].reference)) for name in found.partners)
    return tidy(
        {
            "estimand": "odds ratio curve",
            "term": found.name,
            "contrast": [f"{text} against {said[0]}" + (f" at {stands}" if stands else "") for text in said[1:]],
            **summary,
            "scale": "odds ratio",
            "site": "conditional on site" if fit.recipe.site_levels else "no site in the model",
            "population": "conditional on the covariates",
            "role": found.role,
            "value": shown,
            "z": values if standardised else np.nan,
            "supported": (values >= low - 1e-12) & (values <= high + 1e-12),
        },
        fit,
        interval=0.95,
        attrs={
            "variable": found.name,
            "source": found.source,
            "label": found.label,
            "unit": found.unit if one_scale else f"Z within {found.over}",
            "reference": float(found.to_raw(zero)) if one_scale else zero,
            "reference_text": said[0],
            "at": stands,
            "curved": found.curved,
            "axis": axis,
            "distribution": _distribution(fit, found, axis, one_scale=one_scale),
        },
    )


def _numeric(name: str, variables: Mapping[str, Variable]) -> Variable:
    by_source = {variable.source: variable for variable in variables.values()}
    found = variables.get(name) or by_source.get(name)
    if found is None or found.kind not in {"standardised", "numeric"}:
        known = [v.name for v in variables.values() if v.kind in {"standardised", "numeric"}]
        problem = "the model has no such predictor" if found is None else "it has levels, and no values between them"
        raise EstimandError(
            f"curve of {name!r}", problem, f"Take one of {', '.join(known) or 'none: all are categorical'}"
        )
    if name != found.name and found.kind == "standardised":
        found.require_one_scale()
    return found


def _stated(variable: Variable, value: float) -> str:
    """Return ``Age = 40 years`` or ``InterMAT = +1 Z``, in raw units where they mean the same for everyone."""
    if variable.over != "all":
        return variable.stated(round(value, 2))
    raw = variable.to_raw(value)
    number = (f"{raw:.3g}" if abs(raw) < 100 else f"{raw:.0f}").replace("-", "\N{MINUS SIGN}")
    return f"{variable.label} = {number} {variable.unit}".strip()


def _distribution(fit: Any, variable: Variable, axis: str, *, one_scale: bool) -> dict[str, list[float]]:
    """Return edges and densities of a histogram: of the persons where the fit has them, else between its quantiles."""
    quantiles = fit.support.quantiles.loc[variable.name]
    low, high = float(quantiles[0.01]), float(quantiles[0.99])
    if fit.cohort is not None:
        column = fit.cohort if variable.name in fit.cohort else fit.recipe.standardise(fit.cohort)
        edges = equal_steps(low, high, _BINS, axis)
        counts = np.histogram(column[variable.name].to_numpy(dtype=float), edges)[0].astype(float)
        density = np.where(counts < _LEAST, 0.0, counts) / (len(column) * np.diff(edges))
    else:
        at = np.array([float(q) for q in quantiles.index if 0.01 <= float(q) <= 0.99])
        edges, first = np.unique([float(quantiles[q]) for q in at], return_index=True)
        density = np.diff(at[first]) / np.diff(edges)
    if one_scale:
        edges, density = variable.to_raw(edges), density / variable.sd
    return {"edges": [float(v) for v in edges], "density": [float(v) for v in density]}
