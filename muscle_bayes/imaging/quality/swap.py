"""Where water and fat are exchanged: over the whole scan, in a block of slices (a station), or in a connected part.

Seams of stations are where the fat signal fraction of neighbouring slices is negatively correlated: anatomy goes on and
contrast turns over. Which side of a seam is exchanged, and whether all is, the fat under the skin tells. Parts are found
by votes: labelled subcutaneous fat that is water and labelled muscle that is fat (without labels, a water ring over fat),
and are outlined along the cheapest surface on which water and fat change places (a minimum cut; Boykov & Jolly 2001).
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.morphology import erode_slices
from muscle_bayes.imaging.quality.findings import Finding, slices_text
from muscle_bayes.imaging.quality.swapped_part import outline_part
from muscle_bayes.imaging.quality.view import View
from muscle_bayes.imaging.water_fat_swap import RING_MM, OuterRing, outer_ring, swap_evidence

#: Neighbouring slices whose fractions correlate below this have exchanged contrast. Right neighbours are above 0.5.
SEAM_CORRELATION = -0.1
#: Slices with fewer voxels of signal say nothing about seams.
_LEAST_CM2 = 10.0
#: A vote counts as agreed where this share of the votes within `_NEAR_MM` says the same.
AGREED = 0.7
_NEAR_MM = 12.0
#: A part is said to be exchanged from this many cubic centimetres of agreed votes on, and this share of all votes.
LEAST_PART_CM3 = 25.0
LEAST_PART_SHARE = 0.03
#: Fat signal fractions that make a vote: under the skin below / above, in muscle above / below.
_SKIN_FAT = (0.35, 0.65)
_MUSCLE_FAT = (0.75, 0.40)
#: Without labels, a ring of water votes where what lies beneath it, within this distance, is mostly fat ...
_DEEP_MM = 60.0
#: ... and at least this share of the ring is fat; in a lean limb most of the ring is muscle.
_SKIN_SHOWS = 0.3


@dataclass(frozen=True, eq=False)
class Swap:
    """Where water and fat are exchanged.

    Attributes
    ----------
    finding : Finding
        What is said about it.
    where : ndarray bool
        (1, 1, nz) for whole slices, (nx, ny, nz) on the grid of the view for a part.
    """

    finding: Finding
    where: np.ndarray

    @property
    def whole_slices(self) -> bool:
        """Whether whole slices are exchanged, not parts of them."""
        return self.where.shape[:2] == (1, 1)


def find_swap(view: View) -> Swap | None:
    """Find exchanged water and fat in a Dixon pair.

    Parameters
    ----------
    view : View
        Of a Dixon pair; labels help and are not needed.

    Returns
    -------
    Swap or None
        None where nothing is exchanged, or there is no pair.
    """
    if view.fraction is None:
        return None
    slices = swapped_slices(view)
    if slices.any():
        seams = seam_correlations(view.fraction, view.spacing)
        if slices.all():
            part = find_swapped_part(view)
            if part is not None and _holds_right_part(view):
                return part
            ring = outer_ring(view.fraction, view.spacing)
            evidence = swap_evidence(view.fraction, view.spacing, view.labels, view.scheme or None)
            value = np.nan if ring is None else ring.difference
            message = f"water and fat look swapped: {evidence or 'fat under the skin reads as water'}"
            return Swap(Finding("swap_whole", "review", message, float(value), 0.0), slices[None, None])
        used = np.flatnonzero(slices)
        lowest = float(np.nanmin(seams))
        message = (
            f"water and fat look swapped in {slices_text(used.tolist())}: the fat signal fraction turns over at the seam "
            f"(correlation of neighbouring slices {lowest:.2f}; right neighbours are positive)"
        )
        finding = Finding("swap_station", "review", message, lowest, SEAM_CORRELATION, tuple(used.tolist()))
        return Swap(finding, slices[None, None])
    return find_swapped_part(view)


def seam_correlations(fraction: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Correlate the fat signal fraction of each slice with that of the last slice before it that shows a body.

    Parameters
    ----------
    fraction : ndarray (nx, ny, nz)
        Not-a-number where undefined.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    ndarray (nz,)
        Not-a-number for the first slice, slices without signal, and where either slice has no contrast.
    """
    least = _LEAST_CM2 * 100 / (spacing[0] * spacing[1])
    out = np.full(fraction.shape[2], np.nan)
    before: np.ndarray | None = None
    for k in range(fraction.shape[2]):
        here = fraction[:, :, k]
        if np.isfinite(here).sum() < least:
            continue
        if before is not None:
            both = np.isfinite(here) & np.isfinite(before)
            if both.sum() >= least:
                a, b = here[both].astype(np.float64), before[both].astype(np.float64)
                if min(a.std(), b.std()) > 0.05:
                    out[k] = float(np.corrcoef(a, b)[0, 1])
        before = here
    return out


