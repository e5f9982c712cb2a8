"""Read images for measurement: one three-dimensional volume, in RAS order, with its hash."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from nibabel.wrapstruct import WrapStructError

from muscle_bayes.errors import (
    CorruptImageError,
    EmptyImageError,
    GridMismatchError,
    ImageDimensionError,
    ImageError,
    ImageUnitsError,
    LabelSchemeError,
)
from muscle_bayes.imaging.orientation import canonical, orientation_known

type ImageSource = str | Path | SpatialImage | Volume

#: Two grids are the same where no corner lies further apart than this share of a voxel.
GRID_TOLERANCE_VOXEL = 0.05

_RESAMPLE = "Resample one onto the other (labels with nearest neighbour), or give the files of one acquisition"


@dataclass(frozen=True, eq=False)
class Volume:
    """One image in memory.

    Attributes
    ----------
    data : ndarray (nx, ny, nz)
        Values; the axes run to the person's right, front and head (RAS).
    affine : ndarray (4, 4)
        Voxel index to millimetres of the scanner, for `data` as it is here.
    name : str
        The file, or the role of an image that came without one.
    sha256 : str
        Hash of the file, or of the array and affine of an image without one.
    orientation_known : bool
        False where the header has no orientation and left and right are nibabel's guess.
    stored : tuple, optional
        Affine and header of the image as it is stored, whose axes may run otherwise; a result goes back to that order.
    """

    data: np.ndarray
    affine: np.ndarray
    name: str
    sha256: str
    orientation_known: bool = True
    stored: tuple[np.ndarray | None, Any] | None = None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel from the affine's determinant, which holds for oblique and sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


def says_simulated(source: ImageSource) -> bool:
    """Say whether an image's own header says that it is a phantom.

    Parameters
    ----------
    source : path, nibabel image or Volume
        A file is opened for its header only.

    Returns
    -------
    bool
    """
    if isinstance(source, Volume):
        header = source.stored[1] if source.stored is not None else None
    else:
        image = nib.load(source) if isinstance(source, str | Path) else source
        header = getattr(image, "header", None)
    described = header.get("descrip", b"") if isinstance(header, nib.Nifti1Header) else b""
    return b"simulated" in bytes(described)


def read_volume(source: ImageSource, role: str) -> Volume:
    """Read a signal image.

    Parameters
    ----------
    source : path, nibabel image or Volume
        NIfTI (or anything nibabel reads), three-dimensional; a fourth axis of length 1 is dropped. What has been read already
        is taken as it is, so that steps that need the same image read it once.
    role : str
        What the image is ("water", "fat", "image"); the name of an image that has no file.

    Returns
    -------
    Volume
        float32; values that are not finite are set to 0, which is no signal.

    Raises
    ------
    ImageError
        `CorruptImageError`, `ImageDimensionError`, `ImageUnitsError` or `EmptyImageError`.
    """
    if isinstance(source, Volume):
        return source
    image, name, sha256 = open_image(source, role)
    with _unreadable(name):
        dtype = image.get_data_dtype()
        if dtype.fields is not None or np.issubdtype(dtype, np.complexfloating):
            raise ImageUnitsError(
                where=name,
                problem=f"{role} is stored as {_kind(dtype)}, which has no single magnitude per voxel",
                remedy="Give the magnitude image as integers or floats",
            )
        data = image.get_fdata(dtype=np.float32, caching="unchanged")
    data, affine = canonical(data, image, name, role)
    # Whole numbers are finite, unless the header's scaling is not.
    finite = np.isfinite(data[:1, :1, :1] if np.issubdtype(dtype, np.integer) and _plainly_scaled(image) else data)
    if not finite.any():
        raise EmptyImageError(
            where=name,
            problem=f"{role} holds no finite value: every voxel is not-a-number or infinite",
            remedy="Export the series again; a failed reconstruction writes such files",
        )
    if not finite.all():
        data = np.where(finite, data, np.float32(0))
    if not data.any():
        raise EmptyImageError(
            where=name,
            problem=f"{role} is zero everywhere",
            remedy="Export the series again; a fraction between 0 and 1 stored as an integer also becomes zero",
        )
    return Volume(data, affine, name, sha256, orientation_known(image), (image.affine, image.header))


def read_volumes(sources: Mapping[str, ImageSource]) -> dict[str, Volume]:
    """Read the signal images of a scan side by side: most of it is decompression, which threads share.

    Parameters
    ----------
    sources : mapping
        role -> path, nibabel image or Volume.

    Returns
    -------
    dict
        role -> Volume, in the order given.

    Raises
    ------
    ImageError
        As `read_volume`, of the first image that cannot be read.
    """
    with ThreadPoolExecutor(max(len(sources), 1)) as pool:
        return dict(zip(sources, pool.map(lambda role: read_volume(sources[role], role), sources), strict=True))


def read_labels(source: ImageSource, role: str = "labels") -> Volume:
    """Read a label map, whatever number type it is stored in.

    Parameters
    ----------
    source : path or nibabel image
        Label map; floats are accepted where they are whole numbers.
    role : str
        Name of an image that has no file.

    Returns
    -------
    Volume
        int32 data.

    Raises
    ------
    LabelSchemeError
        Where values are not whole numbers of at least 0, or no voxel is labelled.
    ImageError
        As in `read_volume`.
    """
    return label_volume(*open_image(source, role), role)


def label_volume(image: SpatialImage, name: str, sha256: str, role: str = "labels", *, empty: bool = False) -> Volume:
    """Check and read the label map of an opened image.

    Parameters
    ----------
    image, name, sha256
        From `open_image`.
    role : str
        What the image is, for messages.
    empty : bool
        Whether a map without any label is let through, such as the mask of a class that is not in view.

    Returns
    -------
    Volume
        int32 data.

    Raises
    ------
    ImageError
        As in `read_labels`.
    """
    if any(size > 1 for size in image.shape[3:]):
        raise ImageDimensionError(
            where=name,
            problem=f"{role} has the shape {' x '.join(map(str, image.shape))}: a volume for each class (one-hot or "
            "probabilities) or time point does not say which label a voxel has",
            remedy="Save one three-dimensional label map; of class probabilities the most probable class (argmax)",
        )
    with _unreadable(name):
        values = np.asanyarray(image.dataobj)
    if values.dtype.fields is not None or np.iscomplexobj(values):
        raise LabelSchemeError(
            where=name,
            problem=f"labels are stored as {_kind(values.dtype)}",
            remedy="Save the label map as integers, one id a structure",
        )
    if np.issubdtype(values.dtype, np.floating):
        if not np.isfinite(values).all() or np.abs(values - np.rint(values)).max() > 1e-3:
            raise LabelSchemeError(
                where=name,
                problem="label values are not whole numbers, as after resampling with interpolation",
                remedy="Resample label maps with nearest neighbour, or give the original map",
            )
        values = np.rint(values)
    if values.min() < 0 or values.max() > np.iinfo(np.int32).max:
        raise LabelSchemeError(
            where=name,
            problem=f"label values run from {values.min():g} to {values.max():g}; ids are whole numbers of at least 0",
            remedy="Give a label map, not an image",
        )
    if not empty and not values.any():
        raise LabelSchemeError(
            where=name, problem="no voxel is labelled", remedy="Give the label map that belongs to this image"
        )
    data, affine = canonical(values.astype(np.int32), image, name, role)
    return Volume(data, affine, name, sha256, orientation_known(image))


def require_same_grid(first: Volume, second: Volume, remedy: str = _RESAMPLE) -> None:
    """Raise unless two volumes lie on the same grid.

    Parameters
    ----------
    first, second : Volume
        Volumes that are measured together.
    remedy : str
        What to do about a difference.

    Raises
    ------
    GridMismatchError
        Naming both files and how they differ.
    """
    where = f"{first.name} and {second.name}"
    if first.data.shape != second.data.shape:
        shapes = [" x ".join(map(str, volume.data.shape)) for volume in (first, second)]
        raise GridMismatchError(
            where=where, problem=f"they lie on different grids: {shapes[0]} against {shapes[1]} voxels", remedy=remedy
        )
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in first.data.shape], [1], indexing="ij")).reshape(4, -1)
    apart_mm = float(np.linalg.norm(((first.affine - second.affine) @ corners)[:3], axis=0).max())
    if apart_mm > GRID_TOLERANCE_VOXEL * min(first.spacing):
        raise GridMismatchError(
            where=where,
            problem=f"they have the same shape but lie up to {apart_mm:.2f} mm apart "
            f"(voxels of {_triple(first.spacing)} and {_triple(second.spacing)} mm)",
            remedy=remedy,
        )


def open_image(source: ImageSource, role: str) -> tuple[SpatialImage, str, str]:
    """Open an image.

    Parameters
    ----------
    source : path or nibabel image
        NIfTI, or anything nibabel reads.
    role : str
        What the image is; the name of an image that has no file.

    Returns
    -------
    image : nibabel image
        Its data are not read yet.
    name : str
        The file, or the role.
    sha256 : str
        Hash of the file, or of the array and affine of an image without one.

    Raises
    ------
    ImageError
        Where there is no such file, or `CorruptImageError` where it is damaged.
    """
    if isinstance(source, Volume):
        return nib.Nifti1Image(source.data, source.affine), source.name, source.sha256
    if isinstance(source, SpatialImage):
        name = str(source.get_filename() or role)
        if nib.is_proxy(source.dataobj) and Path(name).is_file():
            # Values are still in the file, so its checksum is looked at here as well.
            with _unreadable(name):
                content = Path(name).read_bytes()
                _uncompressed(content)
            return source, name, hashlib.sha256(content).hexdigest()
        with _unreadable(name):
            return source, name, _array_sha256(source)
    path = Path(source)
    if not path.is_file():
        problem = "is a folder, not an image file" if path.is_dir() else "no such file"
        raise ImageError(where=f"{path} ({role})", problem=problem, remedy="Check the path")
    with _unreadable(str(path)):
        content = path.read_bytes()
        image = _parsed(path, content)
    if not isinstance(image, SpatialImage):
        raise ImageDimensionError(
            where=str(path),
            problem=f"{type(image).__name__} is not a volume",
            remedy="Give a NIfTI image (.nii, .nii.gz)",
        )
    return image, str(path), hashlib.sha256(content).hexdigest()


def _uncompressed(content: bytes) -> bytes:
    """Content of a file that may be gzip.

    nibabel stops reading after the last voxel and never sees the checksum behind it, so damage would pass as signal; here
    all is decompressed, which checks it.
    """
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def _parsed(path: Path, content: bytes) -> object:
    """Image of a file's content."""
    raw = _uncompressed(content)
    sizes = {int.from_bytes(raw[:4], "little"), int.from_bytes(raw[:4], "big")}
    if path.name.endswith((".nii", ".nii.gz")):
        if 348 in sizes:
            return nib.Nifti1Image.from_bytes(raw)
        if 540 in sizes:
            return nib.Nifti2Image.from_bytes(raw)
        raise ImageFileError("no NIfTI header")
    return nib.load(path)


