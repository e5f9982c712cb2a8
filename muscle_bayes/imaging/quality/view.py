"""What the checks look at: images averaged to about 3 mm in plane, every slice kept, with the body outlined."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.fat_fraction import FLOOR_SHARE, fat_signal_fraction, in_body_median
from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.morphology import close_slices, fill_slices, open_slices

#: Voxels are averaged in plane until they are at most this wide: faults are larger, noise is less, and it is quick.
WIDEST_MM = 3.0
#: Anatomy along the body is compared in layers of about this thickness.
LAYER_MM = 6.0
#: Gaps in the body's outline that are bridged (noise, vessels).
_GAP_MM = 6.0
#: What is thinner than twice this is no body (noise in air).
_SPECK_MM = 4.0
#: A part of the body has at least this share of the largest part's voxels.
_PART_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class View:
    """A scan as the checks see it.

    Attributes
    ----------
    water, fat : ndarray (nx, ny, nz) float32 or None
        Means over `factor` voxels in plane; None for a single contrast.
    total : ndarray (nx, ny, nz) float32
        W + F, or the single contrast.
    fraction : ndarray (nx, ny, nz) or None
        Fat signal fraction, not-a-number below the noise floor.
    body : ndarray (nx, ny, nz) bool
        Body with its holes filled slice by slice.
    parts : ndarray (nx, ny, nz) int
        Connected parts of the body (two thighs are two), from 1.
    median, floor : float
        Of `total` within the body, and its noise floor.
    spacing : (3,) tuple of float
        Voxel size of the view, mm.
    factor : (2,) tuple of int
        Voxels averaged along x and y.
    empty_water, empty_fat : ndarray (nx, ny, nz) bool or None
        Where every averaged voxel is exactly 0; of a single contrast it stands in `empty_water`.
    labels : ndarray (nx, ny, nz) int or None
        Label map, one voxel of each `factor`.
    scheme : dict
        id -> Structure.
    """

    water: np.ndarray | None
    fat: np.ndarray | None
    total: np.ndarray
    fraction: np.ndarray | None
    body: np.ndarray
    parts: np.ndarray
    median: float
    floor: float
    spacing: tuple[float, float, float]
    factor: tuple[int, int]
    empty_water: np.ndarray | None
    empty_fat: np.ndarray | None
    labels: np.ndarray | None
    scheme: Mapping[int, Structure]

    @property
    def voxel_cm3(self) -> float:
        """Volume of a voxel of the view."""
        return float(np.prod(self.spacing)) / 1000

    def muscle_ids(self) -> list[int]:
        """Return the ids of muscles."""
        return [key for key, item in self.scheme.items() if item.is_muscle]

    def mask(self, name: str) -> np.ndarray | None:
        """Return where a structure is labelled, by name; None without labels or where there is none."""
        if self.labels is None:
            return None
        found = np.isin(self.labels, [key for key, item in self.scheme.items() if item.name == name])
        return found if found.any() else None

    def muscle(self) -> np.ndarray | None:
        """Return where any muscle is labelled."""
        return None if self.labels is None else np.isin(self.labels, self.muscle_ids())


def make_view(
    spacing: tuple[float, float, float],
    water: np.ndarray | None = None,
    fat: np.ndarray | None = None,
    image: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    scheme: Mapping[int, Structure] | None = None,
) -> View:
    """Reduce the arrays of one scan to a view.

    Parameters
    ----------
    spacing : (3,) tuple of float
        Voxel size, mm.
    water, fat : ndarray (nx, ny, nz)
        Dixon pair on one RAS grid.
    image : ndarray (nx, ny, nz)
        Single contrast; used where there is no pair.
    labels : ndarray (nx, ny, nz) int, optional
        Label map.
    scheme : mapping, optional
        id -> Structure of the label map.

    Returns
    -------
    View
    """
    fx, fy = (max(1, int(WIDEST_MM / step + 0.05)) for step in spacing[:2])
    small = (spacing[0] * fx, spacing[1] * fy, spacing[2])
    reduced: list[np.ndarray | None] = []
    empties: list[np.ndarray | None] = []
    for data in (water, fat) if water is not None else (image, None):
        if data is None:
            reduced.append(None)
            empties.append(None)
            continue
        mean = block_mean(np.maximum(data, 0), fx, fy)
        reduced.append(mean)
        empties.append(mean == 0)
    first, second = reduced
    assert first is not None
    total = first if second is None else first + second
    median = in_body_median(total)
    floor = FLOOR_SHARE * median
    body = _body(total >= floor, small)
    parts, _ = _parts(body)
    fraction = None if second is None else fat_signal_fraction(first, second, floor)
    return View(
        water=None if second is None else first,
        fat=second,
        total=total,
        fraction=fraction,
        body=parts > 0,
        parts=parts,
        median=median,
        floor=floor,
        spacing=small,
        factor=(fx, fy),
        empty_water=empties[0],
        empty_fat=empties[1],
        labels=None if labels is None else labels[fx // 2 :: fx, fy // 2 :: fy][: total.shape[0], : total.shape[1]],
        scheme=dict(scheme or {}),
    )


def slices_in_layer(step_mm: float) -> int:
    """Return how many slices make a layer of at most `LAYER_MM`, at least 1."""
    return max(1, int(LAYER_MM / step_mm + 0.05))


def in_layers(view: View) -> View:
    """Average the slices of a view to layers of about 6 mm; where slices are as thick, return it as it is.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.

    Returns
    -------
    View
        What is left over at the upper end is dropped; of the labels the middle slice of each layer stays.
    """
    f = slices_in_layer(view.spacing[2])
    if f == 1 or view.total.shape[2] < 2 * f:
        return view

    def mean(data: np.ndarray | None) -> np.ndarray | None:
        if data is None:
            return None
        n = data.shape[2] // f * f
        return np.asarray(data[:, :, :n].reshape(*data.shape[:2], -1, f).mean(axis=3, dtype=np.float32))

    n = view.total.shape[2] // f
    first = mean(view.total if view.water is None else view.water)
    labels = None if view.labels is None else view.labels[:, :, f // 2 :: f][:, :, :n]
    spacing = (view.spacing[0], view.spacing[1], view.spacing[2] * f)
    if view.water is None:
        return make_view(spacing, image=first, labels=labels, scheme=view.scheme)
    return make_view(spacing, first, mean(view.fat), labels=labels, scheme=view.scheme)


def block_mean(data: np.ndarray, fx: int, fy: int) -> np.ndarray:
    """Average blocks of fx by fy voxels in plane; what is left over at the upper sides is dropped.

    Parameters
    ----------
    data : ndarray (nx, ny, nz)
        Image.
    fx, fy : int
        Block size.

    Returns
    -------
    ndarray (nx // fx, ny // fy, nz) float32
    """
    nx, ny = data.shape[0] // fx, data.shape[1] // fy
    data = data[: nx * fx, : ny * fy]
    if (fx, fy) == (1, 1):
        return data.astype(np.float32)
    out = np.zeros((nx, ny, data.shape[2]), dtype=np.float32)
    for i in range(fx):
        for j in range(fy):
            out += data[i::fx, j::fy]
    return out / np.float32(fx * fy)


def _body(signal: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Outline the body: signal, freed of specks, with gaps bridged and holes filled, slice by slice."""
    return fill_slices(close_slices(open_slices(signal, _SPECK_MM, spacing), _GAP_MM, spacing))


def _parts(body: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the connected parts of the body, numbered, and how many there are; specks are dropped."""
    parts, count = ndimage.label(body)
    if not count:
        return parts, 0
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= _PART_SHARE * sizes.max())
    lookup = np.zeros(count + 1, dtype=np.int32)
    lookup[kept] = np.arange(1, kept.size + 1)
    return lookup[parts], int(kept.size)
