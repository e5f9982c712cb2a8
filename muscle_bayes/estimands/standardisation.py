"""Standardised risks: within each draw, the average over persons of their probability under stated exposures."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.linear_predictor import LinearPredictor, Members, linear_predictor
from muscle_bayes.estimands.sites import check_site
from muscle_bayes.specification.grouping import INTERCEPT

# A tile of 64 draws x 1,024 persons stays in the processor's cache: five times as fast as whole rows.
_DRAWS, _PERSONS = 64, 1024

# Log odds beyond which the product of odds in `_accumulate` would leave single precision.
_LARGEST_SHIFT = 25.0

# Log odds beyond which a probability is 0 or 1 to the last digit of single precision, while its product stays finite.
_MOST_LOG_ODDS = 60.0


def analysis_set(fit: Any, cohort: Any = None) -> pd.DataFrame:
    """Return the persons to average over: the analysis set, or those of a cohort who are complete on the model.

    Parameters
    ----------
    fit : Fit
        With `cohort`, unless it was loaded without one.
    cohort : Cohort or pandas.DataFrame, optional
        Other persons, raw values.

    Returns
    -------
    pandas.DataFrame
        With the model's Z-scores, by the constants of the fit.

    Raises
    ------
    EstimandError
        Where there are no persons.
    """
    frame = fit.cohort if cohort is None else getattr(cohort, "table", cohort)
    if frame is None:
        raise EstimandError(
            "risks", "the fit was loaded without its persons", "Give them: load_fit(path, cohort=...) or cohort=..."
        )
    needed = [*fit.recipe.raw_columns, *fit.recipe.group_columns]
    frame = fit.recipe.standardise(frame.dropna(subset=[name for name in needed if name in frame]))
    if frame.empty:
        raise EstimandError("risks", "no person is complete on the model's columns", "Look at the missing values")
    return frame.reset_index(drop=True)


def mean_risks(
    fit: Any,
    designs: Sequence[np.ndarray],
    *,
    site: str,
    site_index: Members = None,
    groups: np.ndarray | None = None,
    coefficients: np.ndarray | None = None,
) -> np.ndarray:
    """Average probabilities over persons within each draw.

    Parameters
    ----------
    fit : Fit
        Draws of coefficients and site effects.
    designs : sequence of k numpy.ndarray, shape (n, p)
        Design rows of the same persons under k exposures.
    site : {"known", "typical", "new", "marginal"}
        See `muscle_bayes.estimands.sites`.
    site_index : numpy.ndarray or mapping of str to numpy.ndarray, shape (n,), optional
        For "known": each person's site, or groups by factor (`Recipe.group_index`).
    groups : numpy.ndarray, shape (n,) of int, optional
        0 to G - 1: averages are taken within each; by default over all.
    coefficients : numpy.ndarray, shape (S, 1 + p), optional
        The maximum in place of the fit's draws, with the modes of its effects; a new site is then a typical one.

    Returns
    -------
    numpy.ndarray, shape (S, G, k)
        Risks. In single precision inside, summed in double: absolute error below 1e-6.
    """
    check_site(fit, site)
    n = len(designs[0])
    groups = np.zeros(n, dtype=int) if groups is None else np.asarray(groups)
    order = np.lexsort((_spread_score(fit, designs[0], site), groups))
    sizes = np.bincount(groups)
    if isinstance(site_index, np.ndarray):
        site_index = {fit.recipe.site: site_index}
    members = None if site_index is None else {name: np.asarray(at)[order] for name, at in site_index.items()}
    parts = [linear_predictor(fit, X[order], site=site, members=members, coefficients=coefficients) for X in designs]
    draws = parts[0].draws
    out = np.zeros((len(draws), len(sizes), len(designs)))
    sorted_groups = groups[order]

    shifts = _shifts(parts)
    if shifts is not None and np.abs(draws @ shifts.T).max() > _LARGEST_SHIFT:
        shifts = None
    further = np.zeros((len(draws), 1)) if shifts is None else draws @ shifts.T
    # Once for all designs: finding the libraries whose threads are limited takes 10 ms.
    with threadpool_limits(1, "blas"):
        for at in [list(range(len(designs)))] if shifts is not None else [[j] for j in range(len(designs))]:
            sums = np.zeros((len(draws), len(sizes), len(at)))
            _accumulate(sums, parts[at[0]], sorted_groups, further)
            out[:, :, at] = sums
    return out / sizes[None, :, None]


def _spread_score(fit: Any, X: np.ndarray, site: str) -> np.ndarray:
    """Return what puts persons in order of the SD of their integrated effects, shape (n,), so that tiles need like nodes."""
    slopes = [one for one in fit.recipe.varying if one.column != INTERCEPT] if site == "marginal" else []
    return np.asarray(sum((one.covariate(X) ** 2 for one in slopes), np.zeros(len(X))))


def _nodes(largest: float) -> list[tuple[float, float]]:
    """Return weights and places, in SDs, of the integral over effects of an SD up to `largest`; one of weight 1 for an SD of 0."""
    if largest == 0:
        return [(1.0, 0.0)]
    # Gauss-Hermite: the integral of expit over N(0, sd) to 1e-6 with this many nodes.
    x, w = np.polynomial.hermite_e.hermegauss(7 if largest < 0.6 else 12 if largest < 1.5 else 20)
    return [(float(b), float(a)) for a, b in zip(x, w / w.sum(), strict=True)]


def _integrate(inverse_odds: np.ndarray, spread: np.ndarray, out: np.ndarray) -> None:
    """Write probabilities integrated over effects with an SD for each draw and person; all of shape (S, n)."""
    out[:] = 0
    for weight, place in _nodes(float(spread.max(initial=0.0))):
        if place < 0:
            continue
        # Nodes lie symmetrically: one exponential serves both.
        shift = np.exp(np.minimum(np.float32(place) * spread, np.float32(_LARGEST_SHIFT)))
        out += np.float32(weight) / (np.float32(1) + inverse_odds / shift)
        if place > 0:
            out += np.float32(weight) / (np.float32(1) + inverse_odds * shift)


def _shifts(parts: Sequence[LinearPredictor]) -> np.ndarray | None:
    """Return what takes the first design's columns to each other's (k, q), where it is the same for everyone; else None."""
    rows = []
    for part in parts:
        difference = part.columns - parts[0].columns
        if np.ptp(difference, axis=0).max(initial=0.0) > 1e-9 or not np.array_equal(part.squares, parts[0].squares):
            return None
        # A new site's slope is part of the draws: of one design as of another.
        rows.append(difference[0])
    return np.array(rows) if len(rows) > 1 else None


def _accumulate(out: np.ndarray, eta: LinearPredictor, groups: np.ndarray, further: np.ndarray) -> None:
    """Add the sums of probabilities of each group.

    Parameters
    ----------
    out : numpy.ndarray, shape (S, G, k)
        Added to.
    eta : LinearPredictor
        Of the first design.
    groups : numpy.ndarray, shape (n,)
        Sorted.
    further : numpy.ndarray, shape (S, k)
        What each design adds to everyone's log odds of the first.
    """
    columns = np.ascontiguousarray(eta.columns.T, dtype=np.float32)
    # Of the log odds with their sign changed: each pass over a tile that is saved is a tenth of the time.
    negative = -eta.draws.astype(np.float32)
    extreme = float(np.abs(negative).max(axis=0) @ np.abs(columns).max(axis=1)) > _MOST_LOG_ODDS
    # With slopes that are integrated out each person has an SD of their own; else it is one number a draw.
    own_sd = bool(eta.squares.shape[1]) and bool(np.ptp(eta.squares, axis=0).max() > 0)
    variances, squares = eta.variances.astype(np.float32), np.ascontiguousarray(eta.squares.T, dtype=np.float32)
    sd = np.zeros((len(negative), 1)) if own_sd else np.sqrt(eta.variances @ eta.squares[:1].T)
    # One exponential for all designs and nodes: P = 1 / (1 + exp(-eta) exp(-shift)), and the shift is one number a draw.
    nodes = _nodes(0.0 if own_sd else float(sd.max(initial=0.0)))
    factors = [
        [(np.float32(weight), np.exp(-(further[:, [k]] + place * sd)).astype(np.float32)) for weight, place in nodes]
        for k in range(further.shape[1])
    ]

    # A single design at its own site: nothing is added to the log odds.
    plain = not own_sd and nodes == [(1.0, 0.0)] and not further.any()

    ones = np.ones(_PERSONS, dtype=np.float32)

    def share(start: int) -> None:
        rows = slice(start, min(start + _DRAWS, len(negative)))
        # Made once: new memory for each tile costs as much as the arithmetic.
        buffers = np.empty((2, (rows.stop - rows.start) * _PERSONS), dtype=np.float32)
        for first in range(0, columns.shape[1], _PERSONS):
            tile = slice(first, min(first + _PERSONS, columns.shape[1]))
            shape = (rows.stop - rows.start, tile.stop - tile.start)
            inverse_odds, probability = (buffer[: shape[0] * shape[1]].reshape(shape) for buffer in buffers)
            np.matmul(negative[rows], columns[:, tile], out=inverse_odds)
            if extreme:
                np.clip(inverse_odds, -_MOST_LOG_ODDS, _MOST_LOG_ODDS, out=inverse_odds)
            np.exp(inverse_odds, out=inverse_odds)
            inside = groups[tile]
            starts = np.flatnonzero(np.r_[True, inside[1:] != inside[:-1]])
            spread = np.sqrt(variances[rows] @ squares[:, tile]) if own_sd else None
            for k, parts in enumerate(factors):
                for weight, factor in parts:
                    if spread is not None:
                        _integrate(inverse_odds * factor[rows], spread, probability)
                    elif plain:
                        np.add(inverse_odds, np.float32(1), out=probability)
                    else:
                        np.multiply(inverse_odds, factor[rows], out=probability)
                        probability += np.float32(1)
                    if spread is None:
                        # Division and a product with ones: half the time of `reciprocal` and `sum`.
                        np.divide(np.float32(1), probability, out=probability)
                    if len(starts) == 1:
                        out[rows, inside[0], k] += weight * (probability @ ones[: shape[1]])
                    else:
                        out[rows, inside[starts], k] += weight * np.add.reduceat(probability, starts, axis=1)

    # Here and not at the top: whoever has a fit has loaded inference already, whoever has not should not wait for it.
    from muscle_bayes.inference.density import available_threads

    # Threads write to different rows; NumPy computes outside the interpreter's lock.
    with ThreadPoolExecutor(available_threads(8)) as pool:
        list(pool.map(share, range(0, len(negative), _DRAWS)))
