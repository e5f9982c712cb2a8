"""Axes of an image in one order, to the person's right, front and head (RAS)."""

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage

from muscle_bayes.errors import ImageDimensionError

_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}


def canonical(data: np.ndarray, image: SpatialImage, name: str, role: str) -> tuple[np.ndarray, np.ndarray]:
    """Drop a fourth axis of length 1 and bring the axes to RAS order.

    Parameters
    ----------
    data : ndarray
        Values in the order in which they are stored.
    image : nibabel image
        With the affine and the unit of length.
    name, role : str
        File and what it is, for messages.

    Returns
    -------
    data : ndarray (nx, ny, nz)
        The axes run to the person's right, front and head.
    affine : ndarray (4, 4)
        Of `data`, in millimetres.

    Raises
    ------
    ImageDimensionError
        Where it is not one volume, or a voxel has no volume.
    """
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3 or 0 in data.shape:
        shape = " x ".join(map(str, image.shape))
        raise ImageDimensionError(
            where=name,
            problem=f"{role} has the shape {shape}; one three-dimensional volume is needed",
            remedy="Split the series into one file a contrast" if data.ndim > 3 else "Give the whole stack",
        )
    # An image made without an affine has one in its header, which nibabel makes up.
    affine = image.affine if image.affine is not None else image.header.get_best_affine()
    usable = affine is not None and np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9
    if not usable:
        raise ImageDimensionError(
            where=name,
            problem="the affine is singular or not finite, so a voxel has no volume",
            remedy="Convert the series from DICOM again (dcm2niix)",
        )
    # Formats other than NIfTI are in millimetres and have no such field.
    unit = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "mm"
    affine = np.diag([_MILLIMETRES.get(unit, 1.0)] * 3 + [1.0]) @ affine
    turn = nib.orientations.io_orientation(affine)
    return (
        nib.orientations.apply_orientation(data, turn),
        affine @ nib.orientations.inv_ornt_aff(turn, data.shape),
    )


def orientation_known(image: SpatialImage) -> bool:
    """Return whether the header says how the patient lay; else left and right are nibabel's guess."""
    if not isinstance(image.header, nib.Nifti1Header):
        return True
    return bool(image.header["qform_code"] > 0 or image.header["sform_code"] > 0)
