"""Painted tissue kept for training: codes without any contrast, from which images of every contrast can be made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.simulation.phantom_anatomy import N_CODES, Codes, is_muscle
from muscle_bayes.simulation.phantom_body import paint_body
from muscle_bayes.simulation.phantom_ranges import PhantomRanges

#: Intermuscular adipose tissue keeps the code of its muscle plus this; smaller than 256 - N_CODES, larger than N_CODES.
STREAK = 64
assert N_CODES < STREAK

#: What training phantoms differ in: wider than any exam, since a network is only safe inside what it has seen.
TRAINING_RANGES = PhantomRanges(
    ranges={"intermat_percent": (0.0, 40.0), "lmm_cm3_per_kg_m2": (12.0, 36.0), "bmi_kg_m2": (16.0, 44.0)},
    choices={"sex": ("female", "male")},
)
#: In the plane, fine pixels a pixel; between painted slices, mm.
FINE, STEP_MM = 2, 4.5


@dataclass(frozen=True)
class TissueStack:
    """The tissue of one simulated body.

    Attributes
    ----------
    codes : (nz, nx * FINE, ny * FINE) uint8
        Tissue codes; adipose streaks in muscle carry the muscle's code + `STREAK`. x to the right, y forwards, z upwards.
    region : {"trunk", "thigh"}
        What it shows.
    pixel_mm : float
        Pixels of the images that are made of it, in the plane.
    seed : int
        What it was made with.
    """

    codes: Codes
    region: str
    pixel_mm: float
    seed: int


def tissue_stack(region: str, seed: int, pixel_mm: float = 1.4, step_mm: float = STEP_MM) -> TissueStack:
    """Paint one body for training.

    Parameters
    ----------
    region : {"trunk", "thigh"}
        What to paint.
    seed : int
        Makes the anatomy and its settings (`TRAINING_RANGES`).
    pixel_mm, step_mm : float
        Pixels in the plane and distance of slices.

    Returns
    -------
    TissueStack
    """
    settings = TRAINING_RANGES.draw(seed)
    body_seed, side_seed = np.random.SeedSequence([seed, 7]).spawn(2)
    while True:
        try:
            painted = paint_body(
                region,
                **settings,
                seed=body_seed,
                side_rng=np.random.default_rng(side_seed),
                voxel_mm=(pixel_mm, pixel_mm, step_mm),
                supersample=(FINE, FINE, 1),
            )
        except (
            InvalidValueError
        ):  # the corners of the ranges hold muscles that no anatomy has: come closer to the middle
            settings["lmm_cm3_per_kg_m2"] = 0.7 * settings["lmm_cm3_per_kg_m2"] + 0.3 * 24.0
            continue
        codes = painted.codes
        streak = is_muscle(codes) & (painted.score > painted.thresholds[codes])
        return TissueStack(codes + np.where(streak, np.uint8(STREAK), np.uint8(0)), region, pixel_mm, seed)


def training_seeds(count: int, share_thigh: float, first: int) -> Sequence[tuple[str, int]]:
    """Return (region, seed) of `count` training bodies; thighs are spread evenly among them."""
    thighs = np.floor(np.arange(1, count + 1) * share_thigh) > np.floor(np.arange(count) * share_thigh)
    return [("thigh" if thigh else "trunk", first + i) for i, thigh in enumerate(thighs)]