def swapped_slices(view: View) -> np.ndarray:
    """Return which slices are exchanged as wholes, (nz,) bool.

    Every seam turns the state over; the fat under the skin then says which of the two states is the right one.
    """
    assert view.fraction is not None
    seams = seam_correlations(view.fraction, view.spacing)
    turned = np.cumsum(np.nan_to_num(seams, nan=1.0) < SEAM_CORRELATION) % 2 == 1
    aligned = np.where(turned[None, None], 1 - view.fraction, view.fraction)
    judged = (view.labels, view.scheme) if view.labels is not None and view.scheme else (None, None)
    if swap_evidence(aligned, view.spacing, *judged) is not None:
        return np.asarray(~turned)
    if turned.any() and swap_evidence(1 - aligned, view.spacing, *judged) is None:
        # Neither state is told by the skin: what most slices show is taken as right.
        ring = outer_ring(aligned, view.spacing)
        sign = ring.difference if ring is not None else 0.0
        if sign < 0 or (sign == 0 and turned.mean() > 0.5):
            return np.asarray(~turned)
    return np.asarray(turned)


def find_swapped_part(view: View) -> Swap | None:
    """Find a connected part in which water and fat are exchanged.

    Parameters
    ----------
    view : View
        Of a Dixon pair whose slices are not exchanged as wholes.

    Returns
    -------
    Swap or None
    """
    assert view.fraction is not None
    assert view.fat is not None
    against, for_ = part_votes(view)
    core, right = agreed_votes(against, for_, view.spacing)
    parts, count = ndimage.label(core, structure=np.ones((3, 3, 3)))
    if not count:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    votes = against.sum() + for_.sum()
    large = (sizes * view.voxel_cm3 >= LEAST_PART_CM3) & (sizes >= LEAST_PART_SHARE * votes)
    if not large.any():
        return None
    core = np.isin(parts, np.flatnonzero(large) + 1)
    where = outline_part(view, core, right)
    share = float(where.sum() / view.body.sum())
    used = np.flatnonzero(where.any(axis=(0, 1)))
    value = float(core.sum() * view.voxel_cm3)
    message = (
        f"water and fat look swapped in a connected part, about {100 * share:.0f} % of the body in "
        f"{slices_text(used.tolist())}: there, {value:.0f} cm3 of fat under the skin read as water or muscle as fat"
    )
    finding = Finding("swap_partial", "review", message, value, LEAST_PART_CM3, tuple(used.tolist()))
    return Swap(finding, where)


def _holds_right_part(view: View) -> bool:
    """Whether a connected part is as it should be, so that the scan is not exchanged as a whole."""
    _, right = agreed_votes(*(votes := part_votes(view)), view.spacing)
    parts, count = ndimage.label(right, structure=np.ones((3, 3, 3)))
    largest = int(np.bincount(parts.ravel())[1:].max()) if count else 0
    return largest * view.voxel_cm3 >= LEAST_PART_CM3 and largest >= LEAST_PART_SHARE * sum(v.sum() for v in votes)


