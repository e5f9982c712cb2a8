"""One painted body: anatomy, fat streaks and the thresholds that give the requested adipose shares, before any imaging."""

from dataclasses import dataclass

import numpy as np

from muscle_bayes.simulation.phantom_anatomy import Array, Codes
from muscle_bayes.simulation.phantom_grid import Body, Grid, grid_for, paint_volume
from muscle_bayes.simulation.phantom_thigh import Thighs
from muscle_bayes.simulation.phantom_trunk import Trunk
from muscle_bayes.simulation.phantom_truth import MuscleGroup, slice_weights, solve_scale, solve_thresholds

#: The autochthonous muscles are measured over this length above the top of the gluteals (mm).
EXTENT_MM = 150.0
#: Lean volume of both thighs' muscles over 150 mm, as a multiple of the autochthonous muscles' over theirs (invented, plausible).
THIGH_TO_BACK = 6.0
#: InterMAT of the trunk's other muscles as a multiple of the autochthonous muscles' (invented, plausible).
OTHER_INTERMAT = {(5, 6): 0.45, (7, 8): 1.15, (17,): 0.8}
MAX_INTERMAT = 60.0


@dataclass(frozen=True)
class PaintedBody:
    """A body on its fine grid.

    Attributes
    ----------
    scale : float
        Size of the muscles that gives the lean volume asked for.
    grid : Grid
        The image grid and the fine one inside it.
    codes, score : (nz, nx, ny)
        Tissue codes and streak scores of the fine grid.
    thresholds : (N_CODES,) float32
        Adipose tissue is where the score of a muscle exceeds its threshold.
    extent : (float, float)
        Heights (mm) between which the requested share and volume hold.
    inside : (nz,) float32
        How much of each fine slice lies in the extent.
    """

    scale: float
    grid: Grid
    codes: Codes
    score: Array
    thresholds: Array
    extent: tuple[float, float]
    inside: Array


def paint_body(
    region: str,
    *,
    intermat_percent: float,
    lmm_cm3_per_kg_m2: float,
    bmi_kg_m2: float,
    sex: str,
    seed: np.random.SeedSequence,
    side_rng: np.random.Generator,
    voxel_mm: tuple[float, float, float],
    supersample: tuple[int, int, int] | None = None,
) -> PaintedBody:
    """Paint the trunk or the thighs of one person.

    Parameters
    ----------
    region, intermat_percent, lmm_cm3_per_kg_m2, bmi_kg_m2, sex, voxel_mm, supersample
        As in `simulate_phantom`.
    seed : numpy.random.SeedSequence
        Makes the anatomy.
    side_rng : numpy.random.Generator
        Makes the difference between left and right.

    Returns
    -------
    PaintedBody

    Raises
    ------
    InvalidValueError
        Where no anatomy has the lean volume asked for.
    """

    def side_difference() -> float:
        return float(np.clip(side_rng.normal(0, 0.05), -0.12, 0.12))

    body: Body = Trunk(bmi_kg_m2, sex, seed) if region == "trunk" else Thighs(bmi_kg_m2, sex, seed)
    extent = (0.0, EXTENT_MM)
    share = intermat_percent / 100
    lean_mm3 = lmm_cm3_per_kg_m2 * bmi_kg_m2 * 1000
    if region == "thigh":  # whole slices only: the field of view is 150 mm, or what comes nearest
        half = np.ceil(-body.z_range[0] / voxel_mm[2] - 1e-6) * voxel_mm[2]
        extent = (-half, half)
        lean_mm3 *= THIGH_TO_BACK * 2 * half / EXTENT_MM
    solve_scale(body, lean_mm3 / (1 - share), extent)
    grid = grid_for(body, voxel_mm, supersample)
    codes, score = paint_volume(body, grid)
    inside, everywhere = slice_weights(grid, extent), np.ones(codes.shape[0], dtype=np.float32)
    groups = [MuscleGroup(body.muscle_codes, share, inside, side_difference())]
    if region == "trunk":
        for members, factor in OTHER_INTERMAT.items():
            groups.append(MuscleGroup(members, min(share * factor, MAX_INTERMAT / 100), everywhere, side_difference()))
    return PaintedBody(body.scale, grid, codes, score, solve_thresholds(codes, score, groups), extent, inside)
