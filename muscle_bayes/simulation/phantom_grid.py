"""From painted fine slices to image voxels: grids, partial volume averages and majority labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from muscle_bayes.simulation.phantom_anatomy import Array, Codes

Painter = Callable[[float], tuple[Codes, Array]]


class Body(Protocol):
    """Anything that can be painted: the trunk, the thighs."""

    scale: float
    z_range: tuple[float, float]
    muscle_codes: tuple[int, ...]

    def bounds(self) -> tuple[float, float, float, float]:
        """Return x and y limits in mm."""

    def muscle_box(self) -> tuple[float, float, float, float]:
        """Return x and y limits (mm) of the muscles that are scaled."""

    def painter(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> Painter:
        """Return a function from height to tissue codes and streak score."""


@dataclass(frozen=True)
class Grid:
    """An image grid with a finer one inside it.

    Attributes
    ----------
    voxel_mm : (3,) tuple of float
        Voxel size.
    fine : (3,) tuple of int
        Fine voxels per voxel along x, y and z.
    lower_mm : (3,) tuple of float
        Lower edges of the first voxel, body coordinates.
    shape : (3,) tuple of int
        Voxels along x, y and z.
    """

    voxel_mm: tuple[float, float, float]
    fine: tuple[int, int, int]
    lower_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    def centres(self, axis: int, fine: bool = False) -> NDArray[np.float64]:
        """Return voxel (or fine voxel) centres along an axis, in mm of body coordinates."""
        split = self.fine[axis] if fine else 1
        return self.lower_mm[axis] + (np.arange(self.shape[axis] * split) + 0.5) * self.voxel_mm[axis] / split

    @property
    def fine_voxel_mm3(self) -> float:
        """Volume of a fine voxel."""
        return float(np.prod(self.voxel_mm) / np.prod(self.fine))


def default_fine(voxel_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return the fine voxels per voxel: at least 3 in the plane and at most 1 mm wide, at most 4 mm high.

    In the plane the number is odd: on an even grid a voxel that is half fat ties, which the threshold counts as lean, and
    measured InterMAT would jump where the number changes between even and odd.
    """
    across, along = (max(3, int(np.ceil(v - 1e-6))) for v in voxel_mm[:2])
    return (across + 1 - across % 2, along + 1 - along % 2, max(1, int(np.ceil(voxel_mm[2] / 4.0 - 1e-6))))


def grid_for(body: Body, voxel_mm: tuple[float, float, float], fine: tuple[int, int, int] | None = None) -> Grid:
    """Return the image grid that holds a body; one slice border lies at height 0."""
    x0, x1, y0, y1 = body.bounds()
    dx, dy, dz = voxel_mm
    half_nx, ny = int(np.ceil(max(-x0, x1) / dx)), int(np.ceil((y1 - y0) / dy))
    below, above = int(np.ceil(-body.z_range[0] / dz - 1e-6)), int(np.ceil(body.z_range[1] / dz - 1e-6))
    return Grid(
        voxel_mm, fine or default_fine(voxel_mm), (-half_nx * dx, y0, -below * dz), (2 * half_nx, ny, below + above)
    )


def paint_volume(body: Body, grid: Grid) -> tuple[Codes, Array]:
    """Paint a body on the fine grid.

    Returns
    -------
    codes : (nz, nx, ny) uint8
        Tissue codes on the fine grid, slices first.
    score : (nz, nx, ny) float32
        Streak scores.
    """
    x, y, heights = (grid.centres(axis, fine=True) for axis in range(3))
    paint = body.painter(x, y)
    codes = np.empty((heights.size, x.size, y.size), dtype=np.uint8)
    score = np.empty(codes.shape, dtype=np.float32)
    # The products are small: threads would cost more than they give, and phantoms are made side by side.
    with threadpool_limits(1, user_api="blas"):
        for k, z in enumerate(heights):
            codes[k], score[k] = paint(float(z))
    return codes, score


def muscle_volume(body: Body, z_range: tuple[float, float], pixel_mm: float = 1.6, step_mm: float = 5.0) -> float:
    """Return the volume (mm3) of a body's scaled muscles between two heights, on a coarse grid of its own."""
    x0, x1, y0, y1 = body.muscle_box()
    x, y = np.arange(x0, x1, pixel_mm) + pixel_mm / 2, np.arange(y0, y1, pixel_mm) + pixel_mm / 2
    n = int(np.ceil((z_range[1] - z_range[0]) / step_mm))
    step = (z_range[1] - z_range[0]) / n
    paint = body.painter(x, y)
    low, high = min(body.muscle_codes), max(body.muscle_codes)
    count = 0
    with threadpool_limits(1, user_api="blas"):
        for k in range(n):
            codes, _ = paint(z_range[0] + (k + 0.5) * step)
            count += int(((codes >= low) & (codes <= high)).sum())
    return count * pixel_mm**2 * step


def block_mean(values: Array, split: tuple[int, int]) -> Array:
    """Return the mean over blocks of (sx, sy) of a slice: (nx sx, ny sy) -> (nx, ny)."""
    sx, sy = split
    rows = values[0::sx].copy()
    for i in range(1, sx):
        rows += values[i::sx]
    out = rows[:, 0::sy].copy()
    for j in range(1, sy):
        out += rows[:, j::sy]
    return out * np.float32(1.0 / (sx * sy))


def majority_label(labels: Codes) -> Codes:
    """Return the label that holds most of each voxel.

    Parameters
    ----------
    labels : (m, nx, ny) uint8
        Labels of the m fine voxels inside each voxel.

    Returns
    -------
    (nx, ny) uint8
        Ties go to the label of the first of the tied fine voxels.
    """
    mixed = (labels != labels[0]).any(axis=0)
    result = labels[0].copy()
    if mixed.any():
        i, j = np.nonzero(mixed)
        inside = labels[:, i, j]
        votes = (inside[:, None, :] == inside[None, :, :]).sum(axis=0, dtype=np.int16)
        # Of tied labels the first fine voxel's wins: it moves a border by a fraction of a voxel, always the same way, so a
        # closed structure gains on one side what it loses on the other.
        winner = np.argmax(votes, axis=0)
        result[i, j] = inside[winner, np.arange(i.size)]
    return result
