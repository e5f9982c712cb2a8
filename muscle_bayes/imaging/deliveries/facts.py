"""Facts about a sequence: what a JSON sidecar, a DICOM header and an image's grid say, under one set of names.

Names and units: `repetition_time_ms`, `echo_times_ms` (text, "2.39, 4.77"), `flip_angle_deg`, `field_strength_t`,
`manufacturer`, `scanner` (model), `scanner_id` (hash of the serial number), `software`, `acquisition_month` (2016-05),
`voxel_x_mm`, `voxel_y_mm`, `voxel_z_mm`, `matrix` (in plane), `slices`, `stations`; of stitched scans also `station_gains` and
`stations_interpolated`. Nothing else of a header is kept: no name, identifier, birth date, day, physician or institution.
"""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from muscle_bayes.errors import DeliveryError

#: Names of facts, in the order in which they are told.
FACTS = (
    "manufacturer",
    "scanner",
    "scanner_id",
    "software",
    "field_strength_t",
    "repetition_time_ms",
    "echo_times_ms",
    "flip_angle_deg",
    "voxel_x_mm",
    "voxel_y_mm",
    "voxel_z_mm",
    "matrix",
    "slices",
    "stations",
    "acquisition_month",
)

#: A sidecar of dcm2niix has some 5 kB; one that is larger than this is none.
MAX_SIDECAR_BYTES = 1 << 20
#: A header's text is cut here, so that no free text travels along.
_LONGEST_TEXT = 64


def grid_facts(affine: np.ndarray, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return voxel size and matrix.

    Parameters
    ----------
    affine : ndarray (4, 4)
        Voxel index to millimetres.
    shape : tuple of int
        nx, ny, nz.

    Returns
    -------
    dict
        `voxel_*_mm`, `matrix` and `slices`; x is the person's left to right, y back to front, z foot to head.
    """
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    # Axes are named by the direction that they are nearest to, as measurements use them.
    order = [int(np.argmax(np.abs(affine[row, :3] / spacing))) for row in range(3)]
    if sorted(order) != [0, 1, 2]:
        order = [0, 1, 2]
    x, y, z = (float(round(spacing[axis], 4)) for axis in order)
    counts = [int(shape[axis]) for axis in order]
    return {
        "voxel_x_mm": x,
        "voxel_y_mm": y,
        "voxel_z_mm": z,
        "matrix": f"{counts[0]} x {counts[1]}",
        "slices": counts[2],
    }


def sidecar_of(image: Path) -> Path:
    """Return where the JSON sidecar of an image lies, as BIDS and dcm2niix put it."""
    return image.with_name(re.sub(r"\.nii(\.gz)?$", "", image.name) + ".json")


def sidecar_facts(path: Path, where: str) -> dict[str, Any]:
    """Read the facts of a JSON sidecar.

    Parameters
    ----------
    path : pathlib.Path
        BIDS names and units (seconds, tesla, degrees).
    where : str
        Whose, for messages.

    Returns
    -------
    dict
        Facts that are stated; empty where there is no such file.

    Raises
    ------
    DeliveryError
        Where the file is no JSON object, or far too large for a sidecar.
    """
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_SIDECAR_BYTES:
        raise DeliveryError(f"{where}, {path.name}", "The sidecar has more than 1 MiB", "Give the sidecar of the image")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DeliveryError(
            f"{where}, {path.name}", f"The sidecar is no JSON: {error}", "Write it again, or take it away"
        ) from error
    if not isinstance(content, dict):
        raise DeliveryError(f"{where}, {path.name}", "The sidecar is no JSON object", "Write it again, or take it away")
    seconds = {"repetition_time_ms": "RepetitionTime", "echo_times_ms": "EchoTime"}
    read: dict[str, Any] = {fact: _number(content.get(key), 1000.0) for fact, key in seconds.items()}
    # Several echoes of one image stand in EchoTime1, EchoTime2.
    echoes = [_number(content.get(key), 1000.0) for key in ("EchoTime1", "EchoTime2")]
    read["echo_times_ms"] = echo_text([*echoes, read["echo_times_ms"]])
    read["flip_angle_deg"] = _number(content.get("FlipAngle"))
    read["field_strength_t"] = _number(content.get("MagneticFieldStrength"))
    read["manufacturer"] = header_text(content.get("Manufacturer"))
    read["scanner"] = header_text(content.get("ManufacturersModelName"))
    read["scanner_id"] = short_hash(content.get("DeviceSerialNumber"))
    read["software"] = header_text(content.get("SoftwareVersions"))
    read["acquisition_month"] = month_of(content.get("AcquisitionDateTime") or content.get("AcquisitionDate"))
    return {fact: value for fact, value in read.items() if value is not None}


def merged_facts(each: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Merge the facts of the images of one scan.

    Parameters
    ----------
    each : iterable of mapping
        Facts of water, fat and stations.

    Returns
    -------
    facts : dict
        The first value of each; echo times of all.
    notes : list of str
        Where the images disagree on what must be the same.
    """
    each = list(each)
    merged: dict[str, Any] = {}
    notes = []
    for fact in FACTS:
        values = list(dict.fromkeys(f[fact] for f in each if f.get(fact) is not None))
        if not values:
            continue
        merged[fact] = values[0]
        if fact == "echo_times_ms":
            merged[fact] = echo_text([float(t) for value in values for t in str(value).split(",")])
        elif len(values) > 1:
            notes.append(f"its images differ in {fact}: {', '.join(map(str, values))}")
    return merged, notes


def echo_text(echoes: Iterable[float | None]) -> str | None:
    """Write echo times (ms) in order, each once."""
    known = sorted({round(echo, 3) for echo in echoes if echo is not None})
    return ", ".join(f"{echo:g}" for echo in known) or None


def header_text(value: object) -> str | None:
    """Return a short text of a header, printable and in one line."""
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    if value is None or not str(value).strip():
        return None
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())[:_LONGEST_TEXT]


def short_hash(value: object) -> str | None:
    """Return 8 hexadecimal digits of a serial number, which tell machines apart without naming them."""
    text = header_text(value)
    return None if text is None else sha256(text.encode()).hexdigest()[:8]


def month_of(value: object) -> str | None:
    """Return the month of a date in the spelling of DICOM (20160517) or ISO (2016-05-17T10:30); the day is not kept."""
    match = re.match(r"(19|20)(\d\d)-?(0[1-9]|1[0-2])", str(value or ""))
    return f"{match[1]}{match[2]}-{match[3]}" if match else None


def _number(value: object, times: float = 1.0) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(round(value * times, 4))
