"""Leave-one-out by Pareto-smoothed importance sampling, for many persons at once."""

import numpy as np


def leave_one_out(log_likelihood: np.ndarray, r_eff: float = 1.0) -> dict[str, np.ndarray]:
    """Return what each observation's log predictive density would be, had it been left out.

    Parameters
    ----------
    log_likelihood : numpy.ndarray, shape (m, S), float64
        Of m observations in S posterior draws; overwritten.
    r_eff : float
        Effective share of the draws, in (0, 1].

    Returns
    -------
    dict of str to numpy.ndarray, shape (m,)
        `elpd` (leave-one-out), `lpd` (log posterior predictive density with it), `khat`, and `mcse` of `elpd`.

    Notes
    -----
    Vehtari, Gelman & Gabry 2017, Stat Comput 27, 1413-1432; Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25(72); the
    Pareto fit by Zhang & Stephens 2009, Technometrics 51, 316-325. The same steps as `muscle_bayes.inference.psis`, for
    a block of observations instead of one vector.
    """
    m, draws = log_likelihood.shape
    top = log_likelihood.max(axis=1, keepdims=True)
    density = np.exp(log_likelihood - top)
    lpd = np.log(density.mean(axis=1)) + top[:, 0]
    # Weights 1 / density, the largest set to 1. Where an observation is impossible in a draw the density underflows to 0.
    floor = np.maximum(density, np.finfo(float).tiny)
    weights = floor.min(axis=1, keepdims=True) / floor
    tail = int(min(np.ceil(0.2 * draws), np.floor(3 * np.sqrt(draws / r_eff))))
    at = np.argpartition(weights, draws - tail - 1, axis=1)[:, draws - tail - 1 :]
    largest = np.take_along_axis(weights, at, axis=1)
    order = np.argsort(largest, axis=1)
    at, largest = np.take_along_axis(at, order, axis=1), np.take_along_axis(largest, order, axis=1)
    cutoff, excess = largest[:, :1], largest[:, 1:] - largest[:, :1]
    khat = np.full(m, -np.inf)
    rows = np.flatnonzero(np.log(largest[:, -1] / largest[:, 1]) > 1e-12) if tail >= 5 else np.empty(0, dtype=int)
    if len(rows):
        khat[rows], scale = generalised_pareto(excess[rows])
        fitted = rows[np.isfinite(khat[rows])]
        shape, scale = khat[fitted][:, None], scale[np.isfinite(khat[rows])][:, None]
        survival = np.log1p(-(np.arange(tail) + 0.5) / tail)[None, :]
        safe = np.where(np.abs(shape) < 1e-12, 1.0, shape)
        quantile = scale * np.where(np.abs(shape) < 1e-12, -survival, np.expm1(-safe * survival) / safe)
        smoothed = np.minimum(cutoff[fitted] + quantile, largest[fitted, -1:])
        weights[fitted[:, None], at[fitted, 1:]] = smoothed
    total = weights.sum(axis=1)
    expected = np.einsum("ms,ms->m", weights, density) / total
    # Self-normalised importance sampling: the delta method's error of the mean, over the mean.
    squares = np.einsum("ms,ms->m", weights**2, (density - expected[:, None]) ** 2) / total**2
    return {
        "elpd": np.log(expected) + top[:, 0],
        "lpd": lpd,
        "khat": khat,
        "mcse": np.sqrt(squares / r_eff) / expected,
    }


def generalised_pareto(excess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shape and scale of generalised Pareto distributions, one a row.

    Parameters
    ----------
    excess : numpy.ndarray, shape (m, t)
        Exceedances, ascending within a row.

    Returns
    -------
    shape, scale : numpy.ndarray, shape (m,)
        Zhang & Stephens' estimate, the shape shrunk towards 0.5 as ten observations would; inf where a quarter of the
        exceedances equal the smallest.
    """
    m, t = excess.shape
    grid = 30 + int(np.sqrt(t))
    quartile = excess[:, int(t / 4 + 0.5) - 1]
    usable = quartile > excess[:, 0]
    shape, scale = np.full(m, np.inf), np.full(m, np.nan)
    x, quartile = excess[usable], quartile[usable]
    if not len(x):
        return shape, scale
    b = (1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5)))[None, :] / (3 * quartile[:, None]) + 1 / x[:, -1:]
    profile_shape = np.empty_like(b)
    for g in range(grid):
        profile_shape[:, g] = np.log1p(-b[:, g : g + 1] * x).mean(axis=1)
    profile = t * (np.log(-b / profile_shape) - profile_shape - 1)
    weight = np.exp(profile - profile.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    weight[weight < 10 * np.finfo(float).eps] = 0
    mean = (b * weight).sum(axis=1) / weight.sum(axis=1)
    k = np.log1p(-mean[:, None] * x).mean(axis=1)
    sigma = -k / mean
    k = (t * k + 10 * 0.5) / (t + 10)
    shape[usable], scale[usable] = np.where(np.isfinite(k), k, np.inf), sigma
    return shape, scale
