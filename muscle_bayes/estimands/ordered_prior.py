"""What the priors of an ordered outcome say before the data: the share of each category, and of each category or higher."""

from typing import Any

import numpy as np

from muscle_bayes.specification import Model

#: Persons and draws at a time, times thresholds.
_CELLS = 4_000_000


def draw_thresholds(model: Model, categories: int, middle: np.ndarray, *, seed: int) -> np.ndarray:
    """Draw the thresholds of the centred columns from their prior, the middle one being given.

    Parameters
    ----------
    model : Model
        With its priors; the shares below the middle threshold and those above it are each Dirichlet (see
        `muscle_bayes.specification.ordinal_models`).
    categories : int
        K.
    middle : numpy.ndarray, shape (S,)
        Draws of the middle threshold, number K // 2.
    seed : int
        Of the draws.

    Returns
    -------
    numpy.ndarray, shape (S, K - 1)
        Ascending in each draw; two are equal where a share is 0 in double precision.
    """
    below, draws = categories // 2, len(middle)
    concentration = model.priors.thresholds.concentration(categories)
    rng = np.random.default_rng([seed, 101])
    around = np.zeros((draws, categories - 1))
    least = np.finfo(float).tiny  # sparse shares underflow
    if below > 1:
        lower = np.maximum(rng.dirichlet(np.full(below, concentration), draws).cumsum(axis=1)[:, :-1] / 2, least)
        around[:, : below - 1] = np.log(lower) - np.log1p(-lower)
    if categories - below > 1:
        # From the other end: 1 minus a sum close to 1 has few digits left.
        shares = rng.dirichlet(np.full(categories - below, concentration), draws)
        upper = np.maximum(shares[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:] / 2, least)
        around[:, below:] = np.log1p(-upper) - np.log(upper)
    return middle[:, None] + around


def prior_shares(prior: Any) -> np.ndarray:
    """Return the share of the analysis set in each category or a higher one.

    Parameters
    ----------
    prior : PriorDraws
        Of an ordered outcome.

    Returns
    -------
    numpy.ndarray, shape (S, K - 1)
        For the second category to the last, the mean over persons of the probability of it or a higher one.
    """
    from scipy.special import expit

    cuts, n = prior.thresholds, len(prior.design.y)
    total = np.zeros(cuts.shape)
    step = max(1, _CELLS // len(cuts))
    for start in range(0, n, step):
        eta = prior.log_odds(slice(start, start + step))
        for k in range(cuts.shape[1]):
            total[:, k] += expit(eta - cuts[:, k : k + 1]).sum(axis=1)
    return total / n


def ordered_rows(prior: Any) -> tuple[list[dict[str, Any]], list[np.ndarray], dict[str, Any]]:
    """Return what `prior_predictive` says of the outcome in place of its prevalence.

    Parameters
    ----------
    prior : PriorDraws
        Of an ordered outcome.

    Returns
    -------
    rows : list of dict
        Descriptions: ``prior share of a category`` for each of K, then ``prior share of a category or higher`` for K - 1.
    values : list of numpy.ndarray, each of shape (S,)
        Their draws.
    attrs : dict
        `categories` and `observed_shares`, one share a category.
    """
    labels, n = prior.design.categories, len(prior.design.y)
    higher = prior_shares(prior)
    edges = np.column_stack([np.ones(len(higher)), higher, np.zeros(len(higher))])
    shared = {
        "scale": "probability", "population": f"analysis set (n = {n:,})", "null": np.nan,
        "site": "known" if prior.recipe.site_levels else "no site in the model",
    }  # fmt: skip
    response = prior.model.parsed.response
    rows = [
        shared | {"estimand": "prior share of a category", "contrast": label, "label": f"{response} {label}"}
        for label in labels
    ] + [
        shared
        | {
            "estimand": "prior share of a category or higher",
            "contrast": f"{label} or higher",
            "label": f"{response} {label} or higher",
        }
        for label in labels[1:]
    ]
    values = [*(edges[:, :-1] - edges[:, 1:]).T, *higher.T]
    counts = np.bincount(prior.design.y.astype(int), minlength=len(labels))
    return rows, values, {"categories": list(labels), "observed_shares": (counts / n).tolist()}
