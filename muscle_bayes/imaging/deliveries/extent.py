"""Where in a whole-body volume the regions lie that matter, and the volume cut to them before a network runs.

Three landmarks are found in the outline of the body alone, slice by slice, without a network: where the legs part (the
crotch), where the trunk ends above (the shoulders), and the ends of the body. With labels at hand, coarse ones are enough, the
exposure's extent of 150 mm upward from the top of the gluteals is found as `muscle_bayes.imaging.regions` defines it.

What is cut is cut in whole slices, with the affine moved along, and measured as it is: a muscle that is cut at a face of the
slab touches the first or last slice, so its region counts as truncated. Labels are therefore not put back into the whole volume,
where the cut would pass for the end of the muscle.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from muscle_bayes.errors import BundleError, ImageError
from muscle_bayes.imaging.fat_fraction import FLOOR_SHARE, in_body_median
from muscle_bayes.imaging.images import Volume
from muscle_bayes.imaging.regions import EXTENT_MM, above_gluteals

#: Regions that weights may say they were trained on (`trained_regions` of a bundle's metadata).
REGIONS = ("trunk", "thighs")

#: Length below the crotch that holds the thighs of tall people.
THIGH_MM = 450.0
#: Beyond each end of a field: landmarks in an outline are good to a few slices.
MARGIN_MM = 30.0
#: Of the gluteals, below their top, so that a prediction sees that it is their top.
GLUTEALS_SEEN_MM = 80.0

#: Outlines are taken on voxels of about this size: legs and trunk are far larger.
_OUTLINE_MM = 6.0
#: Smaller pieces are hands, arms and noise.
_LEG_MM2 = 2_500.0
#: Two pieces are legs where the smaller has at least this share of the larger, and arms where it has less.
_ALIKE = 0.5
#: A slice belongs to the trunk where the body is at least this wide, as a share of its median above the crotch.
_SHOULDER_SHARE = 0.5


@dataclass(frozen=True)
class Heights:
    """A part of the body along its length.

    Attributes
    ----------
    lower, upper : float
        Ends, mm in the scanner's coordinates along the slice axis (foot to head).
    why : str
        What set them.
    """

    lower: float
    upper: float
    why: str


@dataclass(frozen=True)
class Landmarks:
    """What the outline of the body shows.

    Attributes
    ----------
    body_lower, body_upper : float
        Ends of the body in view, mm.
    crotch : float or None
        Where the legs part; None where no slice shows two legs.
    shoulders : float
        Where the trunk ends above, or the body in view does.
    """

    body_lower: float
    body_upper: float
    crotch: float | None
    shoulders: float


def find_landmarks(*signals: Volume) -> Landmarks:
    """Find where the legs part and where the trunk ends.

    Parameters
    ----------
    signals : Volume
        Water and fat, which are added, or one contrast that shows both; one grid, slices from foot to head.

    Returns
    -------
    Landmarks
        Heights in mm. Thighs that touch are one piece, so the crotch is then found too low, by up to the length over which they
        touch; `trained_field` allows for it with its length of the thighs.

    Raises
    ------
    ImageError
        Where no slice holds a body.
    """
    first = signals[0]
    steps = [max(1, round(_OUTLINE_MM / mm)) for mm in first.spacing[:2]]
    total = sum(np.maximum(signal.data[:: steps[0], :: steps[1], :], 0) for signal in signals)
    body = total > FLOOR_SHARE * in_body_median(total)
    # A 3 x 3 opening takes single bright voxels of noise away, a filling the lungs and the cavities of bone.
    body = ndimage.binary_opening(body, structure=np.ones((3, 3, 1), bool))
    voxel_mm2 = first.spacing[0] * first.spacing[1] * steps[0] * steps[1]
    pieces = [_pieces(body[:, :, k], voxel_mm2) for k in range(body.shape[2])]
    heights = _heights(first)
    there = np.flatnonzero([bool(each) for each in pieces])
    if there.size == 0:
        names = " and ".join(signal.name for signal in signals)
        raise ImageError(names, "no slice shows a body", "Check that the images are of a person")
    step = first.spacing[2]
    legs = np.array([len(each) > 1 and each[1] >= _ALIKE * each[0] for each in pieces])
    crotch_slice = _top_of_legs(legs, there, step)
    trunk = there if crotch_slice is None else there[there > crotch_slice]
    areas = np.array([each[0] if each else 0.0 for each in pieces])
    shoulders = float(heights[there[-1]])
    if trunk.size:
        wide = trunk[areas[trunk] >= _SHOULDER_SHARE * np.median(areas[trunk])]
        shoulders = float(heights[wide[-1]])
    crotch = None if crotch_slice is None else float(heights[crotch_slice]) + step / 2
    lower, upper = float(heights[there[0]]), float(heights[there[-1]])
    return Landmarks(lower - step / 2, upper + step / 2, crotch, shoulders + step / 2)


def field_for(metadata: Mapping[str, Any], where: str = "bundle") -> tuple[str, ...]:
    """Return the regions that weights were trained on, as their bundle's metadata states them.

    Parameters
    ----------
    metadata : mapping
        Of a bundle; `trained_regions` is a list of trunk and thighs.
    where : str
        Which bundle, for messages.

    Returns
    -------
    tuple of str
        Empty where nothing is stated: then nothing is cut.

    Raises
    ------
    BundleError
        Where it states a region that is not known here.
    """
    stated = metadata.get("trained_regions", [])
    if isinstance(stated, str):
        stated = [stated]
    if not isinstance(stated, list | tuple) or any(region not in REGIONS for region in stated):
        raise BundleError(
            f"{where}, trained_regions", f"{stated!r} is no list of regions", f"State some of {', '.join(REGIONS)}"
        )
    return tuple(region for region in REGIONS if region in stated)


def trained_field(landmarks: Landmarks, regions: Collection[str]) -> Heights | None:
    """Return the part of the body that holds the regions that weights were trained on.

    Parameters
    ----------
    landmarks : Landmarks
        Of the volume.
    regions : collection of str
        trunk, thighs, or both; see `field_for`.

    Returns
    -------
    Heights or None
        With a margin at both ends, no further than the body; None where nothing is stated, or where only thighs are asked
        for and no legs are in view: then nothing can be cut.
    """
    if not regions:
        return None
    crotch = landmarks.crotch
    if crotch is None:
        if "trunk" not in regions:
            return None
        lower, upper = landmarks.body_lower, landmarks.shoulders
    else:
        lower = crotch - (THIGH_MM if "thighs" in regions else 0.0)
        upper = landmarks.shoulders if "trunk" in regions else crotch
    named = " and ".join(region for region in REGIONS if region in regions)
    return Heights(
        max(lower - MARGIN_MM, landmarks.body_lower),
        min(upper + MARGIN_MM, landmarks.body_upper),
        f"{named}, which the weights were trained on, by the outline of the body",
    )


def exposure_field(labels: Volume, gluteals: Collection[int], length_mm: float = EXTENT_MM) -> Heights | None:
    """Return the part of the body that holds the exposure's extent, from coarse labels.

    Parameters
    ----------
    labels : Volume
        Label map, as of a first prediction on every few slices.
    gluteals : collection of int
        Ids of the gluteals.
    length_mm : float
        Length upward from the top of the gluteals.

    Returns
    -------
    Heights or None
        The extent with a margin above and as much of the gluteals below as shows that their top is their top, each by a
        slice more than that, since coarse labels know the top to a slice; None where no gluteals are labelled.
    """
    x, y, z = labels.spacing
    extent = above_gluteals(np.isin(labels.data, list(gluteals)).sum(axis=(0, 1)), x * y, z, length_mm)
    if extent is None:
        return None
    # Faces: a slice's centre lies half a slice above its lower face.
    lower_face = float(_heights(labels)[0]) - z / 2
    top = lower_face + extent.first * z
    return Heights(
        top - GLUTEALS_SEEN_MM - z,
        top + length_mm + MARGIN_MM + z,
        f"{length_mm:g} mm upward from the top of the gluteals",
    )


def crop_to_extent(volumes: Mapping[str, Volume], heights: Heights) -> dict[str, Volume]:
    """Cut volumes to a part of the body.

    Parameters
    ----------
    volumes : mapping of str to Volume
        Role -> volume; slices from foot to head.
    heights : Heights
        Part that is kept: every slice of which some lies within.

    Returns
    -------
    dict of str to Volume
        Fewer slices, the affine moved along; name and hash are still those of the whole image.

    Raises
    ------
    ImageError
        Where a volume has no slice there.
    """
    cropped = {}
    for role, volume in volumes.items():
        centres, half = _heights(volume), volume.spacing[2] / 2
        kept = np.flatnonzero((centres + half > heights.lower) & (centres - half < heights.upper))
        if kept.size == 0:
            raise ImageError(
                f"{volume.name} ({role})",
                f"no slice lies between {heights.lower:.0f} and {heights.upper:.0f} mm ({heights.why})",
                "Check that the images are of one scan",
            )
        first, last = int(kept[0]), int(kept[-1]) + 1
        affine = volume.affine.copy()
        affine[:3, 3] += affine[:3, 2] * first
        cropped[role] = replace(volume, data=volume.data[:, :, first:last], affine=affine)
    return cropped


def cut_to_training(
    volumes: Mapping[str, Volume], metadata: Mapping[str, Any], where: str = "bundle"
) -> tuple[dict[str, Volume], str | None]:
    """Cut a scan to the regions that weights were trained on, where their bundle states them.

    Parameters
    ----------
    volumes : mapping of str to Volume
        Role (water and fat, or image) -> volume, on one grid.
    metadata : mapping
        Of the bundle.
    where : str
        Which bundle, for messages.

    Returns
    -------
    volumes : dict of str to Volume
        What the network sees and what is measured.
    note : str or None
        What was done, where anything was cut.
    """
    regions = field_for(metadata, where)
    signals = [volumes[role] for role in ("water", "fat", "image") if role in volumes]
    heights = trained_field(find_landmarks(*signals), regions) if regions and signals else None
    if heights is None:
        return dict(volumes), None
    cropped = crop_to_extent(volumes, heights)
    if all(cropped[role].data.shape == volume.data.shape for role, volume in volumes.items()):
        return dict(volumes), None
    return cropped, f"the scan was cut to {heights.why}"


def _heights(volume: Volume) -> np.ndarray:
    """Height of each slice's centre along the slice axis, mm."""
    axis = volume.affine[:3, 2] / np.linalg.norm(volume.affine[:3, 2])
    heights: np.ndarray = float(axis @ volume.affine[:3, 3]) + volume.spacing[2] * np.arange(volume.data.shape[2])
    return heights


def _pieces(body: np.ndarray, voxel_mm2: float) -> list[float]:
    """Areas of the pieces of a slice that are large enough to be a leg or a trunk, largest first."""
    numbered, count = ndimage.label(ndimage.binary_fill_holes(body))
    if count == 0:
        return []
    areas = np.sort(np.bincount(numbered.ravel())[1:])[::-1] * voxel_mm2
    return [float(area) for area in areas if area >= _LEG_MM2]


def _top_of_legs(legs: np.ndarray, there: np.ndarray, step: float) -> int | None:
    """Last slice with two legs, from the lowest upward; arms beside a neck and single slices do not count.

    Legs may touch for a while (knees together), so a stretch of one piece up to 100 mm does not end them.
    """
    shown = there[legs[there]]
    if shown.size * step < 20.0:
        return None
    top = int(shown[0])
    for k in shown[1:]:
        if (k - top) * step > 100.0:
            break
        top = int(k)
    return top
