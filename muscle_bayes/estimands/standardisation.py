"""Standardised risks: within each draw, the average over persons of their probability under stated exposures."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.sites import check_site, site_offsets

# A tile of 64 draws x 1,024 persons stays in the processor's cache: five times as fast as whole rows.
_DRAWS, _PERSONS = 64, 1024

# Log odds beyond which the product of odds in `_accumulate` would leave single precision.
_LARGEST_SHIFT = 25.0


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
    needed = [*fit.recipe.raw_columns, *([fit.recipe.site] if fit.recipe.site else [])]
    frame = fit.recipe.standardise(frame.dropna(subset=[name for name in needed if name in frame]))
    if frame.empty:
        raise EstimandError("risks", "no person is complete on the model's columns", "Look at the missing values")
    return frame.reset_index(drop=True)


def mean_risks(
    fit: Any,
    designs: Sequence[np.ndarray],
    *,
    site: str,
    site_index: np.ndarray | None = None,
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
    site_index : numpy.ndarray, shape (n,), optional
        For "known": each person's site.
    groups : numpy.ndarray, shape (n,) of int, optional
        0 to G - 1: averages are taken within each; by default over all.
    coefficients : numpy.ndarray, shape (S, 1 + p), optional
        In place of the fit's draws; then no more than the typical site or the maximum's effects are known.

    Returns
    -------
    numpy.ndarray, shape (S, G, k)
        Risks. In single precision inside, summed in double: absolute error below 1e-6.
    """
    check_site(fit, site)
    n = len(designs[0])
    groups = np.zeros(n, dtype=int) if groups is None else np.asarray(groups)
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    at_maximum = coefficients is not None
    draws = coefficients if coefficients is not None else fit.coefficients()
    offsets, nodes = _site_parts(fit, site, site_index, len(draws), at_maximum)
    out = np.zeros((len(draws), len(sizes), len(designs)))
    sorted_groups = groups[order]
    known = None if site != "known" or site_index is None else np.asarray(site_index)[order]

    shifts = _shifts(designs)
    if shifts is not None and np.abs(draws[:, 1:] @ shifts.T).max() > _LARGEST_SHIFT:
        shifts = None
    for at in [list(range(len(designs)))] if shifts is not None else [[j] for j in range(len(designs))]:
        columns = np.column_stack([np.ones(n), designs[at[0]]])[order]
        if known is not None:
            # Each person's site effect as further columns, so that one matrix product gives the whole linear predictor.
            columns = np.column_stack([columns, np.eye(offsets.shape[1])[known]])
            beta = np.column_stack([draws, offsets])
        else:
            beta = draws.copy()
            beta[:, :1] += offsets
        sums = np.zeros((len(draws), len(sizes), len(at)))
        further = np.zeros((len(draws), 1)) if shifts is None else draws[:, 1:] @ shifts.T
        _accumulate(
            sums,
            np.ascontiguousarray(columns.T, dtype=np.float32),
            beta.astype(np.float32),
            sorted_groups,
            nodes,
            further,
        )
        out[:, :, at] = sums
    return out / sizes[None, :, None]


def _site_parts(
    fit: Any, site: str, index: np.ndarray | None, draws: int, at_maximum: bool
) -> tuple[np.ndarray, list[tuple[float, np.ndarray]]]:
    """Return what is added to the intercept (S, 1), or all sites' effects (S, J), and the nodes of the site integral."""
    single = [(1.0, np.zeros((draws, 1), dtype=np.float32))]
    if not fit.recipe.site_levels or site == "typical" or (site == "new" and at_maximum):
        return np.zeros((draws, 1)), single
    if site == "known":
        if index is None:
            raise EstimandError("site='known'", "the persons' sites are not given", "Add the site column")
        return (fit.maximum.site_effects[None, :] if at_maximum else fit.site_effects()), single
    if site == "new":
        return site_offsets(fit, "new"), single
    sd = np.full(draws, fit.maximum.site_sd) if at_maximum else fit.site_sd()
    # Gauss-Hermite: the integral of expit over N(0, sd) to 1e-6 with this many nodes.
    count = 7 if sd.max() < 0.6 else 12 if sd.max() < 1.5 else 20
    x, w = np.polynomial.hermite_e.hermegauss(count)
    spread = sd[:, None].astype(np.float32)
    return np.zeros((draws, 1)), [(float(b), np.float32(a) * spread) for a, b in zip(x, w / w.sum(), strict=True)]


def _shifts(designs: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return what takes the first design to each other (k, p), where that is the same for every person; else None."""
    rows = []
    for X in designs:
        difference = X - designs[0]
        if np.ptp(difference, axis=0).max(initial=0.0) > 1e-9:
            return None
        rows.append(difference[0])
    return np.array(rows) if len(rows) > 1 else None


def _accumulate(
    out: np.ndarray,
    columns: np.ndarray,
    beta: np.ndarray,
    groups: np.ndarray,
    nodes: list[tuple[float, np.ndarray]],
    further: np.ndarray,
) -> None:
    """Add the sums of probabilities of each group.

    Parameters
    ----------
    out : numpy.ndarray, shape (S, G, k)
        Added to.
    columns, beta : numpy.ndarray, shape (q, n) and (S, q), float32
        Of the first design.
    groups : numpy.ndarray, shape (n,)
        Sorted.
    nodes : list of (weight, offset (S, 1))
        Of the integral over sites.
    further : numpy.ndarray, shape (S, k)
        What each design adds to everyone's log odds of the first.
    """
    # One exponential for all designs and nodes: P = 1 / (1 + exp(-eta) exp(-shift)), and the shift is one number a draw.
    factors = [
        [(np.float32(weight), np.exp(-(further[:, [k]] + spread)).astype(np.float32)) for weight, spread in nodes]
        for k in range(further.shape[1])
    ]

    def share(start: int) -> None:
        rows = slice(start, min(start + _DRAWS, len(beta)))
        # Made once: new memory for each tile costs as much as the arithmetic.
        buffers = np.empty((2, (rows.stop - rows.start) * _PERSONS), dtype=np.float32)
        for first in range(0, columns.shape[1], _PERSONS):
            tile = slice(first, min(first + _PERSONS, columns.shape[1]))
            shape = (rows.stop - rows.start, tile.stop - tile.start)
            inverse_odds, probability = (buffer[: shape[0] * shape[1]].reshape(shape) for buffer in buffers)
            np.matmul(beta[rows], columns[:, tile], out=inverse_odds)
            # Beyond 60 log odds a probability is 0 or 1 to the last digit of single precision, and its product stays finite.
            np.clip(inverse_odds, -60, 60, out=inverse_odds)
            np.negative(inverse_odds, out=inverse_odds)
            np.exp(inverse_odds, out=inverse_odds)
            inside = groups[tile]
            starts = np.flatnonzero(np.r_[True, inside[1:] != inside[:-1]])
            for k, parts in enumerate(factors):
                for weight, factor in parts:
                    np.multiply(inverse_odds, factor[rows], out=probability)
                    probability += np.float32(1)
                    np.reciprocal(probability, out=probability)
                    if len(starts) == 1:
                        out[rows, inside[0], k] += weight * probability.sum(axis=1)
                    else:
                        out[rows, inside[starts], k] += weight * np.add.reduceat(probability, starts, axis=1)

    # Threads write to different rows; NumPy computes outside the interpreter's lock.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(cpu_count() or 1, 8)) as pool:
        list(pool.map(share, range(0, len(beta), _DRAWS)))
