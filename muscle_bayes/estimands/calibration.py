"""Calibration by isotonic regression: how often the event happens among persons who were given a probability."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.predictive import CHECK_DRAWS, groups_of, predictive
from muscle_bayes.estimands.sites import MEANING, site_label

_GRID = np.linspace(0, 1, 101)


def calibration(
    fit: Any,
    by: str | None = None,
    *,
    site: str | None = None,
    replicates: int = 1000,
    draws: int = CHECK_DRAWS,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return calibration curves by isotonic regression (CORP), with consistency bands and the Brier score's parts.

    The curve is the isotonic regression of the outcomes on the posterior mean probabilities: it needs no bins and no
    bandwidth. The band holds 95 % of the curves that a calibrated model of the same probabilities would show, at each
    probability.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    by : str, optional
        A column: also a curve for each of its groups (``site``); numeric ones in tenths.
    site : {"known", "typical", "new"}, optional
        By default the persons' own sites.
    replicates : int
        Outcomes that are drawn from the probabilities for the band.
    draws : int
        Posterior draws over which a person's probability is averaged.
    cohort : Cohort or pandas.DataFrame, optional
        Other persons with the outcome (external calibration), in place of the analysis set.
    allow_unconverged : bool
        Check a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        Rows of estimand ``calibration curve``: `forecast` (probability given), `estimate` (isotonic regression there),
        `lower, upper` (band), `step` (number of the curve's level), `group`. For each group also ``Brier score``,
        ``miscalibration``, ``discrimination``, ``uncertainty`` (Brier = miscalibration - discrimination + uncertainty),
        ``mean forecast`` and ``observed prevalence``. ``.attrs["forecasts"]`` has the histogram of each group.

    Raises
    ------
    EstimandError
        Where persons, outcomes or the column are not there, or `replicates` is below 100.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Dimitriadis, Gneiting & Jordan 2021, PNAS 118, e2016191118: regression, decomposition, and consistency bands by
    resampling. On the persons whom the model was fitted to, agreement is closer than the band expects.
    """
    fit.require_converged(allow_unconverged)
    if replicates < 100:
        raise EstimandError("replicates", f"{replicates} do not make a 95 % band", "Take 100 or more")
    checked = predictive(fit, cohort, site=site, draws=draws, check="calibration")
    forecast, rng = checked.mean_probabilities(), np.random.default_rng([fit.seed, 73])
    who = "analysis set" if cohort is None else "persons given"
    parts = [("all", f"{who} (n = {len(forecast):,})", np.ones(len(forecast), dtype=bool))]
    if by is not None:
        groups = groups_of(checked.persons, by)
        for level in groups.cat.categories:
            inside = (groups == level).to_numpy(dtype=bool)
            parts.append((str(level), f"{by} = {level} (n = {inside.sum():,})", inside))
    frames, histograms = [], {}
    for group, population, inside in parts:
        x, y = forecast[inside], checked.y[inside]
        frames.append(curve_rows(x, y, replicates, rng).assign(population=population, group=group, n=len(x)))
        histograms[group] = forecast_histogram(x)
    frame = pd.concat(frames, ignore_index=True)
    return tidy(
        {
            **{name: frame[name] for name in frame.columns},
            "term": "probability",
            "site": site_label(fit, checked.site),
            "role": "check",
        },
        fit,
        interval=0.95,
        decimals=3,
        attrs={
            "by": by,
            "forecasts": histograms,
            "replicates": replicates,
            "draws_used": len(checked.draws),
            "site_meaning": MEANING[checked.site],
            "external": cohort is not None,
        },
    )


