"""Bring a label map onto the grid of the images: the nearest label, where that is asked for."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from muscle_bayes.errors import GridMismatchError
from muscle_bayes.imaging.images import GRID_TOLERANCE_VOXEL, Volume

#: Affines closer than this to a diagonal are along the same axes; of a voxel, over the whole stack.
_ALONG_AXES_VOXEL = 0.01


def labels_on_grid(labels: Volume, grid: Volume, muscles: Collection[int]) -> Volume:
    """Give every voxel of an image the label whose voxel centre is nearest.

    Parameters
    ----------
    labels : Volume
        Label map on any grid of the same space.
    grid : Volume
        Image that sets the grid.
    muscles : collection of int
        Ids that are measured.

    Returns
    -------
    Volume
        The labels on the grid of the image; outside the label map they are 0.

    Raises
    ------
    GridMismatchError
        Where the two do not overlap, or where the label map ends inside the image and cuts a muscle: the end of the map would
        pass for the end of the muscle.
    """
    where = f"{labels.name} and {grid.name}"
    to_labels = np.linalg.inv(labels.affine) @ grid.affine
    resampled = nearest(labels.data, to_labels, grid.data.shape)
    if not np.isin(resampled, list(muscles)).any():
        raise GridMismatchError(
            where=where,
            problem="no muscle of the label map lies inside the image: they are not of one space",
            remedy="Give the label map of this image",
        )
    cut = _cut_faces(labels, grid, to_labels, muscles)
    if cut:
        raise GridMismatchError(
            where=where,
            problem=f"the label map ends inside the image and cuts a muscle there ({', '.join(cut)}), so that its end would "
            "pass for the end of the muscle",
            remedy="Crop the images to the extent of the label map, or label the whole image",
        )
    return replace(labels, data=resampled, affine=grid.affine)


def nearest(labels: np.ndarray, to_labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sample an array at the nearest voxel.

    Parameters
    ----------
    labels : ndarray (nx, ny, nz) int
        What is sampled.
    to_labels : ndarray (4, 4)
        From voxel indices of the new grid to voxel indices of `labels`.
    shape : tuple of int
        Shape of the new grid, (mx, my, mz).

    Returns
    -------
    ndarray (mx, my, mz) int
        0 where the new grid lies outside `labels`; a point midway between two voxels goes to the later one.
    """
    linear, start = to_labels[:3, :3], to_labels[:3, 3]
    out = np.zeros(shape, dtype=labels.dtype)
    skew = (np.abs(linear - np.diag(np.diag(linear))) * np.array(shape)).sum()
    if skew < _ALONG_AXES_VOXEL:
        indices = [_rounded(linear[axis, axis] * np.arange(shape[axis]) + start[axis]) for axis in range(3)]
        inside = [(index >= 0) & (index < size) for index, size in zip(indices, labels.shape, strict=True)]
        chosen = [index[kept] for index, kept in zip(indices, inside, strict=True)]
        out[np.ix_(*inside)] = labels[np.ix_(*chosen)]
        return out
    # One slice at a time: three index arrays of a whole volume would take more memory than the volume.
    plane = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"))
    in_plane = np.tensordot(linear[:, :2], plane, axes=1)
    for k in range(shape[2]):
        indices = [_rounded(in_plane[axis] + (linear[axis, 2] * k + start[axis])) for axis in range(3)]
        kept = np.ones(shape[:2], dtype=bool)
        for index, size in zip(indices, labels.shape, strict=True):
            kept &= (index >= 0) & (index < size)
        out[:, :, k][kept] = labels[tuple(index[kept] for index in indices)]
    return out


def _rounded(positions: np.ndarray) -> np.ndarray:
    # A point midway goes up everywhere: numpy's rounding to even would take every second voxel twice.
    return np.floor(positions + 0.5 + 1e-9).astype(np.intp)


def _cut_faces(labels: Volume, grid: Volume, to_labels: np.ndarray, muscles: Collection[int]) -> list[str]:
    """Faces of the label map that hold muscle and have image beyond them."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.data.shape], [1.0], indexing="ij")).reshape(4, -1)
    reach = (to_labels @ corners)[:3]
    # Less than a voxel of either grid beyond the map is how two tools round an extent.
    allowed = np.maximum(1.0, np.abs(to_labels[:3, :3]).sum(axis=1)) + GRID_TOLERANCE_VOXEL
    wanted = list(muscles)
    cut = []
    for axis, (low, high) in enumerate((("left", "right"), ("back", "front"), ("lower end", "upper end"))):
        size = labels.data.shape[axis]
        beyond = (reach[axis].min() < -0.5 - allowed[axis], reach[axis].max() > size - 0.5 + allowed[axis])
        for name, face, further in ((low, 0, beyond[0]), (high, size - 1, beyond[1])):
            if further and np.isin(np.take(labels.data, face, axis=axis), wanted).any():
                cut.append(name)
    return cut
