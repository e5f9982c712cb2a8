"""DICOM headers: the few tags that are needed, and never the person.

Only the tags of `KEPT` are parsed, and pixels are not. Patient ID is read to see that one delivery holds one person; it is
hashed at once and not kept. Identifiers of study and series sort the files and stay in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np

from muscle_bayes.errors import MissingDependencyError
from muscle_bayes.imaging.deliveries.facts import echo_text, header_text, month_of, short_hash

#: Tags that are parsed; the second list only sorts files and is not kept.
KEPT = (
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "DeviceSerialNumber",
    "MagneticFieldStrength",
    "RepetitionTime",
    "EchoTime",
    "FlipAngle",
    "SeriesDescription",
    "ImageType",
    "AcquisitionDate",
)
_SORTING = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesTime",
    "StudyDate",
    "PatientID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "SamplesPerPixel",
    "PixelSpacing",
    "ImageOrientationPatient",
)
_OF_EACH_FILE = ("SOPInstanceUID", "ImagePositionPatient", "AcquisitionTime")
#: MR images, of one slice and of many: kinds of file that must have a size (DICOM PS3.4 B.5).
_IMAGES = {"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"}
#: Siemens says here which image of a Dixon series it is (DIXW, DIXF), where ImageType does not.
_SIEMENS_OPTIONS = (0x0051, 0x1019)


@dataclass(frozen=True, eq=False)
class Header:
    """What is needed of one DICOM file.

    Attributes
    ----------
    series, study, instance : str
        Unique identifiers, for sorting.
    person : str
        Hash of the patient ID.
    description : str
        Series description, printable.
    image_type : tuple of str
        Upper case.
    options : str
        Siemens private options, such as DIXW.
    number : int
        Series number.
    time : str
        When it was acquired, within the day; for telling repeats apart.
    rows, columns, frames : int
        Size.
    bytes_a_pixel : int
        Of the uncompressed image.
    position : tuple of float or None
        Of the first voxel, mm; None for multi-frame files, which hold it for each frame.
    orientation : tuple of float or None
        Direction cosines of rows and columns.
    spacing : tuple of float or None
        Distance of rows and of columns, mm.
    facts : dict
        As in `muscle_bayes.imaging.deliveries.facts`.
    """

    series: str
    study: str
    instance: str
    person: str
    description: str
    image_type: tuple[str, ...]
    options: str
    number: int
    time: str
    rows: int
    columns: int
    frames: int
    bytes_a_pixel: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    facts: dict[str, Any]


def require_pydicom() -> Any:
    """Return pydicom.

    Returns
    -------
    module
        pydicom.

    Raises
    ------
    MissingDependencyError
        Where it is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise MissingDependencyError("pydicom", "DICOM deliveries need it", "Install muscle-bayes[scans]") from error
    return pydicom


def is_dicom(start: bytes) -> bool:
    """Tell whether a file's first 132 bytes are those of a DICOM file."""
    return start[128:132] == b"DICM"


class HeaderReader:
    """Reads headers of many files; what all files of a series share is parsed once.

    A visit has more than a thousand files, and turning a header's values into Python's takes longer than finding them. So files
    whose shared values have the same bytes get one parsed header, with the identifier, place and time of their own.
    """

    def __init__(self) -> None:
        self._pydicom = require_pydicom()
        from pydicom.tag import Tag

        self._shared = [Tag(name) for name in (*KEPT, *_SORTING, _SIEMENS_OPTIONS)]
        self._own = [Tag(name) for name in _OF_EACH_FILE]
        self._parsed: dict[tuple[Any, ...], Header | None] = {}
        #: Whether the file that was read last is an image whose header is cut off or broken.
        self.damaged = False

    def read(self, source: Path | IO[bytes]) -> Header | None:
        """Read the header of a DICOM file.

        Parameters
        ----------
        source : pathlib.Path or binary file
            The file; pixels are not read.

        Returns
        -------
        Header or None
            None where it is no DICOM file, no image (a DICOMDIR, a report), or its header is broken; `damaged` tells the last.
        """
        if isinstance(source, Path):
            try:
                with source.open("rb") as stream:
                    return self.read(stream)
            except OSError:
                self.damaged = True
                return None
        self.damaged = False
        try:
            if not is_dicom(source.read(132)):
                return None
            source.seek(0)
            with _quiet():
                tags = [*self._shared, *self._own]
                data = self._pydicom.dcmread(source, stop_before_pixels=True, specific_tags=tags)
                header = self._header(data)
                # A file that is cut off is parsed as far as it goes: an image without its size or series.
                self.damaged = header is None and str(data.file_meta.get("MediaStorageSOPClassUID", "")) in _IMAGES
                return header
        # A hostile header can raise nearly anything from inside a parser; whatever it was, this is no image to be used.
        except MemoryError:
            raise
        except Exception:
            self.damaged = True
            return None

    def _header(self, data: Any) -> Header | None:
        # Values as they stand in the file; their kind is part of them, since it may say how they are parsed.
        raw = [data.get_item(tag) for tag in self._shared]
        key = tuple(None if element is None else (element.VR, element.value) for element in raw)
        if key not in self._parsed:
            self._parsed[key] = _parsed(data)
        shared = self._parsed[key]
        if shared is None:
            return None
        instance, position, time = (_text(data.get_item(tag)) for tag in self._own)
        place = _floats(position.split("\\"), 3) if position else None
        return replace(shared, instance=instance, position=place, time=time or shared.time)


