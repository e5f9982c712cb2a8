"""Signal voids as beside metal: a solid void within the body with signal piled up, or water and fat in disorder, around it."""

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
#: Pile-up: signal above this many times what is usual near it. The shell around a void is looked at over this width.
PILE_UP = 1.6
SHELL_MM = 12.0
#: This share of the shell is piled up beside metal. Gas has quiet surroundings ...
DISTORTED_SHARE = 0.15
#: ... leaves water and fat of the muscle near it as they are (this share of it reads as fat beside metal) ...
DISORDER_SHARE = 0.45
_DISORDER_FAT, _DISORDER_CM3 = 0.75, 2.0
#: ... and lies in the bowel, not where this share of the shell, some millimetres off, is labelled muscle or bone.
SURROUNDED_SHARE = 0.45
_OFF_MM = 5.0


@dataclass(frozen=True)
class Void:
    """One solid void within the body.

    Attributes
    ----------
    cm3 : float
        Its volume.
    distorted : float
        Share of the shell around it in which signal is piled up.
    disorder : float
        Share of the muscle in the shell that reads as fat; 0 without labels or with little muscle.
    surrounded : float
        Share of the shell that is labelled muscle or bone; 0 without labels.
    slices : tuple of int
        Slices that it lies in.
    muscles : tuple of str
        Muscles within the shell.
    """

    cm3: float
    distorted: float
    disorder: float
    surrounded: float
    slices: tuple[int, ...]
    muscles: tuple[str, ...]


def find_metal(view: View) -> list[Finding]:
    """Find signal voids of stated size with distorted surroundings, or within labelled muscle and bone.

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
        evidence = (
            (void.distorted, DISTORTED_SHARE, "signal is piled up in {:.0f} % of its surroundings"),
            (void.disorder, DISORDER_SHARE, "{:.0f} % of the muscle around it reads as fat"),
            (
                void.surrounded,
                SURROUNDED_SHARE,
                "{:.0f} % of its surroundings is muscle or bone, where there is no gas",
            ),
        )
        value, limit, words = max(evidence, key=lambda item: item[0] / item[1])
        if value < limit:
            continue
        beside = f", beside {' and '.join(void.muscles)}" if void.muscles else ""
        message = (
            f"a void of {void.cm3:.0f} cm3 as beside metal, in {slices_text(void.slices)}{beside}: "
            f"{words.format(100 * value)}"
        )
        found.append(Finding("metal", "review", message, value, limit, void.slices, void.muscles))
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
    void = view.body & (view.total < VOID_SHARE * view.median)
    core = _solid(void, view.spacing)
    parts, count = ndimage.label(core)
    if not count:
        return []
    out = []
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        wide = _grown(box, CORE_MM + SHELL_MM + _OFF_MM, view)
        distance = ndimage.distance_transform_edt(parts[wide] != number, view.spacing)
        whole = (distance <= CORE_MM + 2.0) & void[wide]
        volume = float(whole.sum() * view.voxel_cm3)
        if volume < LEAST_CM3:
            continue
        shell = (distance <= CORE_MM + SHELL_MM) & ~void[wide] & view.body[wide]
        if not shell.any():
            continue
        distorted = float((shell & (view.total[wide] > PILE_UP * _usual_signal(view, wide))).sum() / shell.sum())
        slices = np.flatnonzero(whole.any(axis=(0, 1))) + wide[2].start
        names: list[str] = []
        disorder = surrounded = 0.0
        if view.labels is not None:
            labels = view.labels[wide]
            near = distance <= CORE_MM + SHELL_MM + _OFF_MM
            touched = set(np.unique(labels[near]).tolist())
            names = sorted({view.scheme[key].name for key in view.muscle_ids() if key in touched})
            solid = [key for key, item in view.scheme.items() if item.is_muscle or item.name == "bone"]
            ring = near & (distance > CORE_MM + _OFF_MM) & view.body[wide]
            surrounded = float((ring & np.isin(labels, solid)).sum() / max(int(ring.sum()), 1))
            muscle = near & ~void[wide] & np.isin(labels, view.muscle_ids())
            if view.fraction is not None and muscle.sum() * view.voxel_cm3 >= _DISORDER_CM3:
                disorder = float((np.nan_to_num(view.fraction[wide][muscle]) > _DISORDER_FAT).mean())
        out.append(Void(volume, distorted, disorder, surrounded, tuple(slices.tolist()), tuple(names)))
    return out


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


def _usual_signal(view: View, box: tuple[slice, ...]) -> np.ndarray:
    """Signal of the body smoothed over 30 mm, voids left out, within a box: shading of coils is no pile-up."""
    wide = _grown(box, 45.0, view)
    sigma = [15.0 / step for step in view.spacing]
    total = view.total[wide]
    signal = view.body[wide] & (total >= view.floor)
    # Pile-up must not raise what it is compared with.
    value = np.minimum(total, np.float32(1.5 * view.median))
    weight = ndimage.gaussian_filter(signal.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(signal, value, 0).astype(np.float32), sigma)
    inner = tuple(
        slice(side.start - outer.start, side.stop - outer.start) for side, outer in zip(box, wide, strict=True)
    )
    return np.asarray((smooth / np.maximum(weight, 1e-3))[inner])
