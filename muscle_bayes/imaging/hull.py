"""Classical baseline: the muscle compartment of limbs from a Dixon pair, without any network.

Body, eroded by the skin; lean where FF < 0.5; opened; split into limbs; each slice closed and filled; fat or void cores
that run along most slices and have a cortical void are bone and leave. Limbs only: in the trunk, viscera are lean too.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from muscle_bayes.errors import CompartmentNotFoundError
from muscle_bayes.imaging.fat_fraction import FLOOR_SHARE, fat_signal_fraction, in_body_median
from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.morphology import (
    Spacing,
    close_slices,
    dilate_slices,
    erode_slices,
    fill_slices,
    open_slices,
)

#: Labels that `hull_compartment` writes. "both" is a single limb, whose side the image cannot tell.
HULL_SCHEME: Mapping[int, Structure] = MappingProxyType(
    {
        1: Structure("subcutaneous_fat", is_muscle=False),
        2: Structure("bone", is_muscle=False),
        3: Structure("all", "left"),
        4: Structure("all", "right"),
        5: Structure("all", "both"),
    }
)

SKIN_MM = 4.5
CLOSING_MM = 12.0
#: Drops vessels in the subcutaneous fat and the skin where thighs touch.
OPENING_MM = 3.0
#: Half the width of the thinnest bone that is looked for (the fibula); thinner fat is a septum and stays.
BONE_OPENING_MM = 2.2
#: Bone is there in more than this share of a limb's slices ...
BONE_PRESENCE = 0.5
#: ... and at least this share of it is fat or void: dark muscle (tendon, scar) is not bone.
BONE_NOT_LEAN = 0.5
#: Gaps in the cortex (partial volume of a thin one) are bridged up to twice this width.
CORTEX_GAP_MM = 2.2
#: How far a bone is carried along the limb over slices where the cortex does not enclose it.
BONE_BRIDGE_MM = 20.0
#: The lesser of two limbs has at least this share of the lean voxels.
LESSER_LIMB = 0.25


def hull_compartment(water: np.ndarray, fat: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Find the muscle compartment of one or two limbs.

    Parameters
    ----------
    water, fat : ndarray (nx, ny, nz)
        Dixon magnitude images; the first axis runs to the person's right, slices along the last.
    spacing : sequence of float
        Voxel size, mm.

    Returns
    -------
    ndarray (nx, ny, nz) uint8
        Ids of `HULL_SCHEME`. Sides are given by the limbs' positions relative to each other, as a stack need not be
        centred on the scanner's origin.

    Raises
    ------
    CompartmentNotFoundError
        Where no lean tissue is left inside the skin.
    """
    total = np.maximum(water, 0) + np.maximum(fat, 0)
    shape, median = total.shape, in_body_median(total)
    box = _bounding_box(total >= FLOOR_SHARE * median)
    water, fat, total = (np.ascontiguousarray(image[box]) for image in (water, fat, total))
    fraction = fat_signal_fraction(water, fat, FLOOR_SHARE * median)
    lean = fraction < 0.5

    body = _largest_parts(fill_slices(close_slices(total >= FLOOR_SHARE * median, OPENING_MM, spacing)))
    inside_skin = erode_slices(body, SKIN_MM, spacing)
    lean &= inside_skin
    limbs = split_limbs(open_slices(lean, OPENING_MM, spacing), spacing)
    if not limbs:
        raise CompartmentNotFoundError(
            where="hull",
            problem=f"no lean tissue (FF < 0.5) wider than {2 * OPENING_MM:g} mm lies inside the skin",
            remedy="Check that water and fat are not swapped, or give a label map (labels=)",
        )

    labels = np.zeros(total.shape, dtype=np.uint8)
    labels[body] = 1
    for number, limb in zip((3, 4) if len(limbs) == 2 else (5,), limbs, strict=True):
        compartment = fill_slices(close_slices(limb, CLOSING_MM, spacing)) & inside_skin
        bone = find_bone(total < 0.5 * median, ~lean, compartment, spacing)
        labels[compartment] = number
        labels[bone] = 2
    whole = np.zeros(shape, dtype=np.uint8)
    whole[box] = labels
    return whole


def split_limbs(lean: np.ndarray, spacing: Spacing) -> list[np.ndarray]:
    """Part lean tissue into limbs.

    Legs lie side by side, so the profile of lean tissue across the body has two peaks and a valley. Components sort by
    size, not by side, and a limb may hold several: each goes to the side of the valley where most of it lies, and one
    that bridges the valley (touching thighs) is cut there, slice by slice, at its narrowest place.

    Parameters
    ----------
    lean : ndarray (nx, ny, nz) bool
        Opened lean tissue inside the skin.
    spacing : sequence of float
        Voxel size, mm.

    Returns
    -------
    list of ndarray (nx, ny, nz) bool
        Left and right limb, or one limb where there is one; empty where nothing is lean.
    """
    parts, count = ndimage.label(lean)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    if count == 0:
        return []
    valley = _valley(lean.sum(axis=(1, 2)), float(spacing[0]))
    if valley is None:
        return [_main_parts(parts, sizes, spacing)]
    on_left = np.bincount(parts[:valley].ravel(), minlength=count + 1) / np.maximum(sizes, 1)
    bridging = (on_left > 0.02) & (on_left < 0.98) & (sizes > 0)
    limbs = []
    for side in ("left", "right"):
        whole = (on_left >= 0.98) if side == "left" else (on_left <= 0.02)
        limb = (whole & (sizes > 0))[parts]
        if bridging.any():
            cut = _valley_by_slice(lean, valley, float(spacing[0]))
            is_left = np.arange(lean.shape[0])[:, None, None] < cut[None, None, :]
            limb |= bridging[parts] & (is_left if side == "left" else ~is_left)
        pieces, pieces_count = ndimage.label(limb)
        piece_sizes = np.bincount(pieces.ravel(), minlength=pieces_count + 1)
        piece_sizes[0] = 0
        limbs.append(_main_parts(pieces, piece_sizes, spacing))
    return limbs


