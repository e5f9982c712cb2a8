"""What is true of a phantom: sizes solved for a request, and compartment and adipose volumes on the fine grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.simulation.phantom_anatomy import N_CODES, Array, Codes
from muscle_bayes.simulation.phantom_fat import threshold_for_share
from muscle_bayes.simulation.phantom_grid import Body, Grid, muscle_volume

#: Scale of the muscles' width and thickness that the anatomy can take.
SCALE_LIMITS = (0.50, 1.75)


def solve_scale(body: Body, compartment_mm3: float, z_range: tuple[float, float]) -> None:
    """Set `body.scale` so that its muscles fill a volume between two heights.

    Parameters
    ----------
    body : Body
        Changed in place.
    compartment_mm3 : float
        The wanted volume, fat included.
    z_range : (float, float)
        Heights in mm.

    Raises
    ------
    InvalidValueError
        Where no anatomy of plausible proportions has that volume.
    """
    low, high = SCALE_LIMITS
    log_scale, log_target = 0.0, np.log(compartment_mm3)
    points: list[tuple[float, float]] = []
    for _ in range(8):
        body.scale = float(np.clip(np.exp(log_scale), low, high))
        points.append((float(np.log(body.scale)), float(np.log(muscle_volume(body, z_range)) - log_target)))
        if abs(points[-1][1]) < 5e-4:
            return
        if len(points) > 1 and points[-1][0] == points[-2][0]:  # stuck at a limit
            break
        slope = 2.0  # cross-sections grow with the square of the scale; after two points the secant knows better
        if len(points) > 1 and points[-1][0] != points[-2][0]:
            slope = float(np.clip((points[-1][1] - points[-2][1]) / (points[-1][0] - points[-2][0]), 1.0, 4.0))
        log_scale = points[-1][0] - points[-1][1] / slope
    if abs(points[-1][1]) > 5e-3:
        raise InvalidValueError(
            where="lmm_cm3_per_kg_m2",
            problem=f"no phantom has muscles of {compartment_mm3 / 1000:.0f} cm3 over this extent",
            remedy="Ask for lean muscle between a third and three times the published 24 cm3/(kg/m2)",
        )


def slice_weights(grid: Grid, z_range: tuple[float, float]) -> Array:
    """Return how much of each fine slice lies between two heights, (nz,) float32 from 0 to 1."""
    step = grid.voxel_mm[2] / grid.fine[2]
    low = grid.centres(2, fine=True) - step / 2
    overlap = np.minimum(low + step, z_range[1]) - np.maximum(low, z_range[0])
    return np.clip(overlap / step, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class MuscleGroup:
    """Muscles that share one adipose request.

    Attributes
    ----------
    codes : tuple of int
        Ids of the label scheme; the even ones are right-sided where there are sides.
    share : float
        Adipose share (0 to 1) of the group as a whole.
    weight : (nz,) float32
        How much of each fine slice counts.
    asymmetry : float
        How much more than the group's share the left side has, relative (0.05: 5 %).
    """

    codes: tuple[int, ...]
    share: float
    weight: Array
    asymmetry: float = 0.0


def solve_thresholds(codes: Codes, score: Array, groups: Sequence[MuscleGroup]) -> Array:
    """Return the streak threshold of every tissue code.

    Parameters
    ----------
    codes, score : (nz, nx, ny)
        The painted fine grid.
    groups : sequence of MuscleGroup
        What is asked for.

    Returns
    -------
    (N_CODES,) float32
        Infinite where a tissue has no streaks.
    """
    thresholds = np.full(N_CODES, np.inf, dtype=np.float32)
    for group in groups:
        used = group.weight > 0
        weight, used_codes, used_score = group.weight[used], codes[used], score[used]
        sides = [tuple(c for c in group.codes if c % 2), tuple(c for c in group.codes if not c % 2)]
        values, weights, volumes = [], [], []
        for side in sides:
            inside = np.isin(used_codes, side)
            values.append(used_score[inside])
            weights.append(np.repeat(weight, inside.sum(axis=(1, 2))))
            volumes.append(float(weights[-1].sum(dtype=np.float64)))
        left = group.share * (1 + group.asymmetry) if volumes[1] > 0 else group.share
        # The right side has what is left, so that the pooled share is the one asked for.
        right = (group.share * sum(volumes) - left * volumes[0]) / volumes[1] if volumes[1] > 0 else 0.0
        for side, share, value, each in zip(sides, (left, right), values, weights, strict=True):
            if side:
                partial = bool((each < 1).any())
                thresholds[list(side)] = threshold_for_share(value, share, each if partial else None)
    return thresholds


def truth_table(
    voxels: Array,
    adipose: Array,
    extents: dict[str, tuple[Array, float, float]],
    default: tuple[Array, float, float],
    mm3: float,
) -> pd.DataFrame:
    """Return true volumes by muscle and side.

    Parameters
    ----------
    voxels, adipose : (nz, 18) float64
        Fine voxels, and adipose fine voxels, of each label in each fine slice.
    extents : dict
        muscle -> (slice weights (nz,), z_min, z_max in world mm); others take `default`.
    default : tuple
        The same, for all other muscles.
    mm3 : float
        Volume of a fine voxel.

    Returns
    -------
    DataFrame
        muscle, side, compartment_cm3, adipose_cm3, intermat_percent, lean_cm3, z_min_mm, z_max_mm.
    """
    rows: list[dict[str, object]] = []

    def add(muscle: str, side: str, labels: list[int]) -> None:
        weight, z_min, z_max = extents.get(muscle, default)
        volume = float((voxels[:, labels].sum(axis=1) * weight).sum()) * mm3 / 1000
        fat = float((adipose[:, labels].sum(axis=1) * weight).sum()) * mm3 / 1000
        if volume > 0:
            rows.append(
                {
                    "muscle": muscle,
                    "side": side,
                    "compartment_cm3": volume,
                    "adipose_cm3": fat,
                    "intermat_percent": 100 * fat / volume,
                    "lean_cm3": volume - fat,
                    "z_min_mm": z_min,
                    "z_max_mm": z_max,
                }
            )

    muscles = {number: s for number, s in SCHEME.items() if s.is_muscle}
    for name in dict.fromkeys(s.name for s in muscles.values()):
        numbers = [number for number, s in muscles.items() if s.name == name]
        if len(numbers) == 2:
            for number in numbers:
                add(name, muscles[number].side, [number])
        add(name, "both", numbers)
    add("all", "both", list(muscles))
    return pd.DataFrame(rows)
