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
#: ... and at least this share of it is darker than half the body's median: cortical bone, which fat does not have.
BONE_VOID_SHARE = 0.1
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
        bone = find_bone(compartment & ~lean, total < 0.5 * median, compartment, spacing)
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


def find_bone(not_lean: np.ndarray, void: np.ndarray, compartment: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Find bone in a limb: cores of fat or void that run along most slices and have a cortex.

    Parameters
    ----------
    not_lean : ndarray (nx, ny, nz) bool
        Voxels of the compartment that are fat or have no signal.
    void : ndarray (nx, ny, nz) bool
        Voxels darker than half the body's median of W + F.
    compartment : ndarray (nx, ny, nz) bool
        The limb's filled compartment.
    spacing : sequence of float
        Voxel size, mm.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        Marrow and cortex.
    """
    # A dark cortex with partial volume can read lean; without it marrow and cortex fall apart.
    candidate = not_lean | (void & compartment)
    cores, count = ndimage.label(open_slices(candidate, BONE_OPENING_MM, spacing))
    slices = int(compartment.any(axis=(0, 1)).sum())
    is_bone = np.zeros(count + 1, dtype=bool)
    for number, box in enumerate(ndimage.find_objects(cores), start=1):
        core = cores[box] == number
        present = int(core.any(axis=(0, 1)).sum()) > BONE_PRESENCE * slices
        is_bone[number] = present and void[box][core].mean() >= BONE_VOID_SHARE
    core = is_bone[cores]
    # The opening rounds corners off; they go with the bone they touch.
    return fill_slices(core | (dilate_slices(core, BONE_OPENING_MM, spacing) & candidate)) & compartment


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
