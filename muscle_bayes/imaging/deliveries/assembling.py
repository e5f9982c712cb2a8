"""A scan from what a format read: stations stitched, files named and hashed."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from muscle_bayes.errors import DeliveryError, GridMismatchError
from muscle_bayes.imaging.deliveries.delivery import DeliveredScan, Delivery
from muscle_bayes.imaging.deliveries.facts import grid_facts, merged_facts, sidecar_facts, sidecar_of
from muscle_bayes.imaging.deliveries.stitching import stitch
from muscle_bayes.imaging.images import ImageSource, Volume, open_image, read_volume, require_same_grid


def scan_of_files(delivery: Delivery) -> DeliveredScan:
    """Make a scan of NIfTI files, one or several stations a role.

    Parameters
    ----------
    delivery : Delivery
        With files of water and fat, or image.

    Returns
    -------
    DeliveredScan
        Single files are handed on as they are; stations are read and stitched.

    Raises
    ------
    ImageError
        Where a file cannot be opened, a sidecar is broken, or stations do not make one volume.
    """
    roles = [role for role in ("water", "fat", "image") if role in delivery.files]
    counts = {role: len(delivery.files[role]) for role in roles}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {role}" for role, count in counts.items())
        raise DeliveryError(delivery.where, f"Stations do not pair: {told}", "Deliver water and fat of every station")
    facts_of_each = [sidecar_facts(sidecar_of(path), delivery.where) for role in roles for path in delivery.files[role]]
    facts, notes = merged_facts(facts_of_each)
    if max(counts.values(), default=1) == 1:
        images: dict[str, ImageSource] = {role: delivery.files[role][0] for role in roles}
        facts |= _grid_of_file(delivery.files[roles[0]][0], roles[0])
        return _scan(delivery, images, facts, notes)
    stations = paired(
        {role: [read_volume(path, role) for path in delivery.files[role]] for role in roles}, delivery.where
    )
    return scan_of_stations(delivery, stations, facts, notes)


def paired(volumes: Mapping[str, Sequence[Volume]], where: str) -> list[dict[str, Volume]]:
    """Pair the stations of the roles by where they lie.

    Parameters
    ----------
    volumes : mapping of str to sequence of Volume
        Role -> stations, in any order, as many for each role.
    where : str
        Whose, for messages.

    Returns
    -------
    list of dict of str to Volume
        One a station; its roles lie on one grid.

    Raises
    ------
    GridMismatchError
        Where a station of one role has no counterpart.
    """
    ordered = {role: sorted(each, key=lambda volume: float(volume.affine[2, 3])) for role, each in volumes.items()}
    stations = [dict(zip(ordered, station, strict=True)) for station in zip(*ordered.values(), strict=True)]
    for station in stations:
        _check_grid(station, where)
    return stations


def scan_of_stations(
    delivery: Delivery, stations: Sequence[Mapping[str, Volume]], facts: dict[str, Any], notes: Iterable[str]
) -> DeliveredScan:
    """Make a scan of stations that have been read.

    Parameters
    ----------
    delivery : Delivery
        Whose.
    stations : sequence of mapping of str to Volume
        Role -> volume.
    facts : dict
        Of the sequence.
    notes : iterable of str
        So far.

    Returns
    -------
    DeliveredScan
        One volume a role.
    """
    for station in stations:
        _check_grid(station, delivery.where)
    if len(stations) == 1:
        data = {role: volume.data for role, volume in stations[0].items()}
        affine = next(iter(stations[0].values())).affine
        more: list[str] = []
    else:
        stitched = stitch(stations, delivery.where)
        data, affine, more = stitched.data, stitched.affine, stitched.notes
        gains = ", ".join(f"{gain:.3g}" for gain in stitched.gains)
        made = {"stations": len(stations), "station_gains": gains, "stations_interpolated": stitched.interpolated}
        facts = {**facts, **made}
    images: dict[str, ImageSource] = {role: nifti_image(each, affine) for role, each in data.items()}
    shape = next(iter(data.values())).shape
    return _scan(delivery, images, {**facts, **grid_facts(affine, shape)}, [*notes, *more])


def _check_grid(station: Mapping[str, Volume], where: str) -> None:
    """Raise where water and fat of a station lie apart."""
    first, *others = station.values()
    for other in others:
        try:
            require_same_grid(first, other, "Deliver water and fat of one acquisition")
        except GridMismatchError as error:
            raise GridMismatchError(f"{where}, {error.where}", error.problem, error.remedy) from error


def nifti_image(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Make a NIfTI image in millimetres of the scanner.

    Parameters
    ----------
    data : ndarray (nx, ny, nz)
        Values.
    affine : ndarray (4, 4)
        Voxel index to millimetres.

    Returns
    -------
    nibabel.Nifti1Image
        With the affine in both of its header's forms.
    """
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return image


def _grid_of_file(path: Path, role: str) -> dict[str, Any]:
    """Voxel size and matrix from a file's header alone; its voxels are decompressed once, when it is measured."""
    try:
        image = nib.load(path)
        return grid_facts(image.affine, image.shape[:3])  # type: ignore[attr-defined]
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error, AttributeError):
        # Says what is wrong, in words.
        image = open_image(path, role)[0]
        return grid_facts(image.affine, image.shape[:3])


def _scan(
    delivery: Delivery, images: dict[str, ImageSource], facts: dict[str, Any], notes: Iterable[str]
) -> DeliveredScan:
    """Add labels, and which files each image comes from."""
    if "labels" in delivery.files:
        images["labels"] = delivery.files["labels"][0]
    together = delivery.files.get("dicom", ())
    return DeliveredScan(images, facts, {role: delivery.files.get(role, together) for role in images}, list(notes))
