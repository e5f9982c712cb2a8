"""E-values: how strong an unmeasured confounder would have to be to explain an estimate away."""

import numpy as np


def e_value(ratio: np.ndarray) -> np.ndarray:
    """Return the E-value of risk ratios.

    Parameters
    ----------
    ratio : numpy.ndarray, shape (k,)
        Risk ratios (or what stands for them).

    Returns
    -------
    numpy.ndarray, shape (k,)
        RR + sqrt(RR (RR - 1)) for RR of at least 1, of 1 / RR below; missing stays missing.

    Notes
    -----
    VanderWeele & Ding 2017, Ann Intern Med 167, 268-274.
    """
    ratio = np.asarray(ratio, dtype=float)
    away = np.where(ratio >= 1, ratio, 1 / ratio)
    return away + np.sqrt(away * (away - 1))


def e_value_of_limit(estimate: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return the E-value at the interval's limit that is nearer to no effect.

    Parameters
    ----------
    estimate, lower, upper : numpy.ndarray, shape (k,)
        Risk ratios with their intervals; the estimate fixes the direction.

    Returns
    -------
    numpy.ndarray, shape (k,)
        1 where the interval covers 1.
    """
    estimate, lower, upper = (np.asarray(v, dtype=float) for v in (estimate, lower, upper))
    nearer = np.where(estimate >= 1, lower, upper)
    covers = (lower <= 1) & (upper >= 1)
    return np.where(covers, 1.0, e_value(np.where(covers, 1.0, nearer)))


def square_root_approximation(odds_ratio: np.ndarray) -> np.ndarray:
    """Return the square root of odds ratios, which stands for a risk ratio where the outcome is common (> 15 %).

    VanderWeele 2017, Biometrics 73, 746-752; labelled as such wherever it is shown.
    """
    return np.sqrt(np.asarray(odds_ratio, dtype=float))
