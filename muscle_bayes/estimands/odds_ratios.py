"""Odds ratios per stated contrast, with interactions at stated values of the other variable."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.e_values import e_value, e_value_of_limit, square_root_approximation
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.odds_ratios_by_group import odds_ratios_by_group
from muscle_bayes.estimands.ordered import is_ordered, odds_ratio_of
from muscle_bayes.estimands.rounding import number_text
from muscle_bayes.estimands.sites import conditional_label
from muscle_bayes.estimands.variables import Variable, design_rows, model_scale, variables_of

#: An odds ratio in here is called practically none.
ROPE = (0.95, 1.05)

_WALD = 1.959963984540054


def odds_ratios(
    fit: Any,
    per: float | None = 2.0,
    at: Mapping[str, Any] | None = None,
    terms: Sequence[str] | None = None,
    *,
    by: str | None = None,
    rope: tuple[float, float] = ROPE,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return the odds ratio of every predictor, exposures first.

    Exposures and other Z-scores are stated per `per` Z, categorical variables against their reference, binary ones yes
    against no. In a smooth no odds ratio holds for every unit: the row compares two stated levels, half of `per` above the
    mean with half of it below, or those of the model's ``[exposures]`` (else the quartiles of a raw column), and says so.
    Where a predictor interacts, its odds ratio holds at stated values of the other one, by default its mean. Rows of role
    ``adjustment`` adjust the exposures' rows; their own odds ratios answer no question of the study (Westreich & Greenland
    2013, Am J Epidemiol 177, 292-298). Where a slope varies by group, its odds ratio is that of the average group unless
    `by` asks for each.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    per : float or None
        Z-scores that an odds ratio spans; None takes each exposure's own contrast from the model (2 for the others).
    at : mapping, optional
        Values of interacting variables, by formula name in Z or by raw column in raw units; a list gives a row each,
        such as ``{"lmm_z": [-1, 0, 1]}``. By default the mean, and a row for each level of a category (``sex``).
    terms : sequence of str, optional
        Predictors to report; by default all.
    by : str, optional
        A grouping factor that slopes vary over, such as ``site``: the average, each group's and a new group's odds ratios of the
        predictors whose slopes vary; see `muscle_bayes.estimands.odds_ratios_by_group`.
    rope : tuple of float
        Region of practical equivalence on the odds-ratio scale.
    cohort : Cohort or pandas.DataFrame, optional
        Not needed for odds ratios; taken so that every estimand is called alike.
    allow_unconverged : bool
        Report a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        Canonical columns, then `label, variable, level, at, lower_mcse, upper_mcse, rope_share, e_value_sqrt_or,
        e_value_sqrt_or_limit, text`. The E-values take the square root of the odds ratio for a risk ratio; those of the
        standardised risk ratio (`risks`) are to be preferred. For maximum likelihood the estimate is the maximum with
        its Wald interval, and `mcse`, `prob_gt_null`, `rope_share` are missing.

    Raises
    ------
    EstimandError
        Where `per` is not positive, or `terms` or `at` name what the model does not have.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    fit.require_converged(allow_unconverged)
    described, difference = stated_contrasts(fit, per, at, terms)
    if by is not None:
        return odds_ratios_by_group(fit, by, described, difference, explicit=terms is not None, rope=rope)
    summary = contrast_summary(fit, difference, rope=rope)
    # Of exposures only: what an adjustment term would need to be explained away is no question.
    # The square root stands for the risk ratio of an event; an ordered outcome has one for every cut (`fit.at_least`).
    asked = np.array([d["role"] == "exposure" and not is_ordered(fit) for d in described], dtype=bool)
    roots = [square_root_approximation(summary[name]) for name in ("estimate", "lower", "upper")]
    columns = {key: [d[key] for d in described] for key in described[0]} if described else {}
    return tidy(
        {
            "estimand": "odds ratio",
            **columns,
            **summary,
            "e_value_sqrt_or": np.where(asked, e_value(roots[0]), np.nan),
            "e_value_sqrt_or_limit": np.where(asked, e_value_of_limit(*roots), np.nan),
            "scale": "odds ratio",
            "site": conditional_label(fit),
            "population": "conditional on the covariates",
        },
        fit,
        interval=0.95,
        attrs={
            "per": per,
            "rope": list(rope),
            "estimate_is": "maximum" if fit.method == "ml" else "posterior median",
            "odds_ratio_of": odds_ratio_of(fit),
        },
    )


def stated_contrasts(
    fit: Any, per: float | None = 2.0, at: Mapping[str, Any] | None = None, terms: Sequence[str] | None = None
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return what each row of `odds_ratios` compares, in words and as a difference of design rows.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    per, at, terms
        As in `odds_ratios`.

    Returns
    -------
    described : list of k dict
        Term, contrast, role and what else names a row.
    difference : numpy.ndarray, shape (k, p)
        Row of the one person minus row of the other; times the coefficients it is the log odds ratio.

    Raises
    ------
    EstimandError
        Where `per` is not positive, or `terms` or `at` name what the model does not have.
    """
    if per is not None and not per > 0:
        raise EstimandError("per", f"{per} is no contrast", "Give a positive number of Z-scores, or None")
    variables = variables_of(fit)
    chosen = list(variables) if terms is None else list(terms)
    unknown = [name for name in chosen if name not in variables]
    if unknown:
        known = ", ".join(variables)
        raise EstimandError(f"term {unknown[0]!r}", "the model has no such predictor", f"Take one of {known}")
    at = _as_lists(at or {}, variables)
    for key in at:
        if not any(key in variables[name].partners for name in chosen):
            partners = dict.fromkeys(partner for name in chosen for partner in variables[name].partners)
            raise EstimandError(
                f"at, {key!r}",
                "none of the predictors asked for interacts with it, so that no odds ratio depends on it",
                f"Name one of {', '.join(partners)}"
                if partners
                else "Leave `at` out: the model has no interaction of these",
            )

    described, pairs = [], []
    for name in chosen:
        variable = variables[name]
        for setting in _settings(variable, at, variables):
            for low, high, contrast, level in _contrasts(variable, fit, per):
                described.append(_describe(variable, contrast, level, setting, variables))
                pairs += [{**setting, name: low}, {**setting, name: high}]
    rows = design_rows(fit, variables, pairs)
    return described, rows[1::2] - rows[0::2]


