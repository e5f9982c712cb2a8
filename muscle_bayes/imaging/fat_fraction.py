"""Fat signal fraction of a Dixon pair: F / (W + F) where there is signal, undefined elsewhere."""

from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from muscle_bayes.errors import ImageUnitsError

#: The noise floor as a share of the in-body median of W + F.
FLOOR_SHARE = 0.25


@dataclass(frozen=True)
class T1Correction:
    """What is needed to undo T1 weighting of a spoiled gradient echo.

    A two-point T1-weighted Dixon overstates fat, whose T1 is short: without this, 10 % fat can read as 20 %.

    Attributes
    ----------
    tr_ms : float
        Repetition time, ms.
    flip_angle_deg : float
        Nominal flip angle, degrees.
    t1_water_ms, t1_fat_ms : float
        T1 of muscle water and of fat at the scanner's field strength, ms.
    """

    tr_ms: float
    flip_angle_deg: float
    t1_water_ms: float
    t1_fat_ms: float

    def __post_init__(self) -> None:
        times_positive = min(self.tr_ms, self.t1_water_ms, self.t1_fat_ms) > 0
        if not (times_positive and 0 < self.flip_angle_deg <= 90):
            raise ImageUnitsError(
                where="t1_correction",
                problem=f"times must be positive (ms) and the flip angle in (0, 90] degrees; got {self}",
                remedy="Take TR and flip angle from the DICOM header and T1s in milliseconds",
            )

    def saturation(self) -> tuple[float, float]:
        """Signal of water and of fat as shares of their equilibrium signal.

        Returns
        -------
        tuple of float
            S = sin(a) (1 - E1) / (1 - E1 cos(a)), E1 = exp(-TR / T1) (Ernst & Anderson 1966), for water and fat.
        """
        angle = np.deg2rad(self.flip_angle_deg)
        e1 = np.exp(-self.tr_ms / np.array([self.t1_water_ms, self.t1_fat_ms]))
        water, fat = np.sin(angle) * (1 - e1) / (1 - e1 * np.cos(angle))
        return float(water), float(fat)


def in_body_median(total: np.ndarray, share: float = FLOOR_SHARE) -> float:
    """Median of W + F over the body, found without a background estimate.

    The body is what lies above `share` times its own median: the median is iterated from the bright end until the set
    of voxels above the floor no longer changes. Background statistics would fail on masked images, where air is zero.

    Parameters
    ----------
    total : ndarray, any shape
        W + F.
    share : float
        Floor as a share of the median.

    Returns
    -------
    float
        The median, in the units of the images.
    """
    values = _sampled(total)
    signal = values[values > 0]
    if signal.size == 0:
        return 0.0
    floor = 0.1 * float(np.percentile(signal, 99))
    median = floor
    for _ in range(50):
        # The values at hand only shrink while the floor rises; re-select from all of them, since it may fall too.
        median = float(np.median(signal[signal > floor]))
        if abs(share * median - floor) <= 1e-6 * median:
            break
        floor = share * median
    return median


def in_body_median_of_pair(water: np.ndarray, fat: np.ndarray) -> float:
    """Return `in_body_median` of W + F, summed only where it is looked at.

    Parameters
    ----------
    water, fat : ndarray (nx, ny, nz)
        Magnitude images on one grid.

    Returns
    -------
    float
    """
    return in_body_median(np.maximum(_sampled(water), 0) + np.maximum(_sampled(fat), 0))


def fat_signal_fraction(
    water: np.ndarray, fat: np.ndarray, floor: float, t1_correction: T1Correction | None = None
) -> np.ndarray:
    """Voxelwise fat signal fraction, not-a-number where W + F is below the noise floor.

    Parameters
    ----------
    water, fat : ndarray (nx, ny, nz)
        Magnitude images of one reconstruction; small negative values of interpolation count as 0.
    floor : float
        Noise floor of W + F, in the units of the images.
    t1_correction : T1Correction, optional
        Divides each signal by its saturation, which makes the fraction one of equilibrium signals.

    Returns
    -------
    ndarray (nx, ny, nz) float32
        FF = F / (W + F) in 0 to 1.
    """
    weight = None
    if t1_correction is not None:
        water_share, fat_share = t1_correction.saturation()
        weight = np.float32(water_share / fat_share)
    least = max(floor, np.finfo(np.float32).tiny)
    out = np.empty_like(water, dtype=np.result_type(water, fat, np.float32))
    # A part at a time along the order of memory: every step stays in the processor's cache.
    axis = int(np.argmax(np.abs(water.strides)))
    for index in range(water.shape[axis]):
        part = (*[slice(None)] * axis, slice(index, index + 1))
        w, f = np.maximum(water[part], np.float32(0)), np.maximum(fat[part], np.float32(0))
        undefined = (w + f) < least
        if weight is not None:
            f = f * weight
        total = w + f
        total[undefined] = np.nan
        np.divide(f, total, out=out[part])
    return out


