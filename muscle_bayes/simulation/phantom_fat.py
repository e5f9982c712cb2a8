"""Intermuscular fat of phantoms: a streak score in mm, and the threshold that gives a requested share of adipose tissue.

The score of a place is how deep it lies within a would-be fat structure. Structures are of three kinds: septa between
muscles and fascicle groups (given by the anatomy), perimysial sheets between fascicles (zero sets of a smooth field, which
are continuous surfaces and show as continuous lines in a slice), and patches. Adipose tissue is where the score exceeds a
threshold, so the amount is solved by a quantile and all structures grow together, as they do in ageing muscle.
"""

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.simulation.phantom_noise import GRADIENT_TIMES_SPACING, SmoothNoise

Array = NDArray[np.float32]


class StreakField:
    """The random part of the streaks of one phantom.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the fields come from.
    sheet_spacing_mm : float
        Typical distance of perimysial sheets in the plane; along the muscle they are much longer.
    """

    def __init__(self, rng: np.random.Generator, sheet_spacing_mm: float = 9.0) -> None:
        fine, coarse = sheet_spacing_mm * 0.55, sheet_spacing_mm * 1.25
        self._fine = SmoothNoise(rng, (fine, fine, 18.0))
        self._coarse = SmoothNoise(rng, (coarse, coarse, 30.0))
        self._patches = SmoothNoise(rng, (8.0, 3.4, 18.0))
        self._envelope = SmoothNoise(rng, (14.0, 12.0, 40.0))
        # Mean in-plane gradient of a unit field: turns a field's value into a distance from its zero set.
        self._fine_mm = np.float32(fine / (GRADIENT_TIMES_SPACING * np.sqrt(2.0)))
        self._coarse_mm = np.float32(coarse / (GRADIENT_TIMES_SPACING * np.sqrt(2.0)))

    def on(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> "SlicedStreaks":
        """Bind to in-plane positions x (nx,), y (ny,) in mm."""
        return SlicedStreaks(self, x, y)


class SlicedStreaks:
    """A streak field bound to in-plane positions."""

    def __init__(self, field: StreakField, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._field = field
        self._fine, self._coarse = field._fine.on(x, y), field._coarse.on(x, y)
        self._patches, self._envelope = field._patches.on(x, y), field._envelope.on(x, y)

    def score(self, z: float, septum_mm: Array, preference: Array) -> Array:
        """Return the streak score of one slice.

        Parameters
        ----------
        z : float
            Height in mm.
        septum_mm : (nx, ny) float32
            Distance to the nearest septum between muscles or fascicle groups.
        preference : (nx, ny) float32
            How prone a place is to fat, in mm of streak half-width (deep and medial, near fascia: more).

        Returns
        -------
        (nx, ny) float32
            Depth within a would-be fat structure, in mm.
        """
        envelope = self._envelope.at(z)
        width = preference + np.float32(0.6) * envelope
        fine = np.float32(-0.6) + width - np.abs(self._fine.at(z)) * self._field._fine_mm
        coarse = np.float32(0.5) + width - np.abs(self._coarse.at(z)) * self._field._coarse_mm
        septa = np.float32(0.45) + np.float32(0.8) * width - septum_mm
        patches = np.float32(1.0) * (self._patches.at(z) + np.float32(0.5) * envelope - np.float32(1.75)) + preference
        return np.maximum(np.maximum(fine, coarse), np.maximum(septa, patches))


def threshold_for_share(score: Array, share: float, weight: Array | None = None) -> float:
    """Return the threshold above which a (weighted) share of places lies.

    Parameters
    ----------
    score : (n,) float32
        Score of each fine voxel of a compartment.
    share : float
        The wanted adipose share, 0 to 1.
    weight : (n,) float32, optional
        Volume of each fine voxel; equal where left out.

    Returns
    -------
    float
        Places with `score > threshold` hold `share` of the volume, to within one fine voxel.
    """
    if share <= 0 or score.size == 0:
        return float("inf")
    if weight is None:
        rank = int(np.clip(score.size - 1 - round(share * score.size), 0, score.size - 1))
        return float(np.partition(score, rank)[rank])
    order = np.argsort(score)[::-1]
    cumulative = np.cumsum(weight[order], dtype=np.float64)
    n = int(np.searchsorted(cumulative, share * cumulative[-1]))
    return float(score[order[min(n, score.size - 1)]])
