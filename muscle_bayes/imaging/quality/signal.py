"""Signal that is missing although the body is there: empty slices, empty blocks, one contrast empty."""

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.morphology import open_slices
from muscle_bayes.imaging.quality.findings import Finding, slices_text
from muscle_bayes.imaging.quality.view import View

#: A slice is empty where less than this share of what its neighbours fill has signal.
EMPTY_SHARE = 0.02
#: An empty block has at least this volume, and holds a disk of this radius in each of its slices.
LEAST_BLOCK_CM3 = 30.0
_BLOCK_RADIUS_MM = 12.0
#: A block's outline is this straight: empty voxels over those of the box around them, per slice. Gas in a masked image is round.
_BOXY = 0.9


def find_empty_slices(view: View) -> list[Finding]:
    """Find slices without signal between slices with signal; those at the ends are padding.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.

    Returns
    -------
    list of Finding
        Kind `zero_slices`, severity review from one slice on, fail from a tenth of the body's slices on.
    """
    filled = (view.total > 0).sum(axis=(0, 1)).astype(float)
    shown = np.flatnonzero(view.body.any(axis=(0, 1)) & (filled > 0))
    if shown.size < 3:
        return []
    inside = np.arange(shown[0], shown[-1] + 1)
    typical = float(np.median(filled[shown]))
    empty = inside[filled[inside] < EMPTY_SHARE * typical]
    if not empty.size:
        return []
    share = empty.size / inside.size
    return [
        Finding(
            "zero_slices",
            "fail" if share > 0.1 else "review",
            f"{slices_text(empty.tolist())} {'has' if empty.size == 1 else 'have'} no signal although the body goes on "
            "above and below",
            float(empty.size),
            0.0,
            tuple(empty.tolist()),
        )
    ]


def find_empty_contrast(view: View) -> list[Finding]:
    """Find slices, and blocks within slices, in which one of water and fat is exactly 0 while the other is not.

    Parameters
    ----------
    view : View
        Of a Dixon pair.

    Returns
    -------
    list of Finding
        Kind `one_contrast_empty`, severity review, fail where a whole contrast is empty over half of the body.
    """
    if view.empty_water is None or view.empty_fat is None or view.fraction is None:
        return []
    findings = []
    signal = view.body & (view.total > 0)
    voxels = signal.sum(axis=(0, 1))
    shown = voxels > 0.02 * max(int(voxels.max()), 1)
    for name, empty in (("water", view.empty_water), ("fat", view.empty_fat)):
        share = np.divide(
            (empty & signal).sum(axis=(0, 1)), voxels, out=np.zeros(voxels.size, dtype=float), where=voxels > 0
        )
        slices = np.flatnonzero(shown & (share > 0.98))
        if slices.size:
            findings.append(
                Finding(
                    "one_contrast_empty",
                    "fail" if slices.size > 0.5 * shown.sum() else "review",
                    f"the {name} image is empty in {slices_text(slices.tolist())} where the other has signal",
                    float(slices.size),
                    0.0,
                    tuple(slices.tolist()),
                )
            )
    return findings


def find_empty_blocks(view: View) -> list[Finding]:
    """Find blocks of exact zeros within the body, in both contrasts or in one.

    Noise and gas are never exactly zero over a straight-edged block, except in masked images, where gas is round. A zero in
    one contrast counts only where the other has no more signal than noise, or where the block cuts through fat and muscle.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.

    Returns
    -------
    list of Finding
        Kind `zero_block` (all contrasts) or `one_contrast_empty`, severity review.
    """
    if view.empty_water is None:
        return []
    # What an empty block has cut away from the body belongs to it, so the outline is bridged from slice to slice too.
    hull = _bridged(view.body)
    if view.empty_fat is None:
        blocks = {"zero_block": _boxes(view.empty_water, hull, view.spacing)}
    else:
        water, fat = (_boxes(empty, hull, view.spacing) for empty in (view.empty_water, view.empty_fat))
        both = water & fat
        # Chance zeros of the other contrast are no block of both.
        blocks = {"zero_block": both, "water": water & ~both, "fat": fat & ~both}
    words_of = {
        "zero_block": "no signal",
        "water": "no water signal while fat has signal",
        "fat": "no fat signal while water has signal",
    }
    found = []
    for name, block in blocks.items():
        words = words_of[name]
        volume = float(block.sum() * view.voxel_cm3)
        if volume < LEAST_BLOCK_CM3:
            continue
        slices = np.flatnonzero(block.any(axis=(0, 1))).tolist()
        found.append(
            Finding(
                "zero_block" if name == "zero_block" else "one_contrast_empty",
                "review",
                f"a block of {volume:.0f} cm3 within the body has {words} ({slices_text(slices)})",
                volume,
                LEAST_BLOCK_CM3,
                tuple(slices),
            )
        )
    return found


def _bridged(body: np.ndarray) -> np.ndarray:
    """Body, and what was body both below and above within a few slices or spans the same rows and columns."""
    rows = np.maximum.accumulate(body, axis=0) & np.maximum.accumulate(body[::-1], axis=0)[::-1]
    columns = np.maximum.accumulate(body, axis=1) & np.maximum.accumulate(body[:, ::-1], axis=1)[:, ::-1]
    stack = np.maximum.accumulate(body, axis=2) & np.maximum.accumulate(body[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(body | (rows & columns) | stack)


def _boxes(empty: np.ndarray, hull: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Keep the empty parts of each slice's body that fill the box around them; what lies in air counts as filled."""
    kept = np.zeros_like(empty)
    candidate = empty & hull
    solid = open_slices(candidate, _BLOCK_RADIUS_MM, spacing)
    for k in np.flatnonzero(solid.any(axis=(0, 1))):
        parts, _ = ndimage.label(solid[:, :, k])
        for box in ndimage.find_objects(parts):
            if empty[:, :, k][box].mean() >= _BOXY:
                kept[:, :, k][box] |= candidate[:, :, k][box]
    return kept
