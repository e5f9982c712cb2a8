"""Pareto-smoothed importance sampling and summaries of weighted draws.

Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling, JMLR 25(72); the generalised Pareto
fit is that of Zhang and Stephens (2009), Technometrics 51:316. All functions take log weights with their natural sign
(larger means more weight); arviz_stats' `psislw` takes them negated.
"""

import numpy as np
from scipy.special import logsumexp


def pareto_smooth(log_weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Smooth the largest importance weights and measure their tail.

    Parameters
    ----------
    log_weights : (S,) float
        Log importance weights, up to a constant.

    Returns
    -------
    smoothed : (S,) float
        Smoothed log weights, normalised so that the weights sum to 1.
    khat : float
        Estimated shape of the generalised Pareto tail, shrunk towards 0.5 as in the paper's appendix C; -inf where
        the tail is constant, inf where it could not be fitted.
    """
    shifted = log_weights - log_weights.max()
    n = len(shifted)
    n_tail = int(min(np.ceil(0.2 * n), np.floor(3 * np.sqrt(n))))
    order = np.argsort(shifted, kind="stable")
    tail = order[n - n_tail :]
    largest, smallest = shifted[tail[-1]], shifted[tail[0]]
    if n_tail < 5 or largest - smallest < 1e-12:
        return shifted - logsumexp(shifted), -np.inf
    cutoff = np.exp(shifted[order[n - n_tail - 1]])
    khat, sigma = fit_generalised_pareto(np.exp(shifted[tail]) - cutoff)
    if np.isfinite(khat):
        quantiles = (np.arange(n_tail) + 0.5) / n_tail
        excess = sigma * (-np.log1p(-quantiles) if abs(khat) < 1e-12 else np.expm1(-khat * np.log1p(-quantiles)) / khat)
        shifted[tail] = np.minimum(np.log(cutoff + excess), largest)
    return shifted - logsumexp(shifted), khat


def fit_generalised_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution by Zhang and Stephens' empirical Bayes estimate.

    Parameters
    ----------
    excess : (m,) float
        Exceedances over the cut-off, sorted, positive.

    Returns
    -------
    shape, scale : float
        Shape with the weakly informative prior of the PSIS paper (10 observations at 0.5), and scale.
    """
    m = len(excess)
    grid = 30 + int(np.sqrt(m))
    quartile = excess[int(m / 4 + 0.5) - 1]
    if quartile <= excess[0]:
        return np.inf, np.nan
    b = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    b = b / (3 * quartile) + 1 / excess[-1]
    shape = np.log1p(-b[:, None] * excess).mean(axis=1)
    profile = m * (np.log(-b / shape) - shape - 1)
    weight = np.exp(profile - logsumexp(profile))
    weight[weight < 10 * np.finfo(float).eps] = 0
    b_mean = (b * weight).sum() / weight.sum()
    shape_mean = float(np.log1p(-b_mean * excess).mean())
    scale = -shape_mean / b_mean
    shape_mean = (m * shape_mean + 10 * 0.5) / (m + 10)
    return (shape_mean, scale) if np.isfinite(shape_mean) else (np.inf, np.nan)


def khat_threshold(n_draws: int) -> float:
    """Largest k-hat at which `n_draws` weights are trusted: min(1 - 1/log10 S, 0.7)."""
    return min(1 - 1 / np.log10(n_draws), 0.7)


def effective_size(log_weights: np.ndarray) -> float:
    """Effective sample size (sum w)^2 / sum w^2 of (unsmoothed) log weights (S,)."""
    w = np.exp(log_weights - log_weights.max())
    return float(w.sum() ** 2 / (w**2).sum())


def log_mean(log_weights: np.ndarray) -> tuple[float, float]:
    """Logarithm of the mean weight (the evidence, when the weights are normalised densities) and its MCSE."""
    value = float(logsumexp(log_weights) - np.log(len(log_weights)))
    relative = np.exp(log_weights - value)
    return value, float(relative.std(ddof=1) / np.sqrt(len(log_weights)))


def weighted_moments(
    values: np.ndarray, log_weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and SD of weighted draws with their Monte Carlo standard errors (delta method).

    Parameters
    ----------
    values : (S, k)
        Draws.
    log_weights : (S,)
        Log weights, up to a constant.

    Returns
    -------
    mean, mean_mcse, sd, sd_mcse : (k,) float
        Self-normalised estimates and their standard errors.
    """
    w = np.exp(log_weights - logsumexp(log_weights))[:, None]
    mean = (w * values).sum(axis=0)
    deviation = values - mean
    variance = (w * deviation**2).sum(axis=0)
    mean_mcse = np.sqrt((w**2 * deviation**2).sum(axis=0))
    variance_mcse = np.sqrt((w**2 * (deviation**2 - variance) ** 2).sum(axis=0))
    sd = np.sqrt(variance)
    return mean, mean_mcse, sd, variance_mcse / (2 * np.maximum(sd, np.finfo(float).tiny))


def weighted_quantile(values: np.ndarray, log_weights: np.ndarray, probability: float) -> tuple[float, float]:
    """Quantile of weighted draws (S,) with its Monte Carlo standard error.

    The error of the weighted distribution function at the quantile is carried to the quantile's scale by the
    quantiles one standard error below and above.
    """
    w = np.exp(log_weights - logsumexp(log_weights))
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(w[order]) - 0.5 * w[order]
    ordered = values[order]
    quantile = float(np.interp(probability, cumulative, ordered))
    error = np.sqrt((w**2 * ((values <= quantile) - probability) ** 2).sum())
    low, high = np.interp([probability - error, probability + error], cumulative, ordered)
    return quantile, float((high - low) / 2)


def resample(log_weights: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw indices (draws,) of an equally weighted sample by systematic resampling, in random order."""
    w = np.exp(log_weights - logsumexp(log_weights))
    ends = np.cumsum(w)
    positions = (np.arange(draws) + rng.uniform()) / draws * ends[-1]
    return rng.permutation(np.minimum(np.searchsorted(ends, positions), len(w) - 1))


def resampled_mcse(
    values: np.ndarray, index: np.ndarray, log_weights: np.ndarray, kind: str = "mean", probability: float = 0.5
) -> np.ndarray:
    """Monte Carlo standard error of summaries of equally weighted draws that were resampled from weighted ones.

    Parameters
    ----------
    values : (draws, k)
        Quantities computed from the resampled draws.
    index : (draws,) int
        Weighted draw that each is a copy of.
    log_weights : (S,)
        Log weights of the weighted draws.
    kind : {"mean", "sd", "quantile"}
        Summary; the median is the quantile at probability 0.5.
    probability : float
        Probability of the quantile.

    Returns
    -------
    (k,) float
        Standard errors: that of the weighted draws, and that which resampling adds.
    """
    w = np.exp(log_weights - logsumexp(log_weights))
    chosen, first = np.unique(index, return_index=True)
    own = values[first]
    expected = len(index) * w[chosen]
    fraction = expected - np.floor(expected)
    # Systematic resampling rounds the expected number of copies up or down; a draw with less than one expected copy
    # also stands for those like it that were left out.
    variance = w[chosen] ** 2 + fraction * (1 - fraction) / len(index) ** 2
    variance = (variance / np.minimum(expected, 1))[:, None]
    mean, sd = values.mean(axis=0), values.std(axis=0)
    if kind == "mean":
        return np.sqrt((variance * (own - mean) ** 2).sum(axis=0))
    if kind == "sd":
        spread = np.sqrt((variance * ((own - mean) ** 2 - sd**2) ** 2).sum(axis=0))
        return spread / (2 * np.maximum(sd, np.finfo(float).tiny))
    quantile = np.quantile(values, probability, axis=0)
    error = np.sqrt((variance * ((own <= quantile) - probability) ** 2).sum(axis=0))
    limits = np.clip(np.stack([probability - error, probability + error]), 0, 1)
    ends = [np.quantile(column, limit) for column, limit in zip(values.T, limits.T, strict=True)]
    return np.array([(high - low) / 2 for low, high in ends])
