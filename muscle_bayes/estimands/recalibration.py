"""Weak calibration: intercept and slope of a logistic regression of outcomes on the log odds that a model gave."""

from dataclasses import dataclass

import numpy as np

_STEPS = 50


@dataclass(frozen=True)
class Recalibration:
    """What a logistic regression says of given log odds.

    Attributes
    ----------
    intercept, intercept_se : float
        With the slope held at 1 (calibration in the large): above 0 the probabilities given are too low.
    slope, slope_se : float
        With a free intercept: below 1 the probabilities given are too extreme.
    intercept_at_slope : float
        The intercept that goes with the free slope.
    """

    intercept: float
    intercept_se: float
    slope: float
    slope_se: float
    intercept_at_slope: float


def recalibration(log_odds: np.ndarray, y: np.ndarray) -> Recalibration:
    """Regress outcomes on given log odds, with the slope at 1 and with a free slope.

    Parameters
    ----------
    log_odds : numpy.ndarray, shape (n,)
        That were given.
    y : numpy.ndarray, shape (n,)
        Outcomes, 0 or 1.

    Returns
    -------
    Recalibration
        Missing where the maximum does not exist: all outcomes equal, log odds constant or separating the outcomes.

    Notes
    -----
    Cox 1958, Biometrika 45, 562-565; Van Calster et al. 2019, BMC Med 17, 230.
    """
    x = np.asarray(log_odds, dtype=float)
    ones = np.ones((len(x), 1))
    (a,), cov_a = _newton(ones, y, x)
    (at, b), cov_b = _newton(np.column_stack([ones, x]), y, np.zeros(len(x)))
    return Recalibration(float(a), float(np.sqrt(cov_a[0, 0])), float(b), float(np.sqrt(cov_b[1, 1])), float(at))


def _newton(X: np.ndarray, y: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of a logistic regression (q,) and its covariance (q, q); missing where there is none."""
    missing = np.full(X.shape[1], np.nan), np.full((X.shape[1], X.shape[1]), np.nan)
    if y.min() == y.max() or (X.shape[1] > 1 and np.ptp(X[:, 1]) < 1e-12):
        return missing
    beta = np.zeros(X.shape[1])
    if X.shape[1] > 1:
        beta[1] = 1.0  # where a calibrated model lies
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(X @ beta + offset, -700, 700)))
        information = (X * (p * (1 - p))[:, None]).T @ X
        if np.linalg.cond(information) > 1e12:
            return missing
        step = np.linalg.solve(information, X.T @ (y - p))
        # Damped: a full step from a far start can run away.
        beta = beta + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        if np.abs(step).max() < 1e-10:
            return beta, np.linalg.inv(information)
    return missing