def _quiet() -> Any:
    """Keep pydicom's warnings about odd values from the user: they are no news in files of scanners."""
    import warnings

    return warnings.catch_warnings(action="ignore")


def _text(element: Any) -> str:
    """Text of an element that has not been parsed."""
    value = b"" if element is None else element.value
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip(" \0")
    return "\\".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _parsed(data: Any) -> Header | None:
    """Parse what the files of a series share."""
    rows, columns = int(data.get("Rows") or 0), int(data.get("Columns") or 0)
    series = str(data.get("SeriesInstanceUID") or "")
    if rows <= 0 or columns <= 0 or not series:
        return None
    private = data[_SIEMENS_OPTIONS].value if _SIEMENS_OPTIONS in data else ""
    if isinstance(private, bytes):
        private = private.decode("ascii", "replace")
    image_type = data.get("ImageType") or ()
    image_type = (image_type,) if isinstance(image_type, str) else image_type
    return Header(
        series=series,
        study=str(data.get("StudyInstanceUID") or ""),
        instance="",
        person=sha256(str(data.get("PatientID") or "").encode()).hexdigest(),
        description=header_text(data.get("SeriesDescription")) or "",
        image_type=tuple(str(value).upper() for value in image_type),
        options=str(private).upper(),
        number=int(data.get("SeriesNumber") or 0),
        time=str(data.get("SeriesTime") or ""),
        rows=rows,
        columns=columns,
        frames=max(int(data.get("NumberOfFrames") or 1), 1),
        bytes_a_pixel=max(int(data.get("BitsAllocated") or 16) // 8, 1) * max(int(data.get("SamplesPerPixel") or 1), 1),
        position=None,
        orientation=_floats(data.get("ImageOrientationPatient"), 6),
        spacing=_floats(data.get("PixelSpacing"), 2),
        facts=_facts(data),
    )


def _facts(data: Any) -> dict[str, Any]:
    found = {
        "manufacturer": header_text(data.get("Manufacturer")),
        "scanner": header_text(data.get("ManufacturerModelName")),
        "scanner_id": short_hash(data.get("DeviceSerialNumber")),
        "software": header_text(_listed(data.get("SoftwareVersions"))),
        "field_strength_t": _float(data.get("MagneticFieldStrength")),
        "repetition_time_ms": _float(data.get("RepetitionTime")),
        "echo_times_ms": echo_text([_float(data.get("EchoTime"))]),
        "flip_angle_deg": _float(data.get("FlipAngle")),
        "acquisition_month": month_of(data.get("AcquisitionDate") or data.get("StudyDate")),
    }
    return {fact: value for fact, value in found.items() if value is not None}


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else list(value)


def _float(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return round(number, 4) if np.isfinite(number) else None


def _floats(value: Sequence[Any] | None, count: int) -> tuple[float, ...] | None:
    if value is None or len(value) != count:
        return None
    numbers = tuple(float(v) for v in value)
    return numbers if np.isfinite(numbers).all() else None
