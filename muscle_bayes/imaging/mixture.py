"""Lean and adipose intensities of one contrast as a Gaussian mixture, refused where they do not separate.

Two Gaussians, lean and adipose, and between them voxels that hold some of both: their share of fat is taken as uniform, so
their density is that uniform seen through the noise (Santago & Gage, IEEE Trans Med Imaging 1993;12:566-574). Without the
third part thin fat is either lost to a widened lean component or counted whole.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from muscle_bayes.errors import MixtureNotSeparableError

#: Ashman's D (Ashman, Bird & Zepf, Astron J 1994;108:2348) above which two Gaussians are told apart.
MINIMUM_SEPARATION = 2.0
#: The same without an example of fat: the adipose component is then fitted too, and a wide one takes partial volume for fat.
MINIMUM_SEPARATION_ALONE = 4.0
#: Highest density allowed in the valley between the components, as a share of the lower of the two peaks.
MAXIMUM_VALLEY = 0.8
#: Below this share of voxels the brighter component is a tail (vessels, artefacts), not a population.
MINIMUM_WEIGHT = 0.005
#: Over all muscles of a scan lean tissue is the larger part; where it is not, muscle itself is the brighter component.
MAXIMUM_WEIGHT = 0.5
#: Fewer voxels than this make no histogram to judge a valley in, and no anchor.
MINIMUM_VOXELS = 1000
_BINS = 1024
_OVERLAP = "fat and muscle are not told apart by brightness in this contrast (the two groups of voxels overlap)"
_PRECISION = 1e-7


@dataclass(frozen=True)
class IntensityMixture:
    """Lean and adipose Gaussians over the intensities of muscle compartments, with partial volume between them.

    Attributes
    ----------
    lean_mean, lean_sd, adipose_mean, adipose_sd : float
        Components, in the units of the image; the adipose one is the brighter.
    weights : tuple of float
        Shares of lean, partial-volume and adipose voxels among those that the components were fitted to.
    """

    lean_mean: float
    lean_sd: float
    adipose_mean: float
    adipose_sd: float
    weights: tuple[float, float, float]

    @property
    def separation(self) -> float:
        """Ashman's D = sqrt(2) (mu_2 - mu_1) / sqrt(sd_1^2 + sd_2^2)."""
        return float(np.sqrt(2) * (self.adipose_mean - self.lean_mean) / np.hypot(self.lean_sd, self.adipose_sd))

    def posterior(self, values: np.ndarray, weights: tuple[float, float, float]) -> np.ndarray:
        """Posterior probabilities of the three kinds of voxel.

        Parameters
        ----------
        values : ndarray (n,)
            Intensities.
        weights : tuple of float
            Shares of lean, partial-volume and adipose voxels in the region that the values come from.

        Returns
        -------
        ndarray (3, n)
            Lean, partial, adipose; columns sum to 1.
        """
        below, above = (values - self.lean_mean) / self.lean_sd, (values - self.adipose_mean) / self.adipose_sd
        joint = np.stack(
            [
                weights[0] * _standard_normal(below) / self.lean_sd,
                weights[1] * np.maximum(ndtr(below) - ndtr(above), 0) / max(self.adipose_mean - self.lean_mean, 1e-12),
                weights[2] * _standard_normal(above) / self.adipose_sd,
            ]
        )
        total = joint.sum(axis=0)
        # So far out that every density underflows: the nearer end.
        lost = total <= 0
        joint[0, lost], joint[2, lost] = np.abs(below[lost]) <= np.abs(above[lost]), 0.0
        joint[2, lost] = 1 - joint[0, lost]
        return joint / np.where(lost, 1.0, total)

    def adipose_share(self, values: np.ndarray, weights: tuple[float, float, float]) -> np.ndarray:
        """Return the expected share of adipose tissue in each voxel.

        Parameters
        ----------
        values : ndarray (n,)
            Intensities.
        weights : tuple of float
            As in `posterior`.

        Returns
        -------
        ndarray (n,)
            P(adipose) + P(partial) x position between the means. What is darker than the lean mean has none and what is
            brighter than the adipose mean is all fat: the wider of two Gaussians would otherwise win the far tail of the
            other (tendon, flow voids).
        """
        _, partial, adipose = self.posterior(values, weights)
        position = np.clip((values - self.lean_mean) / (self.adipose_mean - self.lean_mean), 0, 1)
        share = adipose + partial * position
        share[position <= 0] = 0.0
        share[position >= 1] = 1.0
        return share

    def weights_in(self, values: np.ndarray) -> tuple[float, float, float]:
        """Maximum-likelihood weights of one region, with the components held fixed.

        Parameters
        ----------
        values : ndarray (n,)
            Intensities of the region.

        Returns
        -------
        tuple of float
            Shares of lean, partial-volume and adipose voxels.
        """
        counts, centres = _histogram(values)
        weights = (0.6, 0.2, 0.2)
        for _ in range(2000):
            updated = _shares(self.posterior(centres, weights) @ counts)
            if max(abs(new - old) for new, old in zip(updated, weights, strict=True)) < _PRECISION:
                break
            weights = updated
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
        raise _refusal(
            name,
            "too little of muscle is labelled or has a signal to tell fat from it by brightness",
            f"only {muscle.size} voxels" if muscle.size < MINIMUM_VOXELS else "all of one value",
        )
    counts, centres = _histogram(muscle)
    fat = np.empty(0) if subcutaneous is None else subcutaneous[np.isfinite(subcutaneous)].astype(np.float64)
    anchored = fat.size >= MINIMUM_VOXELS
    if anchored:
        fat_mean, fat_sd = _robust_moments(fat)
        muscle_mean = float(np.median(muscle))
        if fat_mean <= muscle_mean:
            raise _refusal(
                name,
                "subcutaneous fat is not brighter than muscle in this contrast",
                f"median of subcutaneous fat {fat_mean:.4g}, of muscle {muscle_mean:.4g}",
            )
        mixture = _expectation_maximisation(counts, centres, 0.5 * (muscle_mean + fat_mean), (fat_mean, fat_sd))
    else:
        mixture = _expectation_maximisation(counts, centres, _otsu(counts, centres), None)
    why, figures = [], [f"separation D = {mixture.separation:.2f}"]
    limit = MINIMUM_SEPARATION if anchored else MINIMUM_SEPARATION_ALONE
    if not mixture.separation >= limit:
        why.append(_OVERLAP)
        figures[0] += f", needs {limit:g}" + ("" if anchored else ", or 2 with labelled subcutaneous fat")
    if not anchored:
        valley = _valley(counts, centres, mixture)
        if valley > MAXIMUM_VALLEY:
            why.append(_OVERLAP)
            figures.append(
                f"histogram between the groups at {valley:.2f} of the lower peak, at most {MAXIMUM_VALLEY:g}"
            )
        if mixture.weights[2] < MINIMUM_WEIGHT:
            why.append("too few voxels of muscle are bright enough to show what fat looks like in this contrast")
            figures.append(f"brighter group {100 * mixture.weights[2]:.2g} % of the voxels")
    share = float(counts @ mixture.adipose_share(centres, mixture.weights)) / float(counts.sum())
    if share > MAXIMUM_WEIGHT:
        why.append("the brighter of the two groups of voxels is muscle itself, not fat")
        figures.append(f"{100 * share:.0f} % of muscle would be fat")
    if why:
        raise _refusal(name, why[0], "; ".join(figures))
    return mixture


