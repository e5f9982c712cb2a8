"""The one shape that every estimand has: a tidy frame with canonical columns, provenance and Monte Carlo errors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.rounding import estimate_text

#: Columns that every estimand begins with, in this order.
COLUMNS = (
    "estimand",
    "term",
    "contrast",
    "estimate",
    "lower",
    "upper",
    "interval",
    "mcse",
    "prob_gt_null",
    "scale",
    "site",
    "population",
    "role",
)


def summarise_draws(values: np.ndarray, fit: Any, *, null: float, interval: float = 0.95) -> dict[str, np.ndarray]:
    """Summarise draws by median, equal-tailed interval, Monte Carlo errors and the probability of lying above the null.

    Parameters
    ----------
    values : numpy.ndarray, shape (S, k)
        Draws of k quantities.
    fit : Fit
        Knows the Monte Carlo error of its own draws; for maximum likelihood there is none to state.
    null : float
        Value of no effect on the scale of `values`.
    interval : float
        Probability of the interval.

    Returns
    -------
    dict of str to numpy.ndarray, shape (k,)
        ``estimate, lower, upper, mcse, lower_mcse, upper_mcse, prob_gt_null``.
    """
    tail = (1 - interval) / 2
    ordered = np.sort(values, axis=0)
    estimate, lower, upper = (sorted_quantile(ordered, q) for q in (0.5, tail, 1 - tail))
    missing = np.full(values.shape[1], np.nan)
    summary = {"estimate": estimate, "lower": lower, "upper": upper}
    if fit.method == "ml":
        return summary | dict.fromkeys(("mcse", "lower_mcse", "upper_mcse", "prob_gt_null"), missing)
    return summary | {
        "mcse": _quantile_mcse(values, ordered, fit, 0.5, estimate),
        "lower_mcse": _quantile_mcse(values, ordered, fit, tail, lower),
        "upper_mcse": _quantile_mcse(values, ordered, fit, 1 - tail, upper),
        "prob_gt_null": np.mean(values > null, axis=0),
    }


def sorted_quantile(ordered: np.ndarray, probability: float | np.ndarray) -> np.ndarray:
    """Return a quantile of each column, with a probability for each column where wanted.

    Parameters
    ----------
    ordered : numpy.ndarray, shape (S, k)
        Draws, sorted along the first axis.
    probability : float or numpy.ndarray, shape (k,)
        In [0, 1].

    Returns
    -------
    numpy.ndarray, shape (k,)
        Linear between order statistics, as NumPy's default.
    """
    at = np.broadcast_to(np.asarray(probability, dtype=float), ordered.shape[1:]) * (len(ordered) - 1)
    below = np.clip(np.floor(at).astype(int), 0, max(len(ordered) - 2, 0))
    columns = np.arange(ordered.shape[1])
    low, high = ordered[below, columns], ordered[np.minimum(below + 1, len(ordered) - 1), columns]
    return low + (high - low) * (at - below)


def _quantile_mcse(
    values: np.ndarray, ordered: np.ndarray, fit: Any, probability: float, quantile: np.ndarray
) -> np.ndarray:
    # The share of draws below the quantile has a Monte Carlo error of its own; the quantiles one such error below and
    # above show what it means on the scale of the values. As in Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021),
    # Bayesian Analysis 16, 667-718, section 4.3, with normal in place of beta quantiles.
    error = fit.mcse((values <= quantile).astype(float), kind="mean")
    step = np.minimum(np.nan_to_num(error), min(probability, 1 - probability))
    return (sorted_quantile(ordered, probability + step) - sorted_quantile(ordered, probability - step)) / 2


def tidy(
    summary: Mapping[str, Any], fit: Any, *, interval: float, decimals: int = 2, attrs: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Assemble an estimand's frame: canonical columns first, numbers as text last, provenance in ``.attrs``.

    Parameters
    ----------
    summary : mapping of str to array or scalar
        Columns; scalars are repeated. What is canonical and not given is missing.
    fit : Fit
        Whose ``provenance()`` goes into ``.attrs``.
    interval : float
        Probability of the intervals.
    decimals : int
        The most decimals that `text` shows; fewer where the Monte Carlo error says so.
    attrs : mapping, optional
        What this estimand adds to the provenance.

    Returns
    -------
    pandas.DataFrame
        One row a quantity, with a column `text` such as ``1.22 (1.13 to 1.30)``.
    """
    frame = pd.DataFrame({"interval": interval, **summary})
    for name in COLUMNS:
        if name not in frame:
            frame[name] = np.nan
    frame = frame[[*COLUMNS, *(name for name in frame.columns if name not in COLUMNS)]]
    frame["text"] = [estimate_text(row, most=decimals) for row in frame.to_dict("records")]
    frame.attrs.update({**fit.provenance(), "interval": interval})
    frame.attrs.update(attrs or {})
    return frame
