"""Stations of a scan to one volume: positions from the affines, one set of weights for water and fat.

Each slice of the result is a blend of the stations that reach it, by weights that fall linearly to the face of a station over
its overlap with the next one. Weights depend on positions only and are the same for water and fat, so a voxel's fat signal
fraction lies between those of its stations, and is theirs where they agree. Stations are brought to one level by one factor
each, for water and fat alike, which leaves the fraction of each station as it is.

Stations whose voxels lie on one grid are moved by whole voxels; others are interpolated linearly onto the finest slice
distance there is. Interpolating water and fat is not the same as interpolating their fraction; that is the price of stations
with slices of different thickness, and a note says which were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from muscle_bayes.errors import StationError
from muscle_bayes.imaging.images import Volume

#: Stations are on one grid where no voxel is further off than this share of a voxel.
ON_GRID_VOXEL = 0.05
#: Axes of stations must agree to this angle.
_SAME_AXES_DEG = 0.5
#: Slices of neighbouring stations may be this much further apart than slices within the coarser of them.
_GAP_SLICES = 1.25
#: A factor between stations is only trusted within these limits; outside them something else is wrong.
GAIN_LIMITS = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Stitched:
    """One volume of several stations.

    Attributes
    ----------
    data : dict of str to ndarray (nx, ny, nz) float32
        Role -> signal; 0 where no station reaches.
    affine : ndarray (4, 4)
        Of all of them.
    gains : list of float
        Factor of each station, from the lowest upwards.
    interpolated : int
        Stations that had to be interpolated.
    notes : list of str
        What was done.
    """

    data: dict[str, np.ndarray]
    affine: np.ndarray
    gains: list[float]
    interpolated: int
    notes: list[str] = field(default_factory=list)


def stitch(stations: Sequence[Mapping[str, Volume]], where: str, *, match: bool = True) -> Stitched:
    """Put stations together.

    Parameters
    ----------
    stations : sequence of mapping of str to Volume
        Role (water, fat) -> volume in RAS order; the roles of one station lie on one grid.
    where : str
        Whose, for messages.
    match : bool
        Bring stations to one level.

    Returns
    -------
    Stitched
        One volume a role.

    Raises
    ------
    StationError
        Where two stations are the same, lie askew, or have a gap between them.
    """
    ordered = sorted(stations, key=lambda station: _faces(_grid(station))[0])
    grids = [_grid(station) for station in ordered]
    _check(grids, where)
    affine, shape = _common_grid(grids)
    positions = [_positions(grid, affine, shape) for grid in grids]
    weights = _weights(grids, affine, shape)
    gains = _gains(ordered, grids, positions, weights) if match and len(ordered) > 1 else [1.0] * len(ordered)
    moved = [_snapped(p) for p in positions]
    # A voxel belongs to a station where its three coordinates lie inside; that is a product of three vectors.
    inside = [
        [(p >= -0.5 - 1e-6) & (p <= n - 0.5 + 1e-6) for p, n in zip(position[:2], grid.data.shape, strict=False)]
        + [weight > 0]
        for position, grid, weight in zip(positions, grids, weights, strict=True)
    ]
    total = np.zeros(shape, np.float32)
    data = {role: np.zeros(shape, np.float32) for role in ordered[0]}
    for station, position, cover, weight, gain in zip(ordered, moved, inside, weights, gains, strict=True):
        box = tuple(slice(int(np.argmax(c)), c.size - int(np.argmax(c[::-1]))) for c in cover)
        share = np.broadcast_to(weight[box[2]].astype(np.float32), [b.stop - b.start for b in box])
        total[box] += share
        for role, volume in station.items():
            part = volume.data
            for axis in range(3):
                part = _sampled(part, position[axis][box[axis]], axis)
            data[role][box] += share * (np.float32(gain) * part)
    known = total > 0
    for signal in data.values():
        np.divide(signal, total, out=signal, where=known)
    interpolated = sum(any(p.dtype != np.intp for p in position) for position in moved)
    return Stitched(data, affine, [float(g) for g in gains], interpolated, _notes(gains, interpolated))


def _grid(station: Mapping[str, Volume]) -> Volume:
    return next(iter(station.values()))


def _faces(grid: Volume) -> tuple[float, float]:
    """Lower and upper face of a station along its slice axis, mm."""
    axis = grid.affine[:3, 2] / np.linalg.norm(grid.affine[:3, 2])
    step = float(np.linalg.norm(grid.affine[:3, 2]))
    first = float(axis @ grid.affine[:3, 3])
    return first - step / 2, first + (grid.data.shape[2] - 0.5) * step


def _check(grids: Sequence[Volume], where: str) -> None:
    """Raise where stations are askew, the same, or have a gap between them."""
    axes = [grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0) for grid in grids]
    for grid, own in zip(grids[1:], axes[1:], strict=True):
        turned = float(np.degrees(np.arccos(np.clip((own * axes[0]).sum(axis=0), -1, 1))).max())
        if turned > _SAME_AXES_DEG:
            raise StationError(
                f"{where}, {grid.name}",
                f"The station is turned by {turned:.1f} degrees against the others",
                "Give stations of one examination, all acquired with the same orientation",
            )
    for lower, upper in pairwise(grids):
        (low, high), (next_low, next_high) = _faces(lower), _faces(upper)
        shared = min(high, next_high) - max(low, next_low)
        if shared > 0.9 * min(high - low, next_high - next_low):
            raise StationError(
                f"{where}, {upper.name}",
                f"Two stations lie at the same place ({low:.0f} to {high:.0f} mm), as after a repeated acquisition",
                'Keep one of them, or ask for the later one (repeats = "last") where the deliveries are DICOM',
            )
        slice_mm = max(lower.spacing[2], upper.spacing[2])
        between = next_low - high
        if between > (_GAP_SLICES - 1) * slice_mm:
            raise StationError(
                f"{where}, {upper.name}",
                f"There is a gap of {between:.0f} mm between two stations (from {high:.0f} to {next_low:.0f} mm): "
                "a station is missing, or its position is wrong",
                "Deliver the missing station, or leave the participant out",
            )


def _common_grid(grids: Sequence[Volume]) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Grid that holds all stations: axes and phase of the station with the finest slices."""
    finest = min(grids, key=lambda grid: round(grid.spacing[2], 3))
    spacing = np.array([min(grid.spacing[axis] for grid in grids) for axis in range(3)])
    # Differences of rounding between headers must not make a new voxel size.
    spacing = np.where(np.abs(spacing - finest.spacing) < 1e-3 * spacing, finest.spacing, spacing)
    affine = finest.affine.copy()
    affine[:3, :3] *= spacing / finest.spacing
    inverse = np.linalg.inv(affine)
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for grid in grids:
        step = np.diag(inverse[:3, :3] @ grid.affine[:3, :3])
        start = (inverse @ grid.affine)[:3, 3]
        # The centres of the outermost voxels, reaching half a voxel of the station less half one of the new grid further.
        further = np.maximum(0.0, (step - 1) / 2)
        low = np.minimum(low, start - further)
        high = np.maximum(high, start + (np.array(grid.data.shape) - 1) * step + further)
    first, last = np.ceil(low - ON_GRID_VOXEL), np.floor(high + ON_GRID_VOXEL)
    affine[:3, 3] += affine[:3, :3] @ first
    nx, ny, nz = (int(n) for n in last - first + 1)
    return affine, (nx, ny, nz)


