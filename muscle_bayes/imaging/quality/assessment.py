"""`assess`: all checks on one scan, and `repair_swap`, which puts water and fat right where that was asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from muscle_bayes.errors import ImageError
from muscle_bayes.imaging.images import ImageSource, Volume, read_volume, require_same_grid
from muscle_bayes.imaging.label_schemes import Scheme, read_label_map
from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.quality.field_of_view import find_cut_extent, find_cut_in_plane
from muscle_bayes.imaging.quality.findings import Finding, Quality, worst_first
from muscle_bayes.imaging.quality.metal import find_metal
from muscle_bayes.imaging.quality.reference import Reference, body_group, find_unlike, read_reference, scan_features
from muscle_bayes.imaging.quality.signal import find_empty_blocks, find_empty_contrast, find_empty_slices
from muscle_bayes.imaging.quality.slices import find_slice_faults
from muscle_bayes.imaging.quality.swap import exchange, find_swap
from muscle_bayes.imaging.quality.view import View, in_layers, make_view
from muscle_bayes.imaging.quality.volumes import find_side_faults, find_volume_faults

#: As in `muscle_bayes.imaging.quantification`: lean muscle volume is missing above this share of voxels without signal.
UNDEFINED_LIMIT_PERCENT = 5.0

_REPAIRS = {"swap_whole": "swap whole", "swap_station": "swap station", "swap_partial": "swap partial"}


def assess(
    water: ImageSource | Volume | None = None,
    fat: ImageSource | Volume | None = None,
    image: ImageSource | Volume | None = None,
    labels: ImageSource | None = None,
    *,
    scheme: Scheme | str | Path | None = None,
    measurements: pd.DataFrame | None = None,
    facts: Mapping[str, Any] | None = None,
    reference: Reference | None = None,
    simulated: bool = False,
) -> Quality:
    """Check one scan for faults that would spoil its measurements.

    Parameters
    ----------
    water, fat : path, nibabel image or Volume
        Dixon pair on one grid.
    image : path, nibabel image or Volume
        A single contrast; used where there is no pair.
    labels : path or nibabel image
        Label map on the same grid; without it muscles are not judged.
    scheme : as in `quantify`
        What label ids mean.
    measurements : DataFrame, optional
        Rows of `quantify`: undefined voxels beyond the limit become a finding.
    facts : mapping, optional
        Sequence facts; `slice_positions_mm` are checked where they are given.
    reference : Reference, optional
        Good scans to compare with, from `fit_reference`; by default the simulated ones of the package, whose score is a
        note for real scans.
    simulated : bool
        Whether the scan is a phantom.

    Returns
    -------
    Quality
        Findings, worst first; `.qc` is the verdict.

    Raises
    ------
    ImageError
        Where images cannot be read or lie on different grids.
    """
    volumes: dict[str, Volume] = {}
    for role, source in (("water", water), ("fat", fat), ("image", image)):
        if source is not None:
            volumes[role] = source if isinstance(source, Volume) else read_volume(source, role)
    if not volumes or ("water" in volumes) != ("fat" in volumes):
        raise ImageError(
            where="images",
            problem="a scan is a Dixon pair or a single contrast",
            remedy="Give water= and fat=, or image=",
        )
    first = next(iter(volumes.values()))
    found: Mapping[int, Structure] = {}
    if labels is not None:
        map_ = read_label_map(labels, scheme)
        volumes["labels"], found = map_.volume, map_.structures
    for other in list(volumes.values())[1:]:
        require_same_grid(first, other)
    return assess_arrays(
        first.spacing,
        *(volumes[role].data if role in volumes else None for role in ("water", "fat", "image", "labels")),
        structures=found,
        orientation_known=first.orientation_known,
        measurements=measurements,
        facts=facts,
        reference=reference,
        simulated=simulated,
    )


def assess_arrays(
    spacing: tuple[float, float, float],
    water: np.ndarray | None = None,
    fat: np.ndarray | None = None,
    image: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    *,
    structures: Mapping[int, Structure] | None = None,
    orientation_known: bool = True,
    measurements: pd.DataFrame | None = None,
    facts: Mapping[str, Any] | None = None,
    reference: Reference | None = None,
    simulated: bool = False,
) -> Quality:
    """Check the arrays of one scan, as `assess` does its files.

    Parameters
    ----------
    spacing : (3,) tuple of float
        Voxel size, mm.
    water, fat, image, labels : ndarray (nx, ny, nz)
        In RAS order.
    structures : mapping
        id -> Structure of the labels.
    orientation_known : bool
        Whether left and right of the image are known.
    measurements, facts, reference, simulated
        As in `assess`.

    Returns
    -------
    Quality
    """
    view = make_view(spacing, water, fat, image, labels, structures)
    positions: Sequence[float] | None = (facts or {}).get("slice_positions_mm")
    if not view.body.any():
        nothing = Finding("zero_slices", "fail", "no body is to be seen in the image", 0.0, 0.0)
        return Quality([nothing])
    findings: list[Finding] = []
    swap = find_swap(view)
    if swap is not None:
        findings.append(swap.finding)
        if swap.whole_slices:
            # What comes after looks at the scan as it would be after repair: one fault, one finding.
            view = _repaired(view, swap.where)
    findings += find_empty_slices(view) + find_empty_contrast(view)
    if not any(finding.kind == "one_contrast_empty" for finding in findings):
        findings += find_empty_blocks(view)
    findings += find_cut_in_plane(view) + find_cut_extent(view)
    findings += find_slice_faults(view, positions)
    findings += find_metal(view)
    findings += find_volume_faults(view) + find_side_faults(view, orientation_known)
    features = scan_features(in_layers(view))
    group = body_group(view)
    judge = reference or read_reference()
    findings += find_unlike(features, group, judge, counts=not judge.simulated or simulated)
    findings += _undefined(measurements)
    repairable = swap is not None and (swap.whole_slices or view.labels is not None)
    return Quality(
        worst_first(findings),
        features,
        group,
        _REPAIRS[swap.finding.kind] if swap is not None and repairable else None,
        swap.where if swap is not None and repairable else None,
        view.factor,
    )


def repair_swap(
    water: ImageSource | Volume, fat: ImageSource | Volume, quality: Quality
) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Exchange water and fat back where they were found exchanged.

    Parameters
    ----------
    water, fat : path, nibabel image or Volume
        The pair that was assessed.
    quality : Quality
        From `assess` of this pair.

    Returns
    -------
    water, fat : nibabel.Nifti1Image
        float32, in RAS order. The pair as it was where there is nothing to repair.

    Notes
    -----
    Never done unasked: the cohort run and `quantify` repair only where their `repair_swap` is set, and say so in a note.
    """
    pair = [
        source if isinstance(source, Volume) else read_volume(source, role)
        for role, source in (("water", water), ("fat", fat))
    ]
    require_same_grid(pair[0], pair[1])
    arrays = repair_arrays(pair[0].data, pair[1].data, quality)
    first, second = (nib.Nifti1Image(data.astype(np.float32), pair[0].affine) for data in arrays)
    return first, second


