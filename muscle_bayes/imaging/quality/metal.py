"""Signal voids as beside metal: a solid void whose surroundings are what metal leaves, and not what gas has around it.

Three things tell metal from gas in the bowel, and they add up. Off-resonance piles signal up, so that water or fat is brighter
than the same tissue is near by. It makes water and fat change places in a shell around the void: what reads as fat at its rim reads
as water a few millimetres further out, whereas gas lies in a wall that reads as water, with fat around. And metal lies in muscle
and bone, which go on above and below it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.quality.findings import Finding, slices_text
from muscle_bayes.imaging.quality.view import View

#: A void has this volume at least, after what is thinner than twice `CORE_MM` (cortical bone, vessels, fasciae) is gone.
LEAST_CM3 = 5.0
CORE_MM = 7.0
#: Signal below this share of the scan's median is a void.
VOID_SHARE = 0.25
#: Pile-up is looked for this near to the void; there signal is this many times what the same tissue has further off.
PILE_UP_MM, PILE_UP = 8.0, 1.4
#: Of a single contrast, whose tissues are not told apart, this many times what is usual.
_PILE_UP_SINGLE = 1.6
#: A shell of exchanged water and fat: the rim, and what it is compared with further out.
RIM_MM, OUTER_MM = 7.0, (9.0, 14.0)
_FAT, _WATER = 0.6, 0.4
#: Muscle and bone above and below a void are looked for this far off its end: labels are often missing at its border.
BEYOND_MM = (12.0, 30.0)
#: Each of the three, where it alone would be enough: share of the surroundings with signal piled up (more in a single contrast,
#: where tissues are not told apart), share of the rim that is exchanged, share of muscle and bone above and below.
PILED_UP_SHARE, EXCHANGED_SHARE, BETWEEN_SHARE = 0.04, 0.25, 0.50
PILED_UP_SINGLE_SHARE = 0.15
#: Of their sum, each in units of its share.
LIMIT = 1.0
#: A void may reach the skin over twice this length of the body.
_OPEN_MM = 30.0
#: Signal of a tissue near by is a mean over about this distance.
_NEAR_MM = 15.0


@dataclass(frozen=True)
class Void:
    """One solid void within the body.

    Attributes
    ----------
    cm3 : float
        Its volume.
    piled_up : float
        Share of its surroundings in which water, fat or the single contrast is brighter than the same tissue near by.
    exchanged : float
        Share of its rim that reads as fat where the tissue further out reads as water; 0 for a single contrast.
    between : float
        Share of what lies above and below it that is labelled muscle or bone, the lesser of both; 0 without labels.
    slices : tuple of int
        Slices that it lies in.
    muscles : tuple of str
        Muscles within 17 mm.
    single : bool
        Whether the scan is a single contrast.
    """

    cm3: float
    piled_up: float
    exchanged: float
    between: float
    slices: tuple[int, ...]
    muscles: tuple[str, ...]
    single: bool = False

    def parts(self) -> tuple[tuple[float, float, str], ...]:
        """Return each share, what of it would alone be enough, and the words for it."""
        alone = PILED_UP_SINGLE_SHARE if self.single else PILED_UP_SHARE
        return (
            (self.piled_up, alone, "signal is piled up in {:.0f} % of its surroundings"),
            (self.exchanged, EXCHANGED_SHARE, "water and fat are exchanged in {:.0f} % of its rim"),
            (self.between, BETWEEN_SHARE, "{:.0f} % of what lies above and below it is muscle or bone"),
        )

    @property
    def evidence(self) -> float:
        """Sum of what speaks for metal, each in units of what would alone be enough."""
        return sum(share / alone for share, alone, _ in self.parts())


def find_metal(view: View) -> list[Finding]:
    """Find signal voids of stated size whose surroundings are as beside metal.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.

    Returns
    -------
    list of Finding
        Kind `metal`, severity review, one for each void, at most five.
    """
    found = []
    for void in sorted(voids(view), key=lambda item: -item.cm3):
        if void.evidence < LIMIT:
            continue
        said = [words.format(100 * share) for share, alone, words in void.parts() if share >= 0.25 * alone]
        beside = f", beside {' and '.join(void.muscles)}" if void.muscles else ""
        message = (
            f"a void of {void.cm3:.0f} cm3 as beside metal, in {slices_text(void.slices)}{beside}: {' and '.join(said)} "
            f"(evidence {void.evidence:.1f}, limit {LIMIT:g})"
        )
        found.append(Finding("metal", "review", message, void.evidence, LIMIT, void.slices, void.muscles))
    return found[:5]


def voids(view: View) -> list[Void]:
    """Return the solid voids within the body.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.

    Returns
    -------
    list of Void
    """
    void = _between_slices(view) & (view.total < VOID_SHARE * view.median)
    core = _solid(void, view.spacing)
    parts, count = ndimage.label(core)
    if not count:
        return []
    out = []
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        wide = _grown(box, CORE_MM + OUTER_MM[1] + 3 * _NEAR_MM, view)
        whole = (ndimage.distance_transform_edt(parts[wide] != number, view.spacing) <= CORE_MM + 2.0) & void[wide]
        volume = float(whole.sum() * view.voxel_cm3)
        if volume < LEAST_CM3:
            continue
        distance = ndimage.distance_transform_edt(~whole, view.spacing)
        slices = np.flatnonzero(whole.any(axis=(0, 1))) + wide[2].start
        names: list[str] = []
        between = 0.0
        if view.labels is not None:
            touched = set(np.unique(view.labels[wide][distance <= 17.0]).tolist())
            names = sorted({view.scheme[key].name for key in view.muscle_ids() if key in touched})
            between = _between(view, whole.any(axis=2), wide, slices)
        piled_up, exchanged = _piled_up(view, wide, distance), _exchanged(view, wide, distance)
        single = view.fraction is None
        out.append(Void(volume, piled_up, exchanged, between, tuple(slices.tolist()), tuple(names), single))
    return out


def _piled_up(view: View, wide: tuple[slice, ...], distance: np.ndarray) -> float:
    """Share of the surroundings where signal is brighter than the same tissue further off."""
    seen = view.body[wide] & (view.total[wide] >= view.floor)
    shell = seen & (distance > 0) & (distance <= PILE_UP_MM)
    far = seen & (distance > PILE_UP_MM)
    if not shell.any():
        return 0.0
    if view.fraction is None or view.water is None or view.fat is None:
        # Pile-up must not raise what it is compared with.
        capped = np.minimum(view.total[wide], np.float32(1.5 * view.median))
        bright = view.total[wide] > _PILE_UP_SINGLE * _usual(capped, seen, view.spacing)
        return float((shell & bright).sum() / shell.sum())
    fraction = np.nan_to_num(view.fraction[wide], nan=0.5)
    bright = np.zeros_like(shell)
    for data, here, tissue in (
        (view.water[wide], fraction < 0.5, fraction < 0.3),
        (view.fat[wide], fraction > 0.5, fraction > 0.7),
    ):
        bright |= here & (data > PILE_UP * _usual(data, far & tissue, view.spacing))
    return float((shell & bright).sum() / shell.sum())


def _usual(data: np.ndarray, tissue: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Signal of a tissue near each voxel, a Gaussian mean over it alone; infinite where there is none."""
    sigma = [_NEAR_MM / step for step in spacing]
    weight = ndimage.gaussian_filter(tissue.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(tissue, data, 0).astype(np.float32), sigma)
    return np.asarray(np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), np.inf))


