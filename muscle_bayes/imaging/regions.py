"""Regions of a muscle that are measured, and whether the stack holds all of them.

Three regions, because lean muscle volume depends on extent:

``field_of_view``
    What the stack shows of a muscle; its extent is the stack's, stated in z_min_mm and z_max_mm. Cut only where the muscle
    leaves the field of view in plane. Limbs are measured so: a thigh always goes on above and below.
``whole``
    The whole muscle. Truncated where it touches the first or last slice or an edge in plane.
``above_gluteals_150mm``
    150 mm upward from the top of the gluteals, for the autochthonous muscles, where gluteals are labelled. Truncated where
    less is in view.

A truncated region is missing, not small.
"""

from dataclasses import dataclass

import numpy as np

FIELD_OF_VIEW = "field_of_view"
WHOLE = "whole"
ABOVE_GLUTEALS = "above_gluteals_150mm"
REGIONS = (FIELD_OF_VIEW, WHOLE, ABOVE_GLUTEALS)

EXTENT_MM = 150.0
#: A slice counts as showing the gluteals from this area on, and from this share of their largest section; single voxels and
#: the thin tails of a drawn-out label must not move the region.
GLUTEAL_AREA_MM2, GLUTEAL_SHARE = 100.0, 0.05


@dataclass(frozen=True, eq=False)
class Extent:
    """Slices of a region.

    Attributes
    ----------
    weight : ndarray (nz,)
        Share of each slice that lies in the region; the slice at the end of a stated length counts in part.
    first, last : float
        Lower and upper face, in slices from the lower face of the stack.
    in_view : bool
        Whether the stack reaches over all of it.
    """

    weight: np.ndarray
    first: float
    last: float
    in_view: bool


def occupied(voxels: np.ndarray) -> Extent:
    """Extent of a structure: from its first to its last slice.

    Parameters
    ----------
    voxels : ndarray (nz,)
        Voxels of the structure in each slice.

    Returns
    -------
    Extent
        `in_view` is False where the first or the last slice of the stack holds some of it.
    """
    used = np.flatnonzero(voxels)
    first, last = int(used[0]), int(used[-1]) + 1
    return Extent(np.ones(voxels.size), first, last, first > 0 and last < voxels.size)


def above_gluteals(gluteal_voxels: np.ndarray, voxel_mm2: float, slice_mm: float, length_mm: float) -> Extent | None:
    """Slices from the top of the gluteals upward over a stated length.

    Parameters
    ----------
    gluteal_voxels : ndarray (nz,)
        Gluteal voxels (both sides) in each slice; slices go upward.
    voxel_mm2 : float
        Area of a voxel in plane.
    slice_mm : float
        Distance between slices.
    length_mm : float
        Length of the region.

    Returns
    -------
    Extent or None
        None where no slice shows gluteals. Their top is that of the slices that hang together with their largest section:
        stray labels higher up are not gluteals. Not in view where the gluteals reach the last slice (their top is not seen)
        or the stack ends before `length_mm`.
    """
    largest = int(np.argmax(gluteal_voxels))
    least = max(GLUTEAL_AREA_MM2 / voxel_mm2, GLUTEAL_SHARE * gluteal_voxels[largest])
    if gluteal_voxels[largest] < least:
        return None
    slices = gluteal_voxels.size
    above = np.flatnonzero(gluteal_voxels[largest:] < least)
    first = largest + int(above[0]) if above.size else slices
    last = first + length_mm / slice_mm
    weight = np.clip(last - np.arange(slices), 0.0, 1.0)
    weight[:first] = 0.0
    return Extent(weight, first, last, first < slices and last <= slices + 1e-6)


def reaches_through(voxels: np.ndarray, extent: Extent) -> bool:
    """Whether a structure is there from the first to the last slice of an extent.

    Parameters
    ----------
    voxels : ndarray (nz,)
        Voxels of the structure in each slice.
    extent : Extent
        Region.

    Returns
    -------
    bool
        False where it ends before the region does: what is missing was not labelled or not in view.
    """
    inside = np.flatnonzero(extent.weight > 1e-6)
    return bool(inside.size and voxels[inside[0]] > 0 and voxels[inside[-1]] > 0)


def touches_edge_in_plane(structure: np.ndarray, count: int) -> np.ndarray:
    """Which structures touch the edge of the field of view within a slice.

    Parameters
    ----------
    structure : ndarray (nx, ny, nz) int
        0 outside, 1 to `count` inside a structure.
    count : int
        Number of structures, k.

    Returns
    -------
    ndarray (k,) bool
        True where a structure is cut by the first or last row or column.
    """
    rim = np.concatenate([face.ravel() for face in (structure[[0, -1]], structure[:, [0, -1]])])
    return np.bincount(rim, minlength=count + 1)[1:] > 0
