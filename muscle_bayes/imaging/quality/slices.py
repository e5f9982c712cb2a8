"""Whether the stack is complete: slices left out, slices there twice, positions that do not rise evenly."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.quality.findings import Finding, slices_text
from muscle_bayes.imaging.quality.view import View, slices_in_layer

#: Neighbours whose images differ by less than this share of the usual difference are one slice twice.
SAME_SHARE = 0.02
#: A step in anatomy this many times as large as its surroundings' is a gap, in more than half of the body: slices that were left
#: out are missed everywhere, whereas an organ begins or ends in one place.
GAP_RATIO = 1.95
_BLOCK_MM = 25.0
#: Slices on either side that the surroundings are taken from.
_AROUND = 4
#: Steps this near to either end of the stack are not judged.
_ENDS = 2
#: Positions may scatter by this share of the slice distance.
POSITION_TOLERANCE = 0.1
#: In-plane smoothing before slices are compared, which leaves anatomy and takes out noise.
_SMOOTH_MM = 3.0


def changes_between_slices(view: View, reach: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return how much signal changes over each gap between slices.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.
    reach : int
        Slices on either side of a gap whose means are compared; fewer at the ends.

    Returns
    -------
    change : ndarray (nx, ny, nz - 1)
        Of water and of fat, where there are both, in units of each slice's own mean signal, so that shading is no anatomy. Slices
        are smoothed in plane first. 0 outside the body.
    body : ndarray (nx, ny, nz - 1) bool
        Where either slice shows the body.
    """
    sigma = (*(_SMOOTH_MM / step for step in view.spacing[:2]), 0)
    layers = [view.total] if view.fat is None or view.water is None else [view.water, view.fat]
    level = (view.total * view.body).sum(axis=(0, 1)) / np.maximum(view.body.sum(axis=(0, 1)), 1)
    # A slab's signal falls off at its ends, and an empty slice has no level.
    level = np.where(level > 0.1 * view.median, level, max(view.median, 1e-6)).astype(np.float32)
    smooth = [ndimage.gaussian_filter(layer / level, sigma) for layer in layers]
    body = view.body[:, :, 1:] | view.body[:, :, :-1]
    change = sum(np.abs(_above_less_below(layer, reach)) for layer in smooth)
    return np.asarray(change * body), body


