"""The nomogram's scale: the probability at each total of points."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.linear_predictor import LinearPredictor, linear_predictor
from muscle_bayes.estimands.points import PointsSystem, pretty
from muscle_bayes.estimands.sites import MEANING, expit, site_label

NOT_CLINICAL = "For research; not for clinical decisions."

#: Blocks of persons that the risk at one total is averaged over: at least 5, at most 25, else a thirtieth of all.
_FEWEST, _MOST = 5, 25


def probability_scale(
    fit: Any, system: PointsSystem, *, site: str, site_name: str | None = None, step: float | None = None
) -> pd.DataFrame:
    """Return the probability at each total, as posterior of the risk averaged over persons with that total.

    Parameters
    ----------
    fit : Fit
        With `support.profile` (mean design rows of blocks of persons with adjacent linear predictor).
    system : PointsSystem
        The points.
    site, site_name : str, str or None
        Which site.
    step : float, optional
        Distance between totals.

    Returns
    -------
    pandas.DataFrame
        One row a total: canonical columns, `total_points`, `linear_predictor` (site left out), `n` (persons nearer to
        this total than to the next), `extrapolated`.
    """
    profile, sizes = np.asarray(fit.support.profile), np.asarray(fit.support.profile_n)
    at_block = system.total(profile)
    largest = max(system.largest_total, at_block.max())
    smallest = min(0.0, at_block.min())
    step = step or float(np.diff(pretty(smallest, largest, 100))[0])
    totals = step * np.arange(np.floor(smallest / step + 1e-9), np.ceil(largest / step - 1e-9) + 1)
    lp = system.linear_predictor(totals)
    extrapolated = (totals < at_block.min()) | (totals > at_block.max())

    members = None
    if site == "known":
        place = list(fit.recipe.site_levels).index(str(site_name))
        members = {fit.recipe.site: np.full(len(profile), place)}
    eta = linear_predictor(fit, profile, site=site, members=members)
    lp_block = system.intercept + profile @ system.beta
    count = int(np.clip(len(profile) // 30, _FEWEST, _MOST))
    risks = np.empty((len(eta.draws), len(totals)))
    for j, (total, level) in enumerate(zip(totals, lp, strict=True)):
        near = np.argsort(np.abs(at_block - total), kind="stable")[:count]
        per_block = eta.rows(near).probabilities(level - lp_block[near])
        risks[:, j] = per_block @ (sizes[near] / sizes[near].sum())
    summary = summarise_draws(risks, fit, null=0.5)
    # Nobody is there to average over: the point estimate goes on along the logit, an interval would be made up.
    ends = np.abs(at_block[None, :] - totals[extrapolated, None]).argmin(axis=1)
    central = _central_probability(fit, eta.rows(ends), lp[extrapolated], lp_block[ends], site, site_name)
    summary["estimate"][extrapolated] = central
    for name in ("lower", "upper", "mcse", "lower_mcse", "upper_mcse"):
        summary[name] = np.where(extrapolated, np.nan, summary[name])
    cell = np.clip(np.round((at_block - totals[0]) / step).astype(int), 0, len(totals) - 1)
    return tidy(
        {
            "estimand": "probability at total points",
            "term": fit.provenance().get("outcome", "outcome"),
            "contrast": [f"total points = {t:g}" for t in totals],
            **summary,
            "prob_gt_null": np.nan,
            "scale": "probability",
            "site": site_label(fit, site, site_name),
            "population": "persons of the analysis set with that total",
            "role": "prediction",
            "total_points": totals,
            "linear_predictor": lp,
            "n": np.bincount(cell, weights=sizes, minlength=len(totals)).astype(int),
            "extrapolated": extrapolated,
        },
        fit,
        interval=0.95,
        decimals=3,
        attrs={
            "site": site_label(fit, site, site_name),
            "site_meaning": MEANING[site],
            "note": NOT_CLINICAL,
            "points_from": "the maximum" if fit.method == "ml" else "posterior mean coefficients",
            "band": f"posterior of the risk averaged over persons with about that total (nearest {count} blocks of them)",
        },
    )


def _central_probability(
    fit: Any, eta: LinearPredictor, lp: np.ndarray, lp_block: np.ndarray, site: str, site_name: str | None
) -> np.ndarray:
    if site == "marginal":
        # The spread of the nearest block, whose own log odds are taken out again.
        moved = lp[None, :] - eta.log_odds()
        return np.asarray(np.median(eta.probabilities(moved), axis=0))
    if site == "known":
        place = list(fit.recipe.site_levels).index(str(site_name))
        effects = fit.maximum.site_effects if fit.method == "ml" else np.median(fit.site_effects(), axis=0)
        lp = lp + effects[place]
    return np.asarray(expit(np.asarray(lp, dtype=float)))