def isotonic(forecast: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the isotonic regression of outcomes on forecasts, equal forecasts taken together.

    Parameters
    ----------
    forecast : numpy.ndarray, shape (n,)
        Probabilities given.
    y : numpy.ndarray, shape (n,) or (b, n)
        Outcomes, or b sets of outcomes of the same persons.

    Returns
    -------
    knots : numpy.ndarray, shape (u,)
        Different forecasts, ascending.
    fitted : numpy.ndarray, shape (u,) or (b, u)
        Regression at them, by pooling adjacent violators.
    weights : numpy.ndarray, shape (u,)
        Persons at each.
    """
    order = np.argsort(forecast, kind="stable")
    knots, starts = np.unique(forecast[order], return_index=True)
    weights = np.diff(np.append(starts, len(forecast))).astype(float)
    sets = np.atleast_2d(y)
    fitted = np.empty((len(sets), len(knots)))
    for b, one in enumerate(sets):
        means = np.add.reduceat(one[order].astype(float), starts) / weights
        fitted[b] = isotonic_regression(means, weights=weights).x
    return knots, fitted if np.ndim(y) > 1 else fitted[0], weights


def brier_parts(forecast: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return the Brier score and its miscalibration, discrimination and uncertainty.

    Parameters
    ----------
    forecast, y : numpy.ndarray, shape (n,)
        Probabilities given, and outcomes.

    Returns
    -------
    dict of str to float
        Score = miscalibration - discrimination + uncertainty; each part is 0 or more.
    """
    knots, fitted, _ = isotonic(forecast, y)
    recalibrated = fitted[np.searchsorted(knots, forecast)]
    score = float(np.mean((forecast - y) ** 2))
    after = float(np.mean((recalibrated - y) ** 2))
    base = float(np.mean((y.mean() - y) ** 2))
    return {
        "Brier score": score,
        "miscalibration": score - after,
        "discrimination": base - after,
        "uncertainty": base,
    }


def forecast_histogram(forecast: np.ndarray) -> list[list[float] | list[int]]:
    """Return edges and counts of probabilities given (n,) in hundredths; no cell below 5 persons is kept."""
    counts, edges = np.histogram(forecast, bins=np.linspace(0, 1, 101))
    return [[float(e) for e in edges], [int(c) if c >= 5 else 0 for c in counts]]


def curve_rows(x: np.ndarray, y: np.ndarray, replicates: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the calibration curve with its band, and the Brier score's parts, as rows of an estimand's frame.

    Parameters
    ----------
    x, y : numpy.ndarray, shape (n,)
        Probabilities given, and outcomes.
    replicates : int
        Outcomes that are drawn from the probabilities for the band.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    pandas.DataFrame
        `estimand, contrast, scale, forecast, estimate, lower, upper, step`.
    """
    knots, fitted, _ = isotonic(x, y)
    # Both ends of each level, and a hundred forecasts between for the band.
    change = np.flatnonzero(np.diff(fitted) > 1e-12)
    at = np.unique(np.r_[0, change, change + 1, len(knots) - 1, (_GRID * (len(knots) - 1)).round().astype(int)])
    lower, upper = _band(x, at, replicates, rng)
    curve = pd.DataFrame(
        {
            "estimand": "calibration curve",
            "contrast": [f"given {p:.3f}" for p in knots[at]],
            "scale": "probability",
            "forecast": knots[at],
            "estimate": fitted[at],
            "lower": lower,
            "upper": upper,
            "step": np.searchsorted(change, at, side="left"),
        }
    )
    single = brier_parts(x, y) | {"mean forecast": float(x.mean()), "observed prevalence": float(y.mean())}
    scales = ["probability" if "mean" in name or "prevalence" in name else "Brier score" for name in single]
    scores = pd.DataFrame(
        {"estimand": list(single), "scale": scales, "contrast": "", "estimate": list(single.values())}
    )
    return pd.concat([curve, scores], ignore_index=True)


def _band(x: np.ndarray, at: np.ndarray, replicates: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the consistency band at some knots: pointwise quantiles of curves of calibrated outcomes."""
    ordered, kept = np.sort(x), []
    for _ in range(replicates):
        _, fitted, _ = isotonic(ordered, (rng.random(len(ordered)) < ordered).astype(float))
        kept.append(fitted[at])
    lower, upper = np.quantile(kept, [0.025, 0.975], axis=0)
    return lower, upper