def find_bone(void: np.ndarray, not_lean: np.ndarray, compartment: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Find bone in a limb: cores with a cortex that run along most slices.

    Fat lies against bone, so fat alone cannot tell where bone ends; its cortex can, which has no signal and encloses the
    marrow.

    Parameters
    ----------
    void : ndarray (nx, ny, nz) bool
        Voxels darker than half the body's median of W + F.
    not_lean : ndarray (nx, ny, nz) bool
        Voxels that are fat or have no signal.
    compartment : ndarray (nx, ny, nz) bool
        The limb's filled compartment.
    spacing : sequence of float
        Voxel size, mm.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        Marrow and cortex.
    """
    ring = close_slices(void & compartment, CORTEX_GAP_MM, spacing)
    cores, _ = ndimage.label(open_slices(fill_slices(ring), BONE_OPENING_MM, spacing))
    slices = int(compartment.any(axis=(0, 1)).sum())
    bone = np.zeros(compartment.shape, dtype=bool)
    for number, box in enumerate(ndimage.find_objects(cores), start=1):
        core = cores[box] == number
        present = core.any(axis=(0, 1)).sum() > BONE_PRESENCE * slices
        if present and not_lean[box][core].mean() >= BONE_NOT_LEAN:
            # The opening rounds corners off; the cortex's own voxels go with the bone they touch.
            whole = cores == number
            whole = fill_slices(whole | (dilate_slices(whole, BONE_OPENING_MM, spacing) & void))
            bone |= _bridge_slices(whole, void | not_lean, spacing)
    return bone & compartment


def _bridge_slices(bone: np.ndarray, candidate: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Carry a bone into slices where its cortex is too thin to enclose it, up to `BONE_BRIDGE_MM` along the limb.

    Such a slice takes the fat and void within the outline of the neighbouring slice and a little around it.
    """
    bridged = bone.copy()
    for _ in range(int(BONE_BRIDGE_MM / float(spacing[2]))):
        held = bridged.any(axis=(0, 1))
        for k in np.flatnonzero(~held).tolist():
            near = [other for other in (k - 1, k + 1) if 0 <= other < held.size and held[other]]
            if near:
                outline = bridged[:, :, near].any(axis=2, keepdims=True)
                reach = dilate_slices(outline, CORTEX_GAP_MM, spacing)
                bridged[:, :, k] = (open_slices(reach & candidate[:, :, k : k + 1], CORTEX_GAP_MM, spacing))[:, :, 0]
    return bridged


def _valley(profile: np.ndarray, step_mm: float) -> int | None:
    """Index across the body where the right limb begins; None where there is one limb.

    The valley is where the lower of the peaks on either side stands highest above the profile.
    """
    smooth = ndimage.gaussian_filter1d(profile.astype(np.float64), 5.0 / step_mm, mode="constant")
    peak = np.minimum(np.maximum.accumulate(smooth), np.maximum.accumulate(smooth[::-1])[::-1])
    depth = peak - smooth
    deepest = np.flatnonzero(depth >= depth.max() - 1e-9 * max(smooth.max(), 1.0))
    valley = int(deepest[len(deepest) // 2])
    left, right = profile[:valley].sum(), profile[valley:].sum()
    separate = smooth[valley] < 0.5 * peak[valley] and min(left, right) >= LESSER_LIMB * max(left, right)
    return valley if separate else None


def _valley_by_slice(lean: np.ndarray, valley: int, step_mm: float) -> np.ndarray:
    """Narrowest place between the limbs in each slice, within 30 mm of the valley of the whole stack."""
    reach = int(30 / step_mm)
    first, last = max(valley - reach, 0), min(valley + reach + 1, lean.shape[0])
    thickness = ndimage.gaussian_filter(lean[first:last].sum(axis=1).astype(np.float64), (1.0, 1.0))
    # A slight pull to the middle, so that slices without lean tissue there are cut at the valley itself.
    thickness += 0.01 * np.abs(np.arange(first, last) - valley)[:, None]
    return first + thickness.argmin(axis=0)


def _main_parts(parts: np.ndarray, sizes: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Keep the largest component and those that the closing will reach from it (muscles apart in fat)."""
    limb = parts == int(sizes.argmax())
    reached = np.unique(parts[dilate_slices(limb, CLOSING_MM, spacing)])
    while True:
        grown = np.isin(parts, reached[reached > 0])
        again = np.unique(parts[dilate_slices(grown, CLOSING_MM, spacing)])
        if len(again) == len(reached):
            return grown
        reached = again


def _largest_parts(body: np.ndarray) -> np.ndarray:
    """Body parts of at least a twentieth of the largest: tables, coils and noise go."""
    parts, count = ndimage.label(body)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    return (sizes >= max(sizes.max() / 20, 1))[parts]


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """Smallest box around a mask with one voxel of margin in plane where the field of view has it.

    The margin is what lets erosion see the skin; at the edge of the field of view there is none, and none is taken off.
    """
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(mask.any(axis=others))
        if used.size == 0:
            return (slice(0), slice(0), slice(0))
        margin = 1 if axis < 2 else 0
        box.append(slice(max(int(used[0]) - margin, 0), min(int(used[-1]) + 1 + margin, mask.shape[axis])))
    return box[0], box[1], box[2]
