"""One DICOM series to one NIfTI volume, by dcm2niix.

dcm2niix is called with a list of arguments (no shell), on a folder of ours that holds the files of one contrast of one series
under numbers for names, with a time limit, and without its settings file. What it wrote is compared with the headers.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from muscle_bayes.errors import ConversionError, MissingDependencyError
from muscle_bayes.imaging.deliveries.headers import Header

#: Seconds for one series; a whole-body series takes under 2.
TIMEOUT_S = 300.0
#: A series may declare this many bytes of pixels; the largest MR volumes have under 1 GiB.
MAX_PIXEL_BYTES = 4 << 30
#: Slice distances within a series may differ by this share.
_EVEN = 0.02


def dcm2niix_path() -> str:
    """Return where the program dcm2niix is: that of the Python package, else that on the path.

    Returns
    -------
    str
        Path of the program.

    Raises
    ------
    MissingDependencyError
        Where there is none.
    """
    try:
        import dcm2niix

        if Path(dcm2niix.bin).is_file():
            return str(dcm2niix.bin)
    except ImportError:
        pass
    found = shutil.which("dcm2niix")
    if found is None:
        raise MissingDependencyError("dcm2niix", "DICOM deliveries need it", "Install muscle-bayes[scans]")
    return found


def check_slices(headers: Sequence[Header], where: str) -> None:
    """Raise where the files of a series cannot be one volume of evenly spaced slices.

    Parameters
    ----------
    headers : sequence of Header
        Of the files.
    where : str
        Whose and which series, for messages.

    Raises
    ------
    ConversionError
        Naming what is wrong: sizes, orientation, a slice that is missing or twice there, sizes no image has.
    """
    first = headers[0]
    pixels = sum(h.rows * h.columns * h.frames * h.bytes_a_pixel for h in headers)
    if pixels > MAX_PIXEL_BYTES:
        raise ConversionError(
            where,
            f"Its headers declare {pixels / (1 << 30):.1f} GiB of pixels",
            "Fetch the series again; headers are wrong",
        )
    if len({(h.rows, h.columns) for h in headers}) > 1:
        sizes = sorted({f"{h.columns} x {h.rows}" for h in headers})
        raise ConversionError(
            where, f"Its slices have different sizes ({', '.join(sizes)})", "Deliver one series a scan"
        )
    if any(h.frames > 1 for h in headers):
        if len(headers) > 1:
            raise ConversionError(
                where, f"{len(headers)} multi-frame files have one series identifier", "Deliver one file a contrast"
            )
        return
    if len(headers) < 2:
        raise ConversionError(where, "It has one slice, which is no volume", "Deliver all slices of the series")
    if any(h.position is None or h.orientation is None for h in headers):
        raise ConversionError(
            where,
            "A slice does not say where it lies (image position, orientation)",
            "Deliver the original DICOM files",
        )
    orientations = np.array([h.orientation for h in headers])
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise ConversionError(where, "Its slices have different orientations", "Deliver one series a scan")
    normal = np.cross(np.array(first.orientation)[:3], np.array(first.orientation)[3:])
    heights = np.sort(np.array([h.position for h in headers]) @ normal)
    steps = np.diff(heights)
    usual = float(np.median(steps))
    if (steps < 0.1 * max(usual, 1e-3)).any() or usual < 1e-3:
        at = float(heights[int(np.argmin(steps))])
        raise ConversionError(
            where,
            f"A slice is there twice (at {at:.1f} mm): two acquisitions or contrasts have one series identifier",
            "Deliver them as separate series",
        )
    if np.abs(steps - usual).max() > _EVEN * usual + 1e-3:
        k = int(np.argmax(np.abs(steps - usual)))
        raise ConversionError(
            where,
            f"Slices are missing or uneven: {steps[k]:.1f} mm between two slices at {heights[k]:.0f} mm, {usual:.1f} elsewhere",
            "Deliver all slices of the series",
        )


def convert_series(
    folder: Path, out: Path, headers: Sequence[Header], where: str, *, timeout_s: float = TIMEOUT_S
) -> Path:
    """Convert the DICOM files of a folder to one NIfTI file.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the files of one contrast of one series, and nothing else.
    out : pathlib.Path
        Empty folder to write to.
    headers : sequence of Header
        Of the files, after `check_slices`.
    where : str
        Whose and which series, for messages.
    timeout_s : float
        After so many seconds it is stopped.

    Returns
    -------
    pathlib.Path
        The volume, not compressed.

    Raises
    ------
    ConversionError
        Where dcm2niix fails, takes too long, or makes anything but one volume of the size that the headers state.
    """
    # -g i: no settings file of the user; -x i: neither cropped nor turned; -ba y: no name or date in the sidecar.
    arguments = ["-g", "i", "-b", "n", "-ba", "y", "-z", "n", "-x", "i", "-m", "2", "-d", "0", "-w", "2"]
    command = [dcm2niix_path(), *arguments, "-f", "volume", "-o", str(out), str(folder)]
    keep = {
        name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ
    }
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=out,
            env={**keep, "HOME": str(out), "LC_ALL": "C"},
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConversionError(
            where, f"dcm2niix did not finish within {timeout_s:g} s", "Convert the series by hand to see why"
        ) from error
    made = sorted(out.glob("*.nii"))
    if len(made) != 1:
        said = _last_words(done.stdout.decode("utf-8", "replace"))
        problem = f"dcm2niix made {len(made)} volumes of it" if made else "dcm2niix could not convert it"
        raise ConversionError(
            where, f"{problem} ({said})", "Deliver one complete series a contrast, as the scanner wrote it"
        )
    try:
        image = nib.load(made[0])
        shape = image.shape  # type: ignore[attr-defined]
    except (ImageFileError, OSError, ValueError) as error:
        raise ConversionError(
            where, f"dcm2niix made a file that is no NIfTI ({error})", "Fetch the series again"
        ) from error
    slices = headers[0].frames if headers[0].frames > 1 else len(headers)
    expected = (headers[0].columns, headers[0].rows, slices)
    if tuple(shape) != expected:
        raise ConversionError(
            where,
            f"dcm2niix made a volume of {' x '.join(map(str, shape))}, the headers state {' x '.join(map(str, expected))}",
            "Deliver one complete series a contrast, as the scanner wrote it",
        )
    return made[0]


def _last_words(text: str) -> str:
    """Return what dcm2niix said was wrong, without paths."""
    lines = [
        line
        for line in text.splitlines()
        if any(w in line.lower() for w in ("error", "warning", "unable", "unsupported"))
    ]
    chosen = lines[-1] if lines else "it said nothing about it"
    return " ".join(word for word in chosen.split() if "/" not in word)[:160]