def _positions(grid: Volume, affine: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Where the new grid's voxels lie in a station, in voxels of the station along each axis."""
    to_station = np.linalg.inv(grid.affine) @ affine
    return [to_station[axis, axis] * np.arange(shape[axis]) + to_station[axis, 3] for axis in range(3)]


def _snapped(positions: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Positions as whole numbers (intp) along axes on which a station lies on the grid, so that nothing is interpolated."""
    snapped = []
    for position in positions:
        whole = np.rint(position)
        on_grid = bool(np.abs(position - whole).max() <= ON_GRID_VOXEL)
        snapped.append(whole.astype(np.intp) if on_grid else position)
    return snapped


def _sampled(data: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    """Sample along one axis: whole positions are taken as they are, others are interpolated linearly."""
    last = data.shape[axis] - 1
    if position.dtype == np.intp:
        return np.take(data, np.clip(position, 0, last), axis=axis)
    held = np.clip(position, 0, last)
    lower = np.minimum(np.floor(held).astype(np.intp), max(last - 1, 0))
    share = (held - lower).astype(np.float32)
    shape = [1, 1, 1]
    shape[axis] = share.size
    share = share.reshape(shape)
    upper = np.minimum(lower + 1, last)
    return np.take(data, lower, axis=axis) * (1 - share) + np.take(data, upper, axis=axis) * share


def _weights(grids: Sequence[Volume], affine: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Weight of each station in each slice of the new grid: 1, falling linearly to its face over each overlap."""
    axis = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    heights = axis @ affine[:3, 3] + np.linalg.norm(affine[:3, 2]) * np.arange(shape[2])
    faces = [_faces(grid) for grid in grids]
    weights = []
    for k, (low, high) in enumerate(faces):
        weight = np.ones(shape[2])
        below = faces[k - 1][1] - low if k else 0.0
        above = high - faces[k + 1][0] if k + 1 < len(faces) else 0.0
        if below > 0:
            weight = np.minimum(weight, (heights - low) / below)
        if above > 0:
            weight = np.minimum(weight, (high - heights) / above)
        # A slice at the very face, or in the sliver between two stations, has a weight above 0: no slice is without a station.
        reached = (heights >= low + min(below, 0) / 2 - 1e-6) & (heights <= high - min(above, 0) / 2 + 1e-6)
        weights.append(np.where(reached, np.clip(weight, 1e-6, 1.0), 0.0))
    return weights


def _gains(
    stations: Sequence[Mapping[str, Volume]],
    grids: Sequence[Volume],
    positions: Sequence[Sequence[np.ndarray]],
    weights: Sequence[np.ndarray],
) -> list[float]:
    """Factor of each station from what neighbours see in their overlap; the middle station keeps its level.

    The factor is the ratio of the sums of all roles, median over voxels in which both stations see signal.
    """
    ratios = []
    for k in range(len(stations) - 1):
        shared = np.flatnonzero((weights[k] > 1e-3) & (weights[k + 1] > 1e-3))
        ratios.append(_ratio(stations, grids, positions, k, shared))
    middle = (len(stations) - 1) // 2
    gains = [1.0] * len(stations)
    for k in range(middle, len(ratios)):
        gains[k + 1] = gains[k] * ratios[k]
    for k in range(middle - 1, -1, -1):
        gains[k] = gains[k + 1] / ratios[k]
    return gains


def _ratio(
    stations: Sequence[Mapping[str, Volume]],
    grids: Sequence[Volume],
    positions: Sequence[Sequence[np.ndarray]],
    k: int,
    shared: np.ndarray,
) -> float:
    """Level of station k over that of station k + 1."""
    if shared.size == 0:
        return 1.0
    sums = []
    both = [
        np.flatnonzero(
            np.all(
                [
                    (positions[s][axis] > -0.5) & (positions[s][axis] < grids[s].data.shape[axis] - 0.5)
                    for s in (k, k + 1)
                ],
                axis=0,
            )
        )
        for axis in range(2)
    ]
    if any(cover.size == 0 for cover in both):
        return 1.0
    chosen = (*both, shared)
    for s in (k, k + 1):
        total = np.zeros([c.size for c in chosen], np.float32)
        for volume in stations[s].values():
            part = volume.data
            for axis in (2, 0, 1):
                part = _sampled(part, positions[s][axis][chosen[axis]], axis)
            total += part
        sums.append(total)
    lower, upper = sums
    floor = 0.25 * max(float(np.quantile(lower, 0.95)), float(np.quantile(upper, 0.95)))
    seen = (lower > floor) & (upper > floor)
    if seen.sum() < 100:
        return 1.0
    ratio = float(np.median(lower[seen] / upper[seen]))
    return ratio if GAIN_LIMITS[0] <= ratio <= GAIN_LIMITS[1] else 1.0


def _notes(gains: Sequence[float], interpolated: int) -> list[str]:
    """Say what was done, in the same words for everybody: figures of a scan stand among its facts."""
    notes = []
    if len(gains) > 1:
        notes.append(
            "stations were stitched" + (", each brought to one level by one factor" if np.ptp(gains) > 0 else "")
        )
    if interpolated:
        notes.append("stations with slices of another thickness were interpolated to one grid")
    return notes
