"""A scan from what a format read: stations stitched, files named and hashed."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from muscle_bayes.errors import DeliveryError
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
        image = open_image(delivery.files[roles[0]][0], roles[0])[0]
        facts |= grid_facts(image.affine, image.shape[:3])
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
        first, *others = station.values()
        for other in others:
            require_same_grid(first, other, f"Deliver water and fat of every station ({where})")
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
        first, *others = station.values()
        for other in others:
            require_same_grid(first, other, "Deliver water and fat of one acquisition")
    if len(stations) == 1:
        data = {role: volume.data for role, volume in stations[0].items()}
        affine = next(iter(stations[0].values())).affine
        more: list[str] = []
    else:
        stitched = stitch(stations, delivery.where)
        data, affine, more = stitched.data, stitched.affine, stitched.notes
        facts = {**facts, "stations": len(stations)}
    images: dict[str, ImageSource] = {role: nifti_image(each, affine) for role, each in data.items()}
    shape = next(iter(data.values())).shape
    return _scan(delivery, images, {**facts, **grid_facts(affine, shape)}, [*notes, *more])


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


def hash_of(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, or of the names and hashes of the files of several or of a folder.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files and folders.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    named = []
    for path in paths:
        below = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in below:
            with file.open("rb") as stream:
                name = file.relative_to(path).as_posix() if path.is_dir() else file.name
                named.append((name, file_digest(stream, "sha256").hexdigest()))
    if len(named) == 1 and not paths[0].is_dir():
        return named[0][1]
    return sha256("\n".join(f"{name} {digest}" for name, digest in named).encode()).hexdigest()


def _scan(
    delivery: Delivery, images: dict[str, ImageSource], facts: dict[str, Any], notes: Iterable[str]
) -> DeliveredScan:
    """Add labels, and where each image comes from."""
    together = delivery.files.get("dicom")
    digest = hash_of(together) if together is not None else ""
    inputs = {}
    if "labels" in delivery.files:
        images["labels"] = delivery.files["labels"][0]
    for role in images:
        sources = delivery.files.get(role, together)
        assert sources is not None  # every role comes from files of its own or from the DICOM delivery
        name = sources[0].name if len(sources) == 1 else f"{sources[0].name} and {len(sources) - 1} more"
        inputs[role] = {"name": name, "sha256": digest if sources is together else hash_of(sources)}
    return DeliveredScan(images, facts, inputs, list(notes))