def _expectation_maximisation(
    counts: np.ndarray, centres: np.ndarray, threshold: float, anchor: tuple[float, float] | None
) -> IntensityMixture:
    """EM on a histogram from a hard split; with an anchor the adipose component keeps its mean and SD."""
    bright = (centres > threshold).astype(np.float64)
    lean, adipose = (_moments(counts * part, centres) for part in (1 - bright, bright))
    weight = float(counts @ bright / counts.sum())
    mixture = IntensityMixture(*lean, *(anchor or adipose), (0.9 * (1 - weight), 0.1, 0.9 * weight))
    for _ in range(3000):
        posterior = mixture.posterior(centres, mixture.weights) * counts
        lean, adipose = _moments(posterior[0], centres), _moments(posterior[2], centres)
        updated = IntensityMixture(*lean, *(anchor or adipose), _shares(posterior.sum(axis=1)))
        moved = max(
            abs(updated.lean_mean - mixture.lean_mean),
            abs(updated.lean_sd - mixture.lean_sd),
            abs(updated.adipose_mean - mixture.adipose_mean),
        )
        mixture = updated
        if moved < 1e-6 * (centres[-1] - centres[0]) or mixture.adipose_mean <= mixture.lean_mean:
            break
    return mixture


def _moments(weight: np.ndarray, centres: np.ndarray) -> tuple[float, float]:
    """Mean and SD; an SD is never below the histogram's own resolution."""
    total = max(float(weight.sum()), 1e-12)
    mean = float(weight @ centres) / total
    sd = float(np.sqrt(weight @ (centres - mean) ** 2 / total))
    return mean, max(sd, float(centres[1] - centres[0]))


def _shares(sums: np.ndarray) -> tuple[float, float, float]:
    lean, partial, adipose = (float(value) for value in sums / sums.sum())
    return lean, partial, adipose


def _valley(counts: np.ndarray, centres: np.ndarray, mixture: IntensityMixture) -> float:
    """Lowest observed density between the means over the lower of the two observed peaks."""
    step = centres[1] - centres[0]
    # Smooth by a quarter of the narrower component: enough to quieten counts, too little to fill a valley.
    width = max(0.25 * min(mixture.lean_sd, mixture.adipose_sd), step)
    kernel = _standard_normal(np.arange(-4 * width, 4 * width + step, step) / width)
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


def _standard_normal(values: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * values**2) / np.sqrt(2 * np.pi)


def _refusal(name: str, why: str, figures: str) -> MixtureNotSeparableError:
    """Plain words first; the measured figures are for who wants to judge them."""
    return MixtureNotSeparableError(
        where=name,
        problem=f"{why}, so a fat share would be invented ({figures})",
        remedy="Use a Dixon pair (water and fat), or a T1-weighted image, in which fat is clearly brighter than muscle",
    )
