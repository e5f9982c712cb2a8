"""Adipose volume by three definitions, counted once per structure and slice and summed from there."""

from dataclasses import dataclass

import numpy as np

from muscle_bayes.imaging.mixture import IntensityMixture

ADIPOSE_DEFINITIONS = ("threshold", "fraction", "mixture")
#: A voxel with at least this fat signal fraction is adipose by the definition "threshold".
FAT_THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over the voxels of each structure in each slice; all (k, nz) float64, in voxels.

    Attributes
    ----------
    voxels : ndarray
        All voxels.
    defined : ndarray
        Voxels with enough signal to be called lean or adipose.
    adipose : dict of ndarray
        Adipose voxels among the defined by each definition; not-a-number where a definition cannot be had.
    """

    voxels: np.ndarray
    defined: np.ndarray
    adipose: dict[str, np.ndarray]


def tally(
    structure: np.ndarray,
    count: int,
    fraction: np.ndarray | None,
    intensity: np.ndarray | None,
    mixture: IntensityMixture | None,
) -> Tally:
    """Count voxels and adipose voxels of each structure in each slice.

    Parameters
    ----------
    structure : ndarray (nx, ny, nz) int
        0 outside, 1 to `count` inside a structure.
    count : int
        Number of structures, k.
    fraction : ndarray (nx, ny, nz) or None
        Fat signal fraction, not-a-number where undefined.
    intensity : ndarray (nx, ny, nz) or None
        What the mixture was fitted to, not-a-number where undefined.
    mixture : IntensityMixture or None
        Components; None where they do not separate.

    Returns
    -------
    Tally
        Undefined voxels are in `voxels` only: they leave numerator and denominator.
    """
    slices = structure.shape[2]
    # Slices first, as images lie in memory: picking voxels in another order takes ten times as long.
    structure = structure.T
    inside = structure > 0
    height = np.repeat(np.arange(slices), inside.sum(axis=(1, 2)))
    cell = (structure[inside].astype(np.int64) - 1) * slices + height

    def total(weight: np.ndarray | None = None, of: np.ndarray | None = None) -> np.ndarray:
        sums = np.bincount(cell if of is None else cell[of], weights=weight, minlength=count * slices)
        return sums.reshape(count, slices).astype(np.float64)

    source = fraction if fraction is not None else intensity
    if source is None:
        raise ValueError("a fat signal fraction or an intensity is needed")
    found = source.T[inside]
    defined = ~np.isnan(found)
    adipose = {definition: np.full((count, slices), np.nan) for definition in ADIPOSE_DEFINITIONS}
    if fraction is not None:
        values = found[defined]
        adipose["threshold"] = total(of=defined, weight=(values >= FAT_THRESHOLD).astype(np.float64))
        adipose["fraction"] = total(of=defined, weight=values)
    if mixture is not None and intensity is not None:
        share = np.zeros(cell.size)
        values = found if intensity is source else intensity.T[inside]
        owner = cell // slices
        usable = defined & ~np.isnan(values)
        for number in np.unique(owner):
            own = usable & (owner == number)
            # Each muscle has its own share of fat as prior; one prior for all would pull them together.
            if own.any():
                share[own] = mixture.adipose_share(values[own], mixture.weights_in(values[own]))
        adipose["mixture"] = total(of=defined, weight=share[defined])
    return Tally(total(), total(of=defined), adipose)


@dataclass(frozen=True)
class Burden:
    """Volumes of one region: what a measurement row is made of.

    Attributes
    ----------
    compartment_cm3 : float
        All voxels of the region.
    undefined_percent : float
        Share of them without enough signal.
    intermat_percent, lean_cm3 : dict of float
        By adipose definition, from the defined voxels.
    """

    compartment_cm3: float
    undefined_percent: float
    intermat_percent: dict[str, float]
    lean_cm3: dict[str, float]


def burden(counts: Tally, members: np.ndarray, slice_weight: np.ndarray, voxel_mm3: float) -> Burden:
    """Pool structures and slices by volume.

    Parameters
    ----------
    counts : Tally
        Sums of k structures in nz slices.
    members : ndarray (m,) int
        Structures that make up the region, counted from 0.
    slice_weight : ndarray (nz,)
        Share of each slice that lies in the region, 0 to 1.
    voxel_mm3 : float
        Volume of a voxel.

    Returns
    -------
    Burden
        InterMAT = 100 x adipose / defined, lean = defined - adipose; not-a-number where nothing is defined.
    """
    voxels = float((counts.voxels[members] @ slice_weight).sum())
    defined = float((counts.defined[members] @ slice_weight).sum())
    to_cm3 = voxel_mm3 / 1000
    intermat, lean = {}, {}
    for definition, adipose_voxels in counts.adipose.items():
        adipose = float((adipose_voxels[members] @ slice_weight).sum())
        intermat[definition] = 100 * adipose / defined if defined > 0 else np.nan
        lean[definition] = (defined - adipose) * to_cm3 if defined > 0 else np.nan
    return Burden(
        compartment_cm3=voxels * to_cm3,
        undefined_percent=100 * (voxels - defined) / voxels if voxels > 0 else np.nan,
        intermat_percent=intermat,
        lean_cm3=lean,
    )
