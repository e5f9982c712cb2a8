"""Lean and adipose intensities of one contrast as a mixture of two Gaussians, refused where they do not separate."""

from dataclasses import dataclass

import numpy as np

from muscle_bayes.errors import MixtureNotSeparableError

#: Ashman's D (Ashman, Bird & Zepf 1994) above which two Gaussians are told apart.
MINIMUM_SEPARATION = 2.0
#: Highest density allowed in the valley between the components, as a share of the lower of the two peaks.
MAXIMUM_VALLEY = 0.8
#: Below this share of voxels the brighter component is a tail (vessels, artefacts), not a population.
MINIMUM_WEIGHT = 0.005
#: Fewer voxels than this make no histogram to judge a valley in, and no anchor.
MINIMUM_VOXELS = 1000
_BINS = 1024
_PRECISION = 1e-7


@dataclass(frozen=True)
class IntensityMixture:
    """Two Gaussians over the intensities of a muscle compartment.

    Attributes
    ----------
    lean_mean, lean_sd, adipose_mean, adipose_sd : float
        Components, in the units of the image; the adipose one is the brighter.
    adipose_weight : float
        Share of the voxels that the components were fitted to.
    """

    lean_mean: float
    lean_sd: float
    adipose_mean: float
    adipose_sd: float
    adipose_weight: float

    @property
    def separation(self) -> float:
        """Ashman's D = sqrt(2) (mu_2 - mu_1) / sqrt(sd_1^2 + sd_2^2)."""
        return float(np.sqrt(2) * (self.adipose_mean - self.lean_mean) / np.hypot(self.lean_sd, self.adipose_sd))

    def density(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Densities of the lean and of the adipose component.

        Parameters
        ----------
        values : ndarray, any shape
            Intensities.

        Returns
        -------
        tuple of ndarray
            Same shape as `values`.
        """
        return _normal(values, self.lean_mean, self.lean_sd), _normal(values, self.adipose_mean, self.adipose_sd)

    def adipose_probability(self, values: np.ndarray, weight: float) -> np.ndarray:
        """Posterior probability of adipose tissue.

        Parameters
        ----------
        values : ndarray, any shape
            Intensities.
        weight : float
            Share of adipose tissue in the region that the values come from.

        Returns
        -------
        ndarray
            Same shape as `values`. What is darker than the lean mean is never adipose and what is brighter than the
            adipose mean never lean: the wider of two Gaussians would otherwise win the far tail of the other (tendon,
            flow voids).
        """
        probability = self._posterior(values, weight)
        probability[values < self.lean_mean] = 0.0
        probability[values > self.adipose_mean] = 1.0
        return probability

    def _posterior(self, values: np.ndarray, weight: float) -> np.ndarray:
        lean, adipose = self.density(values)
        both = weight * adipose + (1 - weight) * lean
        nearer_adipose = values > 0.5 * (self.lean_mean + self.adipose_mean)
        return np.divide(weight * adipose, both, out=nearer_adipose.astype(np.float64), where=both > 0)

    def weight_in(self, values: np.ndarray) -> float:
        """Maximum-likelihood share of adipose tissue in one region, with the components held fixed.

        Parameters
        ----------
        values : ndarray (n,)
            Intensities of the region.

        Returns
        -------
        float
            Share in 0 to 1; not-a-number for an empty region.
        """
        if values.size == 0:
            return float("nan")
        counts, centres = _histogram(values)
        weight = 0.5
        for _ in range(2000):
            updated = float(counts @ self.adipose_probability(centres, weight)) / values.size
            if abs(updated - weight) < _PRECISION:
                break
            weight = updated
        return updated


def fit_mixture(muscle: np.ndarray, subcutaneous: np.ndarray | None, name: str) -> IntensityMixture:
    """Fit the two components by expectation-maximisation, or refuse.

    Parameters
    ----------
    muscle : ndarray (n,)
        Intensities in all muscle compartments of a scan.
    subcutaneous : ndarray (m,) or None
        Intensities of subcutaneous fat, where that is labelled. It shows what fat looks like in this contrast, which a
        healthy muscle cannot, so the adipose component then has its median and scaled median absolute deviation.
    name : str
        The image, for the message.

    Returns
    -------
    IntensityMixture
        Fitted components.

    Raises
    ------
    MixtureNotSeparableError
        With the measured separation.
    """
    muscle = muscle[np.isfinite(muscle)].astype(np.float64)
    if muscle.size < MINIMUM_VOXELS or np.ptp(muscle) == 0:
        raise _refusal(name, f"only {muscle.size} voxels of muscle, or all of one value, are there to fit")
    counts, centres = _histogram(muscle)
    fat = np.empty(0) if subcutaneous is None else subcutaneous[np.isfinite(subcutaneous)].astype(np.float64)
    anchored = fat.size >= MINIMUM_VOXELS
    if anchored:
        fat_mean, fat_sd = _robust_moments(fat)
        muscle_mean = float(np.median(muscle))
        if fat_mean <= muscle_mean:
            raise _refusal(
                name,
                f"subcutaneous fat (median {fat_mean:.4g}) is not brighter than muscle (median {muscle_mean:.4g})",
            )
        start = (centres > 0.5 * (muscle_mean + fat_mean)).astype(np.float64)
        mixture = _expectation_maximisation(counts, centres, start, (fat_mean, fat_sd))
    else:
        start = (centres > _otsu(counts, centres)).astype(np.float64)
        mixture = _expectation_maximisation(counts, centres, start, None)
    measured = (
        f"means {mixture.lean_mean:.4g} and {mixture.adipose_mean:.4g}, SDs {mixture.lean_sd:.3g} and "
        f"{mixture.adipose_sd:.3g}, separation D = {mixture.separation:.2f}"
    )
    if not mixture.separation >= MINIMUM_SEPARATION:
        raise _refusal(name, f"{measured}, below {MINIMUM_SEPARATION:g}")
    if anchored:
        return mixture
    if not MINIMUM_WEIGHT <= mixture.adipose_weight <= 1 - MINIMUM_WEIGHT:
        raise _refusal(name, f"one component holds {100 * mixture.adipose_weight:.2g} % of the voxels ({measured})")
    valley = _valley(counts, centres, mixture)
    if valley > MAXIMUM_VALLEY:
        raise _refusal(
            name,
            f"between the components the histogram falls to {valley:.2f} of the lower peak only "
            f"(at most {MAXIMUM_VALLEY:g}; {measured}): one population with a tail",
        )
    return mixture


def _expectation_maximisation(
    counts: np.ndarray, centres: np.ndarray, adipose: np.ndarray, anchor: tuple[float, float] | None
) -> IntensityMixture:
    """EM on a histogram from a hard split; with an anchor the adipose component keeps its mean and SD."""
    mixture = _components(counts, centres, adipose, anchor)
    previous = np.inf
    for _ in range(2000):
        lean_density, adipose_density = mixture.density(centres)
        both = mixture.adipose_weight * adipose_density + (1 - mixture.adipose_weight) * lean_density
        log_likelihood = float(counts @ np.log(np.maximum(both, 1e-300))) / counts.sum()
        if abs(log_likelihood - previous) < 1e-10:
            break
        previous = log_likelihood
        adipose = mixture._posterior(centres, mixture.adipose_weight)
        mixture = _components(counts, centres, adipose, anchor)
    return mixture


def _components(
    counts: np.ndarray, centres: np.ndarray, adipose: np.ndarray, anchor: tuple[float, float] | None
) -> IntensityMixture:
    """M step; an SD is never below the histogram's own resolution."""
    resolution = centres[1] - centres[0]
    moments = []
    for share in (1 - adipose, adipose):
        weight = counts * share
        total = max(float(weight.sum()), 1e-12)
        mean = float(weight @ centres) / total
        moments.append((mean, max(float(np.sqrt(weight @ (centres - mean) ** 2 / total)), resolution)))
    lean, own_adipose = moments
    (lean_mean, lean_sd), (adipose_mean, adipose_sd) = lean, anchor or own_adipose
    return IntensityMixture(lean_mean, lean_sd, adipose_mean, adipose_sd, float(counts @ adipose) / float(counts.sum()))


def _valley(counts: np.ndarray, centres: np.ndarray, mixture: IntensityMixture) -> float:
    """Lowest observed density between the means over the lower of the two observed peaks."""
    step = centres[1] - centres[0]
    # Smooth by a quarter of the narrower component: enough to quieten counts, too little to fill a valley.
    width = max(0.25 * min(mixture.lean_sd, mixture.adipose_sd), step)
    kernel = _normal(np.arange(-4 * width, 4 * width + step, step), 0.0, width)
    density = np.convolve(counts, kernel / kernel.sum(), mode="same")
    between = (centres >= mixture.lean_mean) & (centres <= mixture.adipose_mean)
    if between.sum() < 3:
        return 1.0
    bottom = np.flatnonzero(between)[density[between].argmin()]
    lower_peak = min(density[: bottom + 1].max(), density[bottom:].max())
    return float(density[bottom] / lower_peak) if lower_peak > 0 else 1.0


def _otsu(counts: np.ndarray, centres: np.ndarray) -> float:
    """Threshold that maximises the variance between two classes (Otsu 1979)."""
    below = np.cumsum(counts)
    sum_below = np.cumsum(counts * centres)
    total, mean = below[-1], sum_below[-1] / below[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean * below - sum_below) ** 2 / (below * (total - below))
    return float(centres[np.nanargmax(np.where(np.isfinite(between), between, np.nan))])


def _robust_moments(values: np.ndarray) -> tuple[float, float]:
    """Median and scaled median absolute deviation; label edges and vessels would widen mean and SD."""
    median = float(np.median(values))
    return median, max(1.4826 * float(np.median(np.abs(values - median))), 1e-6 * abs(median))


def _histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count values in equal bins, with the darkest and brightest 0.05 % in the end bins; counts and centres."""
    low, high = (float(edge) for edge in np.percentile(values, [0.05, 99.95]))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, low + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), bins=_BINS, range=(low, high))
    return counts.astype(np.float64), 0.5 * (edges[1:] + edges[:-1])


def _normal(values: np.ndarray, mean: float, sd: float) -> np.ndarray:
    return np.exp(-0.5 * ((values - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def _refusal(name: str, reason: str) -> MixtureNotSeparableError:
    return MixtureNotSeparableError(
        where=name,
        problem=f"lean and adipose intensities do not separate, so a mixture would invent an InterMAT: {reason}",
        remedy="Use a Dixon pair (water= and fat=), or a contrast in which fat is clearly brighter than muscle",
    )