@contextmanager
def _unreadable(name: str) -> Iterator[None]:
    """Turn whatever a broken file raises into `CorruptImageError`."""
    try:
        yield
    except (ImageFileError, HeaderDataError, WrapStructError, EOFError, zlib.error, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorruptImageError(
            where=name,
            problem=f"cannot be read as an image ({type(error).__name__}: {reason[:200]})",
            remedy="Copy or export the file again; gzip files can be checked with `gzip -t`",
        ) from error


def _plainly_scaled(image: SpatialImage) -> bool:
    """Whether whole numbers stay finite: stored without scaling, or scaled by numbers that are not huge."""
    return all(abs(getattr(image.dataobj, name, 0.0)) < 1e30 for name in ("slope", "inter"))


def _array_sha256(image: SpatialImage) -> str:
    digest = hashlib.sha256(b"" if image.affine is None else np.asarray(image.affine, dtype=np.float64).tobytes())
    digest.update(np.asfortranarray(np.asanyarray(image.dataobj)).tobytes(order="F"))
    return digest.hexdigest()


def _kind(dtype: np.dtype) -> str:
    return "colour" if dtype.fields is not None else "complex numbers"


def _triple(spacing: tuple[float, float, float]) -> str:
    return " x ".join(f"{value:g}" for value in spacing)