def contrast_summary(fit: Any, difference: np.ndarray, *, rope: tuple[float, float] = ROPE) -> dict[str, np.ndarray]:
    """Summarise the odds ratios of differences between design rows.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    difference : numpy.ndarray, shape (k, p)
        Row of the one person minus row of the other.
    rope : tuple of float
        Region of practical equivalence on the odds-ratio scale.

    Returns
    -------
    dict of str to numpy.ndarray, shape (k,)
        ``estimate, lower, upper, mcse, lower_mcse, upper_mcse, prob_gt_null, rope_share``.
    """
    if fit.method == "ml":
        beta, covariance = fit.maximum.coefficients[1:], fit.maximum.covariance[1:, 1:]
        log_or = difference @ beta
        error = np.sqrt(np.einsum("kp,pq,kq->k", difference, covariance, difference))
        missing = np.full(len(difference), np.nan)
        wald = {
            "estimate": np.exp(log_or),
            "lower": np.exp(log_or - _WALD * error),
            "upper": np.exp(log_or + _WALD * error),
        }
        return wald | dict.fromkeys(("mcse", "lower_mcse", "upper_mcse", "prob_gt_null", "rope_share"), missing)
    draws = np.exp(fit.coefficients()[:, 1:] @ difference.T)
    share = np.mean((draws > rope[0]) & (draws < rope[1]), axis=0)
    return {**summarise_draws(draws, fit, null=1.0), "rope_share": share}


