"""Images to another tool and its label map back, as NIfTI files on one grid."""

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialHeader

from muscle_bayes.errors import BackendError, GridMismatchError, ImageError
from muscle_bayes.imaging.images import Volume, label_volume, open_image, require_same_grid


def write_input(volume: Volume, path: Path, factor: float = 1.0) -> None:
    """Write an image for another tool.

    Parameters
    ----------
    volume : Volume
        Signals in RAS order.
    path : path
        NIfTI file to write, float32.
    factor : float
        What the signals are multiplied by.
    """
    image = nib.Nifti1Image((volume.data * np.float32(factor)).astype(np.float32), volume.affine)
    image.set_qform(volume.affine, code=1)
    image.set_sform(volume.affine, code=1)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def read_output(path: Path, grid: Volume, tool: str, said: str) -> tuple[Volume, SpatialHeader]:
    """Read the label map that a tool wrote.

    Parameters
    ----------
    path : path
        Where it should be.
    grid : Volume
        The image that was written for the tool.
    tool : str
        Name for messages.
    said : str
        Its last words, for messages.

    Returns
    -------
    labels : Volume
        int32 ids; they may all be 0.
    header : nibabel header
        With the class names, where the tool writes them.

    Raises
    ------
    BackendError
        Where there is no label map, it cannot be read, or it lies on another grid.
    """
    if not path.is_file():
        raise BackendError(
            where=tool,
            problem=f"it ended without an error and without a label map ({path.name}); its last words: {said}",
            remedy="Run it by hand on this scan",
        )
    try:
        image, name, sha256 = open_image(path, "labels")
        labels = label_volume(image, name, sha256, empty=True)
        require_same_grid(grid, labels)
    except GridMismatchError as error:
        raise BackendError(
            where=tool,
            problem=f"its label map does not lie on the grid of the image: {error.problem}",
            remedy="Run it by hand, and give its label map to quantify with resample_labels=True",
        ) from error
    except ImageError as error:
        raise BackendError(tool, f"its label map cannot be used: {error.problem}", error.remedy) from error
    return labels, image.header


def sha256_of_large(path: Path) -> str:
    """Return the SHA-256 of a file that may be larger than the memory.

    Parameters
    ----------
    path : path
        Any file.

    Returns
    -------
    str
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