def steps_of_blocks(
    change: np.ndarray, body: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much signal changes from each slice to the next in blocks of 25 mm by 25 mm.

    Parameters
    ----------
    change, body : ndarray (nx, ny, n)
        From `changes_between_slices`.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    steps : ndarray (blocks, n)
        Means over the body; not-a-number where less than 30 % of the block is body.
    voxels : ndarray (blocks, n)
        Of the body.
    """
    fx, fy = (max(1, round(_BLOCK_MM / step)) for step in spacing[:2])

    def summed(data: np.ndarray) -> np.ndarray:
        nx, ny = -(-data.shape[0] // fx), -(-data.shape[1] // fy)
        whole = np.pad(data, ((0, nx * fx - data.shape[0]), (0, ny * fy - data.shape[1]), (0, 0)))
        return np.asarray(whole.reshape(nx, fx, ny, fy, -1).sum(axis=(1, 3), dtype=np.float64).reshape(nx * ny, -1))

    voxels = summed(body)
    return np.where(voxels >= 0.3 * fx * fy, summed(change) / np.maximum(voxels, 1), np.nan), voxels


def _above_less_below(layer: np.ndarray, reach: int) -> np.ndarray:
    """Return the mean of the `reach` slices above each gap between slices less that of those below it, (nx, ny, nz - 1)."""
    if reach == 1:
        return np.asarray(layer[:, :, 1:] - layer[:, :, :-1])
    n = layer.shape[2]
    sums = np.concatenate([np.zeros_like(layer[:, :, :1]), layer.cumsum(axis=2, dtype=np.float64)], axis=2)
    gaps = np.arange(1, n)
    low, high = np.maximum(gaps - reach, 0), np.minimum(gaps + reach, n)
    above = (sums[:, :, high] - sums[:, :, gaps]) / (high - gaps)
    return np.asarray(above - (sums[:, :, gaps] - sums[:, :, low]) / (gaps - low))


def find_slice_faults(view: View, positions_mm: Sequence[float] | None = None) -> list[Finding]:
    """Find missing and repeated slices, and irregular positions where these are known.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.
    positions_mm : sequence of float, optional
        Positions of the slices as the DICOM series states them.

    Returns
    -------
    list of Finding
        Kinds `repeated_slices`, `missing_slices` and `irregular_positions`, severity review.
    """
    findings = irregular_positions(positions_mm) if positions_mm is not None else []
    shown = view.body.any(axis=(0, 1))
    pairs = shown[1:] & shown[:-1]
    if pairs.sum() < 2 * _AROUND:
        return findings
    change, body = changes_between_slices(view)
    steps = change.sum(axis=(0, 1)) / np.maximum(body.sum(axis=(0, 1)), 1)
    usual = float(np.median(steps[pairs]))
    same = np.flatnonzero(pairs & (steps < SAME_SHARE * usual))
    if same.size:
        repeated = (same + 1).tolist()
        findings.append(
            Finding(
                "repeated_slices",
                "review",
                f"{slices_text(repeated)} {'repeats' if len(repeated) == 1 else 'repeat'} the slice below: its anatomy stands "
                "twice in the stack, and what it replaced may be missing",
                float(steps[same].min() / usual),
                SAME_SHARE,
                tuple(repeated),
            )
        )
    # Thin slices resemble their neighbours so much that any organ's end is a jump: gaps are looked for at about 6 mm.
    reach = slices_in_layer(view.spacing[2])
    usable = pairs & (steps >= SAME_SHARE * usual)
    if reach > 1:
        change, body = changes_between_slices(view, reach)
    ratio = gap_ratios(*steps_of_blocks(change, body, view.spacing), usable, reach)
    # What is left out at an end makes the stack short, which is another finding; slabs are often spoiled there.
    ends = np.flatnonzero(shown)[[0, -1]]
    gaps = np.flatnonzero(ratio > GAP_RATIO)
    gaps = gaps[(gaps >= ends[0] + _ENDS) & (gaps < ends[1] - _ENDS)]
    if gaps.size:
        worst = float(ratio[gaps].max())
        findings.append(
            Finding(
                "missing_slices",
                "review",
                f"anatomy jumps {worst:.1f} times as far as around it, in half of the body, after "
                f"{slices_text(gaps.tolist())}: slices may be missing there",
                worst,
                GAP_RATIO,
                tuple(gaps.tolist()),
            )
        )
    return findings


def gap_ratios(steps: np.ndarray, voxels: np.ndarray, usable: np.ndarray, reach: int = 1) -> np.ndarray:
    """Return each step over the median of the steps around it, of the middle of the body's blocks.

    Parameters
    ----------
    steps, voxels : ndarray (blocks, n)
        From `steps_of_blocks`.
    usable : ndarray (n,) bool
        Steps between slices that show a body and are not one slice twice.
    reach : int
        Of the steps: those nearer than it share slices and are no surroundings.

    Returns
    -------
    ndarray (n,)
        Median over blocks, weighted by their share of the body; 1 where a step is not usable or has fewer than 3 neighbours.
    """
    out = np.ones(steps.shape[1])
    for k in np.flatnonzero(usable).tolist():
        near = np.arange(max(k - _AROUND * reach, 0), min(k + _AROUND * reach + 1, steps.shape[1]))
        near = near[usable[near] & (np.abs(near - k) >= reach)]
        if near.size < 3:
            continue
        known = np.isfinite(steps[:, k]) & (np.isfinite(steps[:, near]).sum(axis=1) >= 3)
        if known.any():
            around = np.nanmedian(steps[known][:, near], axis=1)
            ratio = steps[known, k] / np.maximum(around, 1e-9)
            order = np.argsort(ratio)
            share = np.cumsum(voxels[known, k][order])
            out[k] = ratio[order][np.searchsorted(share, 0.5 * share[-1])]
    return out


def irregular_positions(positions_mm: Sequence[float]) -> list[Finding]:
    """Find slices whose stated positions do not rise evenly.

    Parameters
    ----------
    positions_mm : sequence of float
        Position of each slice along the stack.

    Returns
    -------
    list of Finding
        Kind `irregular_positions`, severity review.
    """
    positions = np.sort(np.asarray(positions_mm, dtype=float))
    if positions.size < 3:
        return []
    distance = np.diff(positions)
    usual = float(np.median(distance))
    odd = np.flatnonzero(np.abs(distance - usual) > POSITION_TOLERANCE * max(abs(usual), 1e-9))
    if not odd.size:
        return []
    worst = float(distance[odd[np.argmax(np.abs(distance[odd] - usual))]])
    return [
        Finding(
            "irregular_positions",
            "review",
            f"slices lie {usual:.2f} mm apart, but {worst:.2f} mm after {slices_text(odd.tolist())}",
            worst,
            usual,
            tuple(odd.tolist()),
        )
    ]