def _as_lists(at: Mapping[str, Any], variables: Mapping[str, Variable]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for key, value in at.items():
        values = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
        scaled = [model_scale({key: v}, variables) for v in values]
        out[next(iter(scaled[0]))] = [next(iter(s.values())) for s in scaled]
    return out


def _settings(
    variable: Variable, at: Mapping[str, list[Any]], variables: Mapping[str, Variable]
) -> list[dict[str, Any]]:
    """Return the values of the interacting variables that the odds ratio is stated at; one empty one without."""
    values = dict(at)
    for name in variable.partners:
        # Of women only, or of men only, is half an answer: a category that nobody named is stated at each of its levels.
        if name not in values and variables[name].kind in {"categorical", "binary"}:
            values[name] = list(variables[name].levels) or [0.0, 1.0]
    partners = [name for name in variable.partners if name in values]
    return [dict(zip(partners, chosen, strict=True)) for chosen in product(*(values[name] for name in partners))]


def _contrasts(variable: Variable, fit: Any, per: float | None) -> list[tuple[Any, Any, str, str | None]]:
    if variable.kind == "categorical":
        first = variable.levels[0]
        return [(first, level, f"{level} against {first}", level) for level in variable.levels[1:]]
    if variable.kind == "binary":
        return [(0.0, 1.0, "yes against no", None)]
    if variable.compared:
        base = variable.compared[0]
        return [
            (base, value, f"{_amount(variable, value)} against {_amount(variable, base)}", f"{value:g}")
            for value in variable.compared[1:]
        ]
    if variable.curved and variable.kind == "numeric":
        low, high = (float(fit.support.quantiles.loc[variable.name, q]) for q in (0.25, 0.75))
        words = f"third quartile ({_amount(variable, high)}) against first ({_amount(variable, low)})"
        return [(low, high, words, None)]
    span = per
    if span is None:
        span = fit.model.exposures[variable.name].contrast if variable.name in fit.model.exposures else 2.0
    if variable.kind == "standardised":
        within = "" if variable.over == "all" else f" within {label_of(variable.over).lower()}"
        size = f"{span:g} SD{within} = {number_text(span * variable.sd, decimals=1)} {variable.unit}".strip()
        if variable.curved:
            return [(-span / 2, span / 2, f"{_z(span / 2)} against {_z(-span / 2)} ({size})", None)]
        # Around the mean, as a curved one is compared; a straight one loses nothing by it.
        return [(-span / 2, span / 2, f"per {span:g} Z ({size})", None)]
    # `per` speaks of Z-scores; an exposure in its own unit has the contrast that its model states.
    step = fit.model.exposures[variable.name].contrast if variable.name in fit.model.exposures else 1.0
    words = f"per {step:g} {variable.unit or ('unit' if step == 1 else 'units')}"
    return [(variable.reference, variable.reference + step, words, None)]  # type: ignore[operator]


def _z(value: float) -> str:
    sign = "\N{MINUS SIGN}" if value < 0 else "+"
    return f"{sign}{abs(value):g} Z"


def _amount(variable: Variable, value: float) -> str:
    """Return a value of a predictor with its unit: ``+1 Z``, ``2000 MET-min/week``."""
    if variable.kind == "standardised":
        return _z(value)
    return f"{number_text(value, decimals=1) if value % 1 else f'{value:g}'} {variable.unit}".strip()


def _describe(
    variable: Variable, contrast: str, level: str | None, setting: Mapping[str, Any], variables: Mapping[str, Variable]
) -> dict[str, Any]:
    # A partner that was not named stands at its reference; the row says so, since its odds ratio holds only there.
    stated = {name: setting.get(name, variables[name].reference) for name in variable.partners}
    at = ", ".join(variables[name].stated(value) for name, value in stated.items())
    return {
        "term": variable.name if level is None else f"{variable.name}[{level}]",
        "contrast": f"{contrast} at {at}" if at else contrast,
        "role": variable.role,
        "label": variable.label,
        "variable": variable.name,
        "level": level or "",
        "at": at,
    }