def check_dixon_units(water: np.ndarray, fat: np.ndarray, water_name: str, fat_name: str) -> None:
    """Raise where a Dixon pair cannot be two magnitude images of one reconstruction.

    Parameters
    ----------
    water, fat : ndarray (nx, ny, nz)
        The images as read.
    water_name, fat_name : str
        Their files, for the message.

    Raises
    ------
    ImageUnitsError
        Negative magnitudes, a fraction (0-1, percent or per mille) in place of a signal, or the same file twice.
    """
    where = f"{water_name} and {fat_name}"
    for data, name in ((water, water_name), (fat, fat_name)):
        check_magnitude(data, name)
    if water.shape == fat.shape and np.array_equal(_sampled(water), _sampled(fat)) and np.array_equal(water, fat):
        raise ImageUnitsError(
            where=where,
            problem="water and fat hold the same values, so the fat signal fraction would be 0.5 everywhere",
            remedy="Give the water image as water and the fat image as fat",
        )
    water, fat = _sampled(water), _sampled(fat)
    total = water + fat
    for whole, unit in ((1.0, "fractions of 1"), (100.0, "percent"), (1000.0, "per mille")):
        if not 0.9 * whole < total.max() < 1.2 * whole:
            continue
        body = total > 0.5 * whole
        if np.abs(total[body] - whole).mean() < 0.02 * whole:
            raise ImageUnitsError(
                where=where,
                problem=f"water + fat is {whole:g} in nearly every voxel: these are {unit}, not signals, "
                "and the noise floor needs signals",
                remedy="Give the water and fat signal images from which the fraction was computed",
            )
    peaks = {name: float(np.percentile(data[data > 0], 99.9)) for data, name in ((water, water_name), (fat, fat_name))}
    (low_name, low), (_, high) = sorted(peaks.items(), key=lambda item: item[1])
    plateau = _fraction_plateau(water, water_name, fat, high) or _fraction_plateau(fat, fat_name, water, high)
    if plateau is None and low <= 1.001 < 20 <= high:
        plateau = low_name, "between 0 and 1"
    if plateau is not None:
        name, unit = plateau
        other = fat_name if name == water_name else water_name
        raise ImageUnitsError(
            where=name,
            problem=f"values end at {peaks[name]:.3g} while {other} reaches {peaks[other]:.3g}: "
            f"one is a fraction {unit}, the other a signal",
            remedy="Give two signal images of one reconstruction, not a fat fraction map",
        )


def _fraction_plateau(data: np.ndarray, name: str, other: np.ndarray, highest: float) -> tuple[str, str] | None:
    """Name an image that ends in a plateau at 100 or 1000, as fat and noise in air do in a map of fractions.

    A signal that happens to peak at 100 has a thin top. One that ends at 1000, to which images are scaled, has signal in the other
    image where it does, and a fraction of 1 has none. A map whose air is masked may end lower, in fat, and is not known by this.
    """
    positive, top = int((data > 0).sum()), float(data.max())
    for whole, unit in ((100.0, "in percent"), (1000.0, "per mille")):
        if not 0.99 * whole < top <= 1.00001 * whole:
            continue
        there = data >= 0.99 * whole
        if there.sum() <= 1e-3 * positive:
            continue
        if (highest > 150) if unit == "in percent" else (np.median(other[there]) < 0.03 * np.percentile(other, 99.9)):
            return name, unit
    return None


def check_magnitude(data: np.ndarray, name: str) -> None:
    """Raise where an image has negative values beyond what interpolation leaves.

    Parameters
    ----------
    data : ndarray (nx, ny, nz)
        The image as read.
    name : str
        Its file, for the message.

    Raises
    ------
    ImageUnitsError
        Where the lowest value is below minus a tenth of the highest, more than 5 % of the voxels are below minus a fiftieth of it,
        or nothing is positive.
    """
    low, high = float(data.min()), float(data.max())
    # Interpolation leaves few and small ones; an offset that was subtracted leaves many.
    many = low < -0.02 * high and float((_sampled(data) < -0.02 * high).mean()) > 0.05
    if high <= 0 or low < -0.1 * high or many:
        raise ImageUnitsError(
            where=name,
            problem=f"values run from {low:.4g} to {high:.4g}; a magnitude image has no negative values of this size"
            + (" in so many voxels" if many else ""),
            remedy="Give the magnitude image (not phase, real part or a difference), with its scaling applied",
        )


def sampling_step(shape: tuple[int, ...], at_most: int = 4_000_000) -> int:
    """Return the step between the voxels of a large image that medians and percentiles look at; 1 for a small one.

    Parameters
    ----------
    shape : tuple of int
        Of the image.
    at_most : int
        Voxels looked at.

    Returns
    -------
    int
        It shares no factor with the image's sides, so that no row or column is preferred.
    """
    step = prod(shape) // at_most + 1
    while step > 1 and any(gcd(step, side) > 1 for side in shape):
        step += 1
    return step


def _sampled(values: np.ndarray) -> np.ndarray:
    """Return evenly spread voxels of a large image, all of a small one; for medians and percentiles."""
    return values.ravel(order="F")[:: sampling_step(values.shape)]
