"""Images of a scan that is to be labelled: told apart by role, read and checked, and labels brought back to their grid."""

from collections.abc import Mapping

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from muscle_bayes.errors import ImageError
from muscle_bayes.imaging.fat_fraction import check_dixon_units, check_magnitude
from muscle_bayes.imaging.images import ImageSource, Volume, open_image, read_volumes, require_same_grid
from muscle_bayes.imaging.uncertainty import label_fingerprint

type Images = ImageSource | tuple[ImageSource, ImageSource] | Mapping[str, ImageSource]


def images_by_role(images: Images) -> dict[str, ImageSource]:
    """Tell the images of a scan apart.

    Parameters
    ----------
    images : pair, mapping, path or nibabel image
        Water and fat as a pair or by name; or a single contrast, alone or as {"image": ...}.

    Returns
    -------
    dict
        water and fat, or image -> source.

    Raises
    ------
    ImageError
        Where they do not make a scan.
    """
    if isinstance(images, Mapping):
        given = {role: source for role, source in images.items() if source is not None}
    elif isinstance(images, tuple | list):
        if len(images) != 2:
            raise ImageError("images", f"{len(images)} images are given", "Give (water, fat), or one image")
        given = {"water": images[0], "fat": images[1]}
    else:
        given = {"image": images}
    if set(given) not in ({"water", "fat"}, {"image"}):
        raise ImageError(
            "images", f"the roles {sorted(given)} do not make a scan", "Give water and fat together, or image alone"
        )
    return {role: given[role] for role in ("water", "fat", "image") if role in given}


def read_images(sources: Mapping[str, ImageSource]) -> dict[str, Volume]:
    """Read the images of a scan.

    Parameters
    ----------
    sources : mapping
        From `images_by_role`.

    Returns
    -------
    dict
        role -> Volume in RAS order, all on one grid.

    Raises
    ------
    ImageError
        Where an image cannot be read, is no magnitude, or lies on another grid.
    """
    volumes = read_volumes(sources)
    if "image" in volumes:
        check_magnitude(volumes["image"].data, volumes["image"].name)
        return volumes
    water, fat = volumes["water"], volumes["fat"]
    require_same_grid(water, fat)
    check_dixon_units(water.data, fat.data, water.name, fat.name)
    return volumes


def on_input_grid(labels: NDArray[np.uint8], volume: Volume, source: ImageSource) -> nib.Nifti1Image:
    """Turn labels in RAS order back to the order of axes in which an image is stored.

    Parameters
    ----------
    labels : (nx, ny, nz) uint8
        On the grid of `volume`.
    volume : Volume
        The image as it was read.
    source : path, nibabel image or Volume
        Where it was read from.

    Returns
    -------
    nibabel.Nifti1Image
        uint8, with the affine, codes and units of the image; `extra["labels_sha256"]` is the hash by which `quantify` knows later
        that these are still the labels that were given.
    """
    if volume.stored is not None:
        affine, header = volume.stored
    else:
        image: SpatialImage = open_image(source, "image")[0]
        affine, header = image.affine, image.header
    affine = volume.affine if affine is None else affine
    stored = nib.orientations.io_orientation(affine)
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), stored)
    out = nib.Nifti1Image(np.asfortranarray(nib.orientations.apply_orientation(labels, turn)), affine)
    if isinstance(header, nib.Nifti1Header):
        for code in ("qform", "sform"):
            known = int(header[f"{code}_code"])
            getattr(out, f"set_{code}")(affine, code=known)
        out.header.set_xyzt_units(*header.get_xyzt_units())
    out.set_data_dtype(np.uint8)
    out.extra["labels_sha256"] = label_fingerprint(labels)
    return out
