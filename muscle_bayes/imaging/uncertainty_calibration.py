"""Fit how what is known of a measurement becomes an interval, on scans with known labels that nothing else is done with."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats
from scipy.stats.mstats import hdquantiles

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.uncertainty import SIDES, SIGNS, Calibration, RawSpread, Scale

Array = NDArray[np.float64]

#: Fewer scans than this say nothing about a 95 % interval.
LEAST_SCANS = 20
#: A fit by Student's t lets a single scan that went wrong count less.
DEGREES = 10.0
#: SD of the normal prior of each power, for a sign whose logarithm has SD 1: where the data say nothing, a sign says nothing.
PRIOR_SD = 0.5
#: Parts of cross-validation.
FOLDS = 10


def fit_calibration(
    raw: Sequence[RawSpread],
    errors: Array,
    *,
    scan: ArrayLike | None = None,
    coverage: float = 0.95,
) -> Calibration:
    """Fit the SD of each measure by its signs, then scale it so that intervals cover scans that it was not fitted on.

    Parameters
    ----------
    raw : sequence of RawSpread
        Of n rows.
    errors : (n, 2) float64
        Measured minus true: InterMAT (points) and lean volume (cm3).
    scan : (n,) int, optional
        Which rows (sides) are of one scan: they share its weight, and are left out together. Each its own where left
        out.
    coverage : float
        Of normal intervals, estimate +- z SD.

    Returns
    -------
    Calibration
        Nothing is subtracted from anybody's figures: a mean error that is not 0 is part of the SD, and stated.

    Raises
    ------
    InvalidValueError
        Where there are fewer than 20 scans, or they do not fit together.

    Notes
    -----
    Powers by maximum likelihood of Student's t with a normal prior. Factors (`interval_factor`) and correlation are from
    standardised errors, each by a fit without its scan's tenth.
    """
    errors = np.asarray(errors, dtype=float)
    n = len(raw)
    group = np.arange(n) if scan is None else np.asarray(scan)
    if errors.shape != (n, 2) or group.shape != (n,) or not np.isfinite(errors).all():
        raise InvalidValueError(
            "errors",
            f"{n} rows with errors of shape {errors.shape} do not fit together",
            "Give two finite errors for each row",
        )
    _, group, rows = np.unique(group, return_inverse=True, return_counts=True)
    sides = np.array([spread.side for spread in raw])
    known = {side: np.flatnonzero(sides == side) for side in SIDES}
    fewest = min((part.size for part in known.values() if part.size), default=0)
    if fewest < LEAST_SCANS:
        raise InvalidValueError(
            "errors", f"{fewest} scans do not make a calibration", f"Give at least {LEAST_SCANS} of each side"
        )
    signs = np.array([spread.signs for spread in raw])
    weight = 1.0 / rows[group]
    scales, ratios = [], np.empty((n, 2))
    for k in range(2):
        for fold in range(FOLDS):
            out = group % FOLDS == fold
            ratios[out, k] = errors[out, k] / fit_scale(signs[~out, k], errors[~out, k], weight[~out]).sd(signs[out, k])
        factor = {side: interval_factor(ratios[part, k], coverage) for side, part in known.items() if part.size}
        # A side that was not fitted is as unsure as the worst of the others.
        factor = {side: factor.get(side, max(factor.values())) for side in SIDES}
        scales.append(replace(fit_scale(signs[:, k], errors[:, k], weight), factor=factor))
    last = known["both"] if known["both"].size else np.arange(n)
    r, lean = ratios[last], np.array([spread.lean_cm3 for spread in raw])[last]
    return Calibration(
        scales[0],
        scales[1],
        correlation=float(np.clip((r[:, 0] * r[:, 1]).mean() / np.sqrt((r**2).mean(axis=0).prod()), -0.99, 0.99)),
        mean_error=(float(errors[last, 0].mean()), float((errors[last, 1] / lean).mean())),
    )


def interval_factor(ratios: Array, coverage: float) -> float:
    """Return by which SDs are to be multiplied so that normal intervals cover.

    Parameters
    ----------
    ratios : (n,) float64
        Errors over SDs, of scans that the SDs were not fitted on.
    coverage : float
        Of the intervals.

    Returns
    -------
    float
        Half way, in logarithms, between two quantiles of the absolute ratios over that of a normal distribution: Harrell's and
        Davis's (Biometrika 69, 1982), right whatever the distribution, and that of a generalised normal distribution of the
        ratios' own shape and scale, which varies less from sample to sample.
    """
    size = np.abs(ratios)
    tail = (1 + coverage) / 2

    def scale(shape: float) -> float:  # which is most likely for a shape
        return float((shape * (size**shape).mean()) ** (1 / shape))

    # The mean of log density at that scale. A shape of 2 is normal, 1 Laplace's, 10 nearly flat.
    best = optimize.minimize_scalar(
        lambda b: np.log(scale(b)) - np.log(b / 2) + special.gammaln(1 / b) + 1 / b, bounds=(0.5, 10), method="bounded"
    )
    own = float(hdquantiles(size, coverage)[0])
    fitted = float(stats.gennorm.ppf(tail, best.x, scale=scale(best.x)))
    return float(np.sqrt(own * fitted) / stats.norm.ppf(tail))


def fit_scale(signs: Array, errors: Array, weight: Array) -> Scale:
    """Fit level and powers of one measure.

    Parameters
    ----------
    signs : (n, 4) float64
        As `SIGNS`; a sign of 0 counts as the smallest that is not 0.
    errors : (n,) float64
        Measured minus true.
    weight : (n,) float64
        Of each row.

    Returns
    -------
    Scale
        Without its factors.
    """
    least = [float(column[column > 0].min(initial=inf)) for column in signs.T]
    least = [1e-6 if value == inf else value for value in least]
    limits = (*least,), (inf, inf, max(float(signs[:, 2].max()), least[2]), inf)
    logs = np.log(np.clip(signs, *limits))
    centre, spread = logs.mean(axis=0), logs.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    z = np.column_stack([np.ones(len(logs)), (logs - centre) / spread])

    def loss(b: Array) -> tuple[float, Array]:
        log_sd = z @ b
        squares = (errors * np.exp(-log_sd)) ** 2 / (DEGREES - 2)  # scaled so that the SD is that of the t distribution
        value = weight @ (log_sd + (DEGREES + 1) / 2 * np.log1p(squares)) + 0.5 * ((b[1:] / PRIOR_SD) ** 2).sum()
        slope = z.T @ (weight * (1 - (DEGREES + 1) * squares / (1 + squares)))
        return float(value), slope + np.r_[0.0, b[1:] / PRIOR_SD**2]

    start = np.r_[0.5 * np.log(np.average(errors**2, weights=weight) + 1e-12), np.zeros(len(SIGNS))]
    # Wherever the border is less sure or views lie further apart, the SD must not be smaller.
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (0, None), (0, None), *2 * [(None, None)]]
    )
    powers = found.x[1:] / spread
    return Scale(float(found.x[0] - powers @ centre), tuple(powers.tolist()), *limits)
