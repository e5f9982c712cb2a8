"""How well two label maps, or two sets of measurements, agree: Dice, surface distance, Bland-Altman, intraclass correlation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import binary_erosion, distance_transform_edt


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks (Dice 1945).

    Parameters
    ----------
    first, second : (...) bool
        Masks on one grid.

    Returns
    -------
    float
        2 |A and B| / (|A| + |B|); not a number where both are empty.
    """
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else float("nan")


def surface_distances(
    predicted: NDArray[np.bool_], reference: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances between the surfaces of two masks.

    Parameters
    ----------
    predicted, reference : (nx, ny, nz) bool
        Masks on one grid.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    from_predicted, from_reference : (n,), (m,) float64
        From each surface voxel of one to the nearest surface voxel of the other, mm; empty where a mask is empty.
    """
    if not predicted.any() or not reference.any():
        return np.empty(0), np.empty(0)
    box = _around(predicted | reference)
    surfaces = [mask[box] & ~binary_erosion(mask[box]) for mask in (predicted, reference)]
    distances = [
        distance_transform_edt(~surfaces[1 - i], sampling=spacing)[surfaces[i]].astype(np.float64) for i in range(2)
    ]
    return distances[0], distances[1]


@dataclass(frozen=True)
class SurfaceAgreement:
    """How far two surfaces lie apart, mm.

    Attributes
    ----------
    mean : float
        Mean of the two directions' means (average symmetric surface distance).
    hausdorff_95 : float
        The larger of the two directions' 95th percentiles.
    """

    mean: float
    hausdorff_95: float


def surface_agreement(
    predicted: NDArray[np.bool_], reference: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> SurfaceAgreement:
    """Summarise the distances of `surface_distances`; not a number where a mask is empty."""
    there, back = surface_distances(predicted, reference, spacing)
    if there.size == 0:
        return SurfaceAgreement(float("nan"), float("nan"))
    mean = (there.sum() + back.sum()) / (there.size + back.size)
    return SurfaceAgreement(float(mean), float(max(np.percentile(there, 95), np.percentile(back, 95))))


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two measurements of the same things (Bland and Altman 1986).

    Attributes
    ----------
    n : int
        Pairs.
    bias, sd : float
        Mean and SD of first - second.
    lower, upper : float
        Limits of agreement, bias -/+ 1.96 SD.
    bias_interval : (float, float)
        95 % interval of the bias.
    slope : float
        Of first on second, least squares.
    """

    n: int
    bias: float
    sd: float
    lower: float
    upper: float
    bias_interval: tuple[float, float]
    slope: float


def bland_altman(first: NDArray[np.float64], second: NDArray[np.float64]) -> BlandAltman:
    """Return bias and limits of agreement.

    Parameters
    ----------
    first, second : (n,) float64
        Measured and reference values of the same n participants.

    Returns
    -------
    BlandAltman
        SD and limits are not a number below two pairs, the slope below three.
    """
    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    n = difference.size
    bias = float(difference.mean()) if n else float("nan")
    sd = float(difference.std(ddof=1)) if n > 1 else float("nan")
    margin = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n) if n > 1 else float("nan")
    spread = float(np.ptp(second)) if n else 0.0
    slope = float(np.polyfit(second, first, 1)[0]) if n > 2 and spread > 0 else float("nan")
    return BlandAltman(n, bias, sd, bias - 1.96 * sd, bias + 1.96 * sd, (bias - margin, bias + margin), slope)


@dataclass(frozen=True)
class IntraclassCorrelation:
    """Intraclass correlation of single measurements (Shrout and Fleiss 1979; McGraw and Wong 1996).

    Attributes
    ----------
    agreement : float
        ICC(2,1), two-way random effects, absolute agreement: a constant shift lowers it.
    lower, upper : float
        Its 95 % interval.
    consistency : float
        ICC(3,1), two-way mixed effects: a constant shift does not matter.
    """

    agreement: float
    lower: float
    upper: float
    consistency: float


def intraclass_correlation(ratings: NDArray[np.float64]) -> IntraclassCorrelation:
    """Return ICC(2,1) with its 95 % interval, and ICC(3,1).

    Parameters
    ----------
    ratings : (n, k) float64
        n participants measured by k methods or readers.

    Returns
    -------
    IntraclassCorrelation
        Not a number below three participants.
    """
    y = np.asarray(ratings, dtype=float)
    n, k = y.shape
    if n < 3 or k < 2:
        return IntraclassCorrelation(*[float("nan")] * 4)
    grand, rows, columns = y.mean(), y.mean(axis=1), y.mean(axis=0)
    between = k * ((rows - grand) ** 2).sum() / (n - 1)
    raters = n * ((columns - grand) ** 2).sum() / (k - 1)
    error = ((y - rows[:, None] - columns[None, :] + grand) ** 2).sum() / ((n - 1) * (k - 1))
    agreement = (between - error) / (between + (k - 1) * error + k * (raters - error) / n)
    consistency = (between - error) / (between + (k - 1) * error)
    if error <= 0:  # methods that differ by a constant only: no interval to speak of
        return IntraclassCorrelation(float(agreement), float("nan"), float("nan"), float(consistency))
    # Shrout and Fleiss 1979, p. 424: Satterthwaite's degrees of freedom for the mix of two mean squares.
    ratio = raters / error
    first, second = k * agreement * ratio, n * (1 + (k - 1) * agreement) - k * agreement
    degrees = (k - 1) * (n - 1) * (first + second) ** 2 / ((n - 1) * first**2 + second**2)
    upper_f, lower_f = stats.f.ppf(0.975, n - 1, degrees), stats.f.ppf(0.975, degrees, n - 1)
    scale = k * raters + (k * n - k - n) * error
    # Written so that a quantile of infinity, of next to no degrees of freedom, gives the limit.
    lower = n * (between / upper_f - error) / (scale + n * between / upper_f)
    upper = n * (lower_f * between - error) / (scale + n * lower_f * between)
    return IntraclassCorrelation(float(agreement), float(lower), float(upper), float(consistency))


def _around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Box of a mask with one voxel of margin where there is room: the erosion must not see the edge of the box."""
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append(slice(max(int(used[0]) - 1, 0), int(used[-1]) + 2))
    return tuple(box)
