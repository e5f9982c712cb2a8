"""Dilation, erosion, opening, closing and hole filling of every slice, by disks in millimetres.

Slices are those of the last axis. A disk of radius r holds the voxels whose centres lie within r, so results follow the
voxel size instead of a count of voxels. Dilation goes through distances along one axis, which is exact and much faster
than a structuring element of the same radius.
"""

import numpy as np
from scipy import ndimage

type Spacing = tuple[float, ...]

_IN_PLANE = np.zeros((3, 3, 3), dtype=bool)
_IN_PLANE[:, 1, 1] = _IN_PLANE[1, :, 1] = True


def dilate_slices(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """Dilate each slice by a disk.

    Parameters
    ----------
    mask : ndarray (nx, ny, nz) bool
        What is dilated.
    radius_mm : float
        Radius of the disk.
    spacing : sequence of float
        Voxel size in mm; the first two are used.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        Voxels within `radius_mm` of the mask in their own slice.
    """
    step_x, step_y = float(spacing[0]), float(spacing[1])
    # A hair of tolerance: 4.5 mm is three voxels of 1.5 mm whatever float32 makes of the header.
    radius = radius_mm * (1 + 1e-6)
    # Images come in Fortran order; mixing orders makes every comparison below ten times slower.
    reach = _distance_along_x(np.ascontiguousarray(mask), min(int(radius / step_x), 254))
    grown = np.zeros(mask.shape, dtype=bool)
    for row in range(-int(radius / step_y), int(radius / step_y) + 1):
        half_width = int(np.sqrt(max(radius**2 - (row * step_y) ** 2, 0.0)) / step_x)
        target, source = _shifted(row, mask.shape[1])
        grown[:, target] |= reach[:, source] <= half_width
    return grown


def erode_slices(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """Erode each slice by a disk; what lies beyond the array counts as inside.

    Parameters
    ----------
    mask : ndarray (nx, ny, nz) bool
        What is eroded.
    radius_mm : float
        Radius of the disk.
    spacing : sequence of float
        Voxel size in mm; the first two are used.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        Voxels further than `radius_mm` from everything outside the mask.
    """
    return ~dilate_slices(~mask, radius_mm, spacing)


def open_slices(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """Open each slice by a disk: drop what is thinner than twice the radius.

    Parameters
    ----------
    mask, radius_mm, spacing
        As in `erode_slices`.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        Union of all disks that fit into the mask.
    """
    return dilate_slices(erode_slices(mask, radius_mm, spacing), radius_mm, spacing) & mask


def close_slices(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """Close each slice by a disk: fill gaps and bays that a disk of this radius does not fit into.

    Parameters
    ----------
    mask, radius_mm, spacing
        As in `dilate_slices`. The field of view is taken to go on without mask beyond the array.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        The mask and what was filled.
    """
    margin = [int(radius_mm / float(spacing[axis])) + 1 for axis in (0, 1)]
    padded = np.pad(mask, [(margin[0],) * 2, (margin[1],) * 2, (0, 0)])
    closed = erode_slices(dilate_slices(padded, radius_mm, spacing), radius_mm, spacing)
    return closed[margin[0] : -margin[0], margin[1] : -margin[1]] | mask


def fill_slices(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of each slice.

    Parameters
    ----------
    mask : ndarray (nx, ny, nz) bool
        What is filled.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        The mask and every part of a slice that is not connected (by edges) to the slice's border.
    """
    outside, count = ndimage.label(np.pad(~mask, [(1, 1), (1, 1), (0, 0)], constant_values=True), structure=_IN_PLANE)
    # Each slice's frame is one component, and it is the one that holds the slice's first voxel.
    is_frame = np.zeros(count + 1, dtype=bool)
    is_frame[outside[0, 0]] = True
    return ~is_frame[outside[1:-1, 1:-1]]


def _distance_along_x(mask: np.ndarray, limit: int) -> np.ndarray:
    """Voxels to the nearest mask voxel along the first axis, capped at `limit` + 1; uint8."""
    distance = np.where(mask, np.uint8(0), np.uint8(limit + 1))
    for _ in range(limit):
        before = distance.copy()
        np.minimum(distance[1:], before[:-1] + np.uint8(1), out=distance[1:])
        np.minimum(distance[:-1], before[1:] + np.uint8(1), out=distance[:-1])
    return distance


def _shifted(offset: int, length: int) -> tuple[slice, slice]:
    """Target and source slices such that target = source moved by `offset`."""
    return slice(max(offset, 0), length + min(offset, 0)), slice(max(-offset, 0), length - max(offset, 0))
