"""Muscle compartment as drawn ("labels") or with the fat inside the fascia ("fascia")."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.morphology import Spacing, close_slices

#: Radius of the closing that stands for the fascia.
FASCIA_MM = 12.0


def fascia_compartment(
    labels: np.ndarray, muscle_ids: Sequence[int], spacing: Spacing, radius_mm: float = FASCIA_MM
) -> np.ndarray:
    """Close each muscle slice by slice and add what was filled to it.

    Parameters
    ----------
    labels : ndarray (nx, ny, nz) int
        Label map.
    muscle_ids : sequence of int
        Labels to close, each for itself, so that two muscles are not bridged.
    spacing : sequence of float
        Voxel size, mm.
    radius_mm : float
        Radius of the closing.

    Returns
    -------
    ndarray (nx, ny, nz) int
        The labels with unlabelled voxels added to muscles. Nothing that carries another label (bone, subcutaneous fat,
        a neighbour) is taken; a voxel inside two closings goes to the muscle that is nearer in its slice.
    """
    margin = [int(radius_mm / float(spacing[axis])) + 1 for axis in (0, 1)]
    grown = labels.copy()
    contested = np.zeros(labels.shape, dtype=bool)
    for number in muscle_ids:
        box = _box(labels == number, margin)
        if box is None:
            continue
        filled = close_slices(labels[box] == number, radius_mm, spacing) & (labels[box] == 0)
        contested[box] |= filled & (grown[box] != 0)
        grown[box][filled & (grown[box] == 0)] = number
    box = _box(contested, margin)
    if box is not None:
        # Slices are a world apart here, so that the nearest muscle is the nearest one of the slice.
        far = 1e3 * max(grown.shape) * max(float(step) for step in spacing)
        others = ~np.isin(labels[box], list(muscle_ids))
        nearest = ndimage.distance_transform_edt(
            others, sampling=(float(spacing[0]), float(spacing[1]), far), return_distances=False, return_indices=True
        )
        grown[box] = np.where(contested[box], labels[box][tuple(nearest)], grown[box])
    return grown


def _box(mask: np.ndarray, margin: Sequence[int]) -> tuple[slice, ...] | None:
    """Bounding box with room in plane for a nearest neighbour within the closing's radius."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found or found[0] is None:
        return None
    room = (*margin, 0)
    return tuple(
        slice(max(side.start - extra, 0), min(side.stop + extra, size))
        for side, extra, size in zip(found[0], room, mask.shape, strict=True)
    )