def part_votes(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return where tissue speaks for an exchange and where against it, two (nx, ny, nz) bool.

    Labelled fat under the skin and labelled muscle vote where there are such labels. Elsewhere the ring under the body
    surface votes: fat against an exchange, water for it where what lies beneath is mostly fat.
    """
    fraction = view.fraction
    assert fraction is not None
    value = np.nan_to_num(fraction, nan=0.5)
    exchanged, right = np.zeros((2, *value.shape), dtype=bool)
    under_skin = view.mask("subcutaneous_fat")
    muscle = view.muscle()
    if under_skin is not None:
        core = erode_slices(under_skin, 0.6 * max(view.spacing[:2]), view.spacing)
        exchanged |= core & (value < _SKIN_FAT[0])
        right |= core & (value > _SKIN_FAT[1])
    else:
        outer, inner = (erode_slices(view.body, depth, view.spacing) for depth in RING_MM)
        ring = outer & ~inner & np.isfinite(fraction)
        inner &= np.isfinite(fraction)
        near = [2 * int(_DEEP_MM / step) + 1 for step in view.spacing[:2]]
        weight = ndimage.uniform_filter(inner.astype(np.float32), (*near, 1), mode="constant")
        fat = ndimage.uniform_filter(np.where(inner, value, 0).astype(np.float32), (*near, 1), mode="constant")
        mean = np.divide(fat, weight, out=np.zeros_like(fat), where=weight > 0.02)
        if (value[ring] > _SKIN_FAT[1]).sum() >= _SKIN_SHOWS * max(int(ring.sum()), 1):
            exchanged |= ring & (value < _SKIN_FAT[0]) & (mean > 0.5)
        right |= ring & (value > _SKIN_FAT[1])
    if muscle is not None and muscle.any():
        exchanged |= muscle & (value > _MUSCLE_FAT[0])
        right |= muscle & (value < _MUSCLE_FAT[1])
    return exchanged, right


def agreed_votes(
    exchanged: np.ndarray, right: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Keep votes whose neighbourhood agrees: a streak of fat in a muscle is outvoted by the muscle.

    Parameters
    ----------
    exchanged, right : ndarray (nx, ny, nz) bool
        From `part_votes`.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    exchanged, right : ndarray (nx, ny, nz) bool
    """
    near = [2 * max(int(_NEAR_MM / step + 0.5), 1 if axis < 2 else 0) + 1 for axis, step in enumerate(spacing)]
    yes, no = (ndimage.uniform_filter(votes.astype(np.float32), near, mode="constant") for votes in (exchanged, right))
    share = np.divide(yes, yes + no, out=np.full_like(yes, 0.5), where=(yes + no) > 1e-6)
    return exchanged & (share >= AGREED), right & (share <= 1 - AGREED)


def exchange(
    water: np.ndarray, fat: np.ndarray, where: np.ndarray, factor: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange water and fat where they were found exchanged.

    Parameters
    ----------
    water, fat : ndarray (nx, ny, nz)
        Images on their own grid.
    where : ndarray bool
        (1, 1, nz), or on the grid of the view.
    factor : (2,) tuple of int
        Voxels of the images in one voxel of the view.

    Returns
    -------
    water, fat : ndarray (nx, ny, nz)
        New arrays.
    """
    if where.shape[:2] != (1, 1):
        full = np.repeat(np.repeat(where, factor[0], axis=0), factor[1], axis=1)
        pad = [(0, max(size - have, 0)) for size, have in zip(water.shape, full.shape, strict=True)]
        where = np.pad(full, pad, mode="edge")[: water.shape[0], : water.shape[1]]
    return np.where(where, fat, water), np.where(where, water, fat)


__all__ = ["OuterRing", "Swap", "exchange", "find_swap", "seam_correlations", "swapped_slices"]