def _exchanged(view: View, wide: tuple[slice, ...], distance: np.ndarray) -> float:
    """Share of the rim that reads as fat where the nearest tissue further out reads as water."""
    if view.fraction is None:
        return 0.0
    fraction = view.fraction[wide]
    seen = view.body[wide] & np.isfinite(fraction)
    rim = seen & (distance > 0) & (distance <= RIM_MM)
    outer = seen & (distance > OUTER_MM[0]) & (distance <= OUTER_MM[1])
    if not rim.any() or not outer.any():
        return 0.0
    nearest = ndimage.distance_transform_edt(~outer, view.spacing, return_distances=False, return_indices=True)
    outside = fraction[tuple(nearest)]
    return float((rim & (fraction > _FAT) & (outside < _WATER)).sum() / rim.sum())


def _between(view: View, outline: np.ndarray, wide: tuple[slice, ...], slices: np.ndarray) -> float:
    """Share of labelled muscle and bone above and below a void's outline, the lesser; of one side where the stack ends."""
    assert view.labels is not None
    solid = [key for key, item in view.scheme.items() if item.is_muscle or item.name == "bone"]
    first, last = (max(1, round(reach / view.spacing[2])) for reach in BEYOND_MM)
    shares = []
    for layers in (
        range(slices[-1] + first, min(slices[-1] + last + 1, view.labels.shape[2])),
        range(max(slices[0] - last, 0), slices[0] - first + 1),
    ):
        if len(layers) * view.spacing[2] >= 0.5 * (BEYOND_MM[1] - BEYOND_MM[0]):
            here = view.labels[wide[0], wide[1], layers.start : layers.stop][outline]
            shares.append(float(np.isin(here, solid).mean()))
    return min(shares, default=0.0)


def _between_slices(view: View) -> np.ndarray:
    """Return the body, with what it leaves open where it goes on above and below: a void may reach the skin."""
    n = max(1, round(_OPEN_MM / view.spacing[2]))
    below, above = np.zeros_like(view.body), np.zeros_like(view.body)
    for k in range(1, n + 1):
        below[:, :, k:] |= view.body[:, :, :-k]
        above[:, :, :-k] |= view.body[:, :, k:]
    return np.asarray(view.body | (below & above))


def _grown(box: tuple[slice, ...], by_mm: float, view: View) -> tuple[slice, ...]:
    """Return a box with a margin, within the image."""
    return tuple(
        slice(max(side.start - int(by_mm / step) - 1, 0), min(side.stop + int(by_mm / step) + 1, size))
        for side, step, size in zip(box, view.spacing, view.body.shape, strict=True)
    )


def _solid(void: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return what lies at least `CORE_MM` inside a void; distances are taken around large voids only."""
    parts, _ = ndimage.label(void)
    core = np.zeros_like(void)
    least = LEAST_CM3 * 1000 / float(np.prod(spacing))
    sizes = np.bincount(parts.ravel())
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        if sizes[number] >= least:
            part = np.pad(parts[box] == number, 1)
            core[box] |= ndimage.distance_transform_edt(part, spacing)[1:-1, 1:-1, 1:-1] >= CORE_MM
    return core
