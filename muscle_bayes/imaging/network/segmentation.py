"""Images of a scan to a label map on their grid: what `segment` does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from muscle_bayes import __version__
from muscle_bayes.errors import ImageError, InvalidValueError
from muscle_bayes.imaging.fat_fraction import check_dixon_units, check_magnitude
from muscle_bayes.imaging.images import ImageSource, Volume, open_image, read_volume, require_same_grid
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.bundle import Bundle, read_bundle
from muscle_bayes.imaging.network.devices import choose_device, device_words, require_torch

#: Backends of `segment`; others give label maps, which `quantify` reads.
BACKENDS = ("bundle",)

type Images = ImageSource | tuple[ImageSource, ImageSource] | Mapping[str, ImageSource]


@dataclass(frozen=True)
class Segmenter:
    """Networks that are loaded once and label many scans.

    Attributes
    ----------
    bundle : Bundle
        Where they come from.
    networks : list of torch.nn.Module
        Members of the ensemble.
    hashes : list of str
        SHA-256 of their weights.
    device : torch.device
        Where they compute.
    """

    bundle: Bundle
    networks: list[Any]
    hashes: list[str]
    device: Any

    @classmethod
    def load(
        cls, bundle: str | Path | None = None, device: str | None = None, *, trust_bundle: bool = False
    ) -> "Segmenter":
        """Load a bundle's networks; arguments as in `segment`."""
        require_torch()
        read = read_bundle(bundle, trust=trust_bundle)
        chosen = choose_device(device)
        networks, hashes = read.networks(chosen)
        return cls(read, networks, hashes, chosen)

    def __call__(self, images: Images, *, mirror: bool = True) -> nib.Nifti1Image:
        """Label a scan; see `segment`."""
        from muscle_bayes.imaging.network.prediction import predict_labels

        sources = _by_role(images)
        volumes = _read(sources)
        first = volumes.get("water", volumes.get("image"))
        second = volumes.get("fat")
        assert first is not None  # _by_role let no other case pass
        labels = predict_labels(
            self.networks,
            first.data.astype(np.float32, copy=False),
            None if second is None else second.data.astype(np.float32, copy=False),
            first.spacing,
            self.device,
            mirror=mirror,
        )
        image = _on_input_grid(labels, first, next(iter(sources.values())))
        image.extra.update(
            {
                "backend": "bundle",
                "bundle": str(self.bundle.metadata.get("name", self.bundle.folder.name)),
                "bundle_version": str(self.bundle.metadata.get("version", "")),
                "weights_sha256": self.hashes,
                "trained_on": str(self.bundle.metadata.get("data_source", "not stated")),
                "inputs": {role: {"name": Path(v.name).name, "sha256": v.sha256} for role, v in volumes.items()},
                "orientation_known": first.orientation_known,
                "mirror": mirror,
                "device": device_words(self.device),
                "muscle_bayes": __version__,
                "torch": str(require_torch().__version__),
                "labels": {str(k): f"{s.name} {s.side}" if s.side != "both" else s.name for k, s in SCHEME.items()},
            }
        )
        return image


def segment(
    images: Images,
    *,
    backend: str = "bundle",
    bundle: str | Path | None = None,
    device: str | None = None,
    mirror: bool = True,
    trust_bundle: bool = False,
    out: str | Path | None = None,
) -> nib.Nifti1Image:
    """Label muscles, bone and subcutaneous fat in one scan.

    Parameters
    ----------
    images : pair, mapping, path or nibabel image
        Water and fat of a Dixon scan, as a pair or as {"water": ..., "fat": ...}; or a single contrast, alone or as
        {"image": ...}.
    backend : {"bundle"}
        What labels. Label maps of other tools go straight to `quantify`.
    bundle : path, optional
        Root of a MONAI bundle; the project's own, whose weights were trained on simulated images only, where left out.
    device : str, optional
        "cpu", "cuda" or "mps"; the fastest that is there where left out. `extra["device"]` of the result says which it was.
    mirror : bool
        Average with the prediction of the mirrored image: twice the time, steadier borders.
    trust_bundle : bool
        Let a bundle's configuration run code of its author.
    out : path, optional
        Also write the label map (.nii.gz) with a JSON sidecar beside it.

    Returns
    -------
    nibabel.Nifti1Image
        uint8 ids of `muscle_bayes.imaging.SCHEME` on the grid of the input; `extra` holds where they come from.

    Raises
    ------
    MissingDependencyError
        Where torch is not installed.
    BundleError
        Where weights are missing (nothing is downloaded), changed, or the bundle asks to run code.
    ImageError
        Where images cannot be read or do not belong together.
    """
    if backend not in BACKENDS:
        raise InvalidValueError(
            "backend",
            f"{backend!r} does not segment here",
            f"Choose {', '.join(BACKENDS)}; label maps of other tools are read by quantify (labels=)",
        )
    labels = Segmenter.load(bundle, device, trust_bundle=trust_bundle)(images, mirror=mirror)
    if out is not None:
        save_labels(labels, out)
    return labels


def save_labels(labels: nib.Nifti1Image, path: str | Path) -> dict[str, Path]:
    """Write a label map and its sidecar.

    Parameters
    ----------
    labels : nibabel.Nifti1Image
        From `segment`.
    path : path
        `.nii` or `.nii.gz`.

    Returns
    -------
    dict
        labels and sidecar -> path.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise InvalidValueError("out", f"{path.name!r} is not a NIfTI name", "End it with .nii.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(labels, path)
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    sidecar.write_text(json.dumps(dict(labels.extra), indent=2) + "\n", encoding="utf-8")
    return {"labels": path, "sidecar": sidecar}


def _by_role(images: Images) -> dict[str, ImageSource]:
    """Return role -> source."""
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


def _read(sources: Mapping[str, ImageSource]) -> dict[str, Volume]:
    volumes = {role: read_volume(source, role) for role, source in sources.items()}
    if "image" in volumes:
        check_magnitude(volumes["image"].data, volumes["image"].name)
        return volumes
    water, fat = volumes["water"], volumes["fat"]
    require_same_grid(water, fat)
    check_dixon_units(water.data, fat.data, water.name, fat.name)
    return volumes


def _on_input_grid(labels: NDArray[np.uint8], volume: Volume, source: ImageSource) -> nib.Nifti1Image:
    """Turn labels in RAS order back to the order of axes in which the image is stored."""
    image: SpatialImage = open_image(source, "image")[0]
    affine = image.affine if image.affine is not None else volume.affine
    stored = nib.orientations.io_orientation(affine)
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), stored)
    out = nib.Nifti1Image(np.ascontiguousarray(nib.orientations.apply_orientation(labels, turn)), affine)
    if isinstance(image.header, nib.Nifti1Header):
        for code in ("qform", "sform"):
            known = int(image.header[f"{code}_code"])
            getattr(out, f"set_{code}")(affine, code=known)
        out.header.set_xyzt_units(*image.header.get_xyzt_units())
    out.set_data_dtype(np.uint8)
    return out
