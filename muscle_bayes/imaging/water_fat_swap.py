"""Whether water and fat were exchanged as a whole: the fat under the skin tells, as it lies in everyone's outer ring."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.morphology import Spacing, close_slices, erode_slices, fill_slices

#: The outer ring lies between these depths under the body surface: below the skin, above most muscle.
RING_MM = (3.0, 9.0)
#: Gaps in the body's outline that are bridged (flow voids, noise).
_GAP_MM = 3.0
#: Slices that are looked at, evenly spread; more would cost time and say the same.
_SLICES = 24
#: A slice counts where ring and interior each have at least this area; at the ends of a limb they have not.
_LEAST_CM2 = 5.0
#: A swap is said where the ring's fat signal fraction is this far below the interior's; in a right pair it is above it.
RING_BELOW_INTERIOR = 0.1
#: Fewer labelled voxels than this give no median.
_LEAST_VOXELS = 100


@dataclass(frozen=True)
class OuterRing:
    """Mean fat signal fraction of the outer ring of the body and of what lies deeper, as medians over slices.

    Attributes
    ----------
    ring, interior : float
        Mean fat signal fraction, 0 to 1.
    difference : float
        Ring minus interior: above 0 where subcutaneous fat reads as fat.
    """

    ring: float
    interior: float
    difference: float


def outer_ring(fraction: np.ndarray, spacing: Spacing) -> OuterRing | None:
    """Compare the outer ring of the body with its interior.

    Parameters
    ----------
    fraction : ndarray (nx, ny, nz)
        Fat signal fraction, not-a-number outside the body.
    spacing : sequence of float
        Voxel size, mm.

    Returns
    -------
    OuterRing or None
        None where no slice shows enough of the body's surface, as where the body fills the field of view.
    """
    tall = fraction.shape[2]
    chosen = np.unique(np.linspace(0, tall - 1, min(tall, _SLICES)).round().astype(int))
    part = np.ascontiguousarray(fraction[:, :, chosen])
    defined = np.isfinite(part)
    body = _largest_part_of_slices(fill_slices(close_slices(defined, _GAP_MM, spacing)))
    outer, inner = (erode_slices(body, depth, spacing) for depth in RING_MM)
    least = max(_LEAST_CM2 * 100 / (float(spacing[0]) * float(spacing[1])), 1.0)
    pairs = []
    for k in range(part.shape[2]):
        values, inside = part[:, :, k], inner[:, :, k] & defined[:, :, k]
        ring = outer[:, :, k] & ~inner[:, :, k] & defined[:, :, k]
        if min(ring.sum(), inside.sum()) >= least:
            pairs.append((float(values[ring].mean()), float(values[inside].mean())))
    if not pairs:
        return None
    rings, interiors = np.array(pairs).T
    return OuterRing(float(np.median(rings)), float(np.median(interiors)), float(np.median(rings - interiors)))


def swap_evidence(
    fraction: np.ndarray,
    spacing: Spacing,
    labels: np.ndarray | None = None,
    scheme: Mapping[int, Structure] | None = None,
) -> str | None:
    """Say why water and fat look exchanged over the whole scan, or nothing where they do not.

    Labels decide where they are given: subcutaneous fat that is not fat, else muscle that is mostly fat while the outer
    ring of the body does not read as fat. Without labels the outer ring decides.

    Parameters
    ----------
    fraction : ndarray (nx, ny, nz)
        Fat signal fraction, not-a-number where undefined.
    spacing : sequence of float
        Voxel size, mm.
    labels : ndarray (nx, ny, nz) int, optional
        Label map.
    scheme : mapping, optional
        id -> Structure of the label map.

    Returns
    -------
    str or None
        The evidence, with its figures.
    """
    if labels is not None and scheme is not None:
        muscle = _median_in(fraction, labels, [key for key, item in scheme.items() if item.is_muscle])
        under_skin = _median_in(
            fraction, labels, [key for key, item in scheme.items() if item.name == "subcutaneous_fat"]
        )
        if muscle is None:
            return None
        if under_skin is not None:
            figures = (
                f"labelled subcutaneous fat is {100 * under_skin:.0f} % fat (median) and muscle {100 * muscle:.0f} %"
            )
            return figures if under_skin < 0.5 and under_skin < muscle else None
        if muscle <= 0.5:
            return None
        ring = outer_ring(fraction, spacing)
        if ring is not None and ring.difference > RING_BELOW_INTERIOR:
            return None
        return f"labelled muscle is {100 * muscle:.0f} % fat (median), which otherwise only extreme fatty muscle is"
    ring = outer_ring(fraction, spacing)
    if ring is None or ring.difference > -RING_BELOW_INTERIOR:
        return None
    return (
        f"{RING_MM[0]:g} to {RING_MM[1]:g} mm under the body surface, where subcutaneous fat lies, is "
        f"{100 * ring.ring:.0f} % fat and what lies deeper {100 * ring.interior:.0f} %"
    )


def _median_in(fraction: np.ndarray, labels: np.ndarray, numbers: list[int]) -> float | None:
    values = fraction[np.isin(labels, numbers)]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size >= _LEAST_VOXELS else None


def _largest_part_of_slices(body: np.ndarray) -> np.ndarray:
    """Keep parts of each slice of at least a fifth of its largest: specks of noise have a surface and no fat."""
    kept = np.zeros_like(body)
    for k in range(body.shape[2]):
        parts, count = ndimage.label(body[:, :, k])
        if count:
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            kept[:, :, k] = (sizes >= sizes.max() / 5)[parts]
    return kept