def repair_arrays(water: np.ndarray, fat: np.ndarray, quality: Quality) -> tuple[np.ndarray, np.ndarray]:
    """Exchange water and fat of two arrays, as `repair_swap` does of images.

    Parameters
    ----------
    water, fat : ndarray (nx, ny, nz)
        In RAS order.
    quality : Quality
        From `assess_arrays` or `assess` of this pair.

    Returns
    -------
    water, fat : ndarray (nx, ny, nz)
    """
    if quality.repair is None or quality.swapped is None:
        return water, fat
    return exchange(water, fat, quality.swapped, quality.factor)


def _repaired(view: View, where: np.ndarray) -> View:
    """Return a view with water and fat of some slices exchanged back."""
    assert view.water is not None
    assert view.fat is not None
    assert view.fraction is not None
    assert view.empty_water is not None
    assert view.empty_fat is not None
    return replace(
        view,
        water=np.where(where, view.fat, view.water),
        fat=np.where(where, view.water, view.fat),
        fraction=np.where(where, 1 - view.fraction, view.fraction),
        empty_water=np.where(where, view.empty_fat, view.empty_water),
        empty_fat=np.where(where, view.empty_water, view.empty_fat),
    )


def _undefined(measurements: pd.DataFrame | None) -> list[Finding]:
    """Return a finding where measured muscle has too many voxels without signal."""
    if measurements is None or "undefined_percent" not in measurements:
        return []
    part = measurements[measurements["undefined_percent"] > UNDEFINED_LIMIT_PERCENT]
    if part.empty:
        return []
    names = tuple(dict.fromkeys(part["muscle"]))
    worst = float(part["undefined_percent"].max())
    return [
        Finding(
            "zero_block",
            "fail",
            f"up to {worst:.0f} % of the voxels of {' and '.join(names)} have no signal; {UNDEFINED_LIMIT_PERCENT:g} % are "
            "let through",
            worst,
            UNDEFINED_LIMIT_PERCENT,
            (),
            names,
        )
    ]
