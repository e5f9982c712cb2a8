"""Fit how raw spreads become intervals, on scans with known labels that nothing else is done with."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.uncertainty import Calibration, RawSpread

Array = NDArray[np.float64]

#: Fewer scans than this say nothing about a 95 % interval.
LEAST_SCANS = 20
#: Errors have longer tails than a normal distribution's; a fit by Student's t lets single scans count less.
_DEGREES = 5.0
#: Where the search begins: factor of the views, mm, mm, points, share.
_START = np.array([1.0, 0.3, 0.5, 0.3, 0.01])
#: Keeps a factor that the data say nothing about where it began; in units of its logarithm.
_PRIOR_SD = 1.5


def fit_calibration(raw: Sequence[RawSpread], errors: Array, *, coverage: float = 0.95) -> Calibration:
    """Fit factors and floors by maximum likelihood, then scale each measure's SD so that its intervals cover.

    Parameters
    ----------
    raw : sequence of RawSpread
        Of n scans.
    errors : (n, 2) float64
        Measured minus true: InterMAT (points) and lean volume (cm3).
    coverage : float
        Of normal intervals, estimate +- z SD.

    Returns
    -------
    Calibration
        A mean error that is not 0 counts as spread: nothing is subtracted from anybody's figures.

    Raises
    ------
    InvalidValueError
        Where there are fewer than 20 scans, or they do not fit together.
    """
    errors = np.asarray(errors, dtype=float)
    if errors.shape != (len(raw), 2) or len(raw) < LEAST_SCANS or not np.isfinite(errors).all():
        raise InvalidValueError(
            "errors",
            f"{len(raw)} scans with errors of shape {errors.shape} do not make a calibration",
            f"Give two finite errors for each of at least {LEAST_SCANS} scans",
        )

    parts = _parts(raw)
    start = np.log(_START)

    def loss(logs: Array) -> float:
        covariance = np.einsum("k,knij->nij", np.exp(2 * logs), parts)
        distance = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariance), errors)
        # Scaled so that `covariance` is the covariance of the t distribution.
        tails = (_DEGREES + 2) * np.log1p(distance / (_DEGREES - 2))
        return float(
            0.5 * (np.linalg.slogdet(covariance)[1] + tails).sum() + 0.5 * (((logs - start) / _PRIOR_SD) ** 2).sum()
        )

    found = optimize.minimize(loss, start, method="L-BFGS-B", bounds=[(value - 7, value + 4) for value in start])
    a, b, c, d, e = np.exp(found.x).tolist()
    fitted = Calibration(a, b, c, d, e)
    sd = np.sqrt(np.array([np.diag(spread.covariance(fitted)) for spread in raw]))
    intermat, lean = (_factor(errors[:, k], sd[:, k], coverage) for k in range(2))
    return replace(fitted, intermat_factor=intermat, lean_factor=lean)


def _parts(raw: Sequence[RawSpread]) -> Array:
    """Return the matrices whose weighted sum is the covariance, (5, n, 2, 2), in the order of `Calibration`'s numbers."""
    units = np.eye(5).tolist()
    return np.array([[spread.covariance(Calibration(a, b, c, d, e)) for spread in raw] for a, b, c, d, e in units])


def _factor(errors: Array, sd: Array, coverage: float) -> float:
    """Return the multiple of the SD at which normal intervals cover; between the tails' own quantile and a smooth one."""
    ratio = np.sort(np.abs(errors) / sd)
    n = ratio.size
    # The order statistic below which a new scan lies with this probability (Vovk et al. 2005), and a normal fit to all ratios:
    # the first is right whatever the distribution and uncertain, the second the other way round.
    own = ratio[min(int(np.ceil((n + 1) * coverage)), n) - 1] / stats.norm.ppf((1 + coverage) / 2)
    smooth = np.sqrt((ratio**2).mean())
    return float(np.sqrt(own * smooth))
