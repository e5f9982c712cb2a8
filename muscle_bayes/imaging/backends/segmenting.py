"""Label one scan and write its label map: what `segment` does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.backends.opening import open_backend
from muscle_bayes.imaging.scan_input import Images


def segment(
    images: Images,
    *,
    backend: str = "bundle",
    bundle: str | Path | None = None,
    model: str | Path | None = None,
    device: str | None = None,
    mirror: bool = True,
    uncertainty: bool | None = None,
    trust_bundle: bool = False,
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    **tool: Any,
) -> nib.Nifti1Image:
    """Label muscles, bone and subcutaneous fat in one scan.

    Parameters
    ----------
    images : pair, mapping, path or nibabel image
        Water and fat of a Dixon scan, as a pair or as {"water": ..., "fat": ...}; or a single contrast, alone or as
        {"image": ...}.
    backend : {"bundle", "nnunet", "totalsegmentator"}
        What labels: this project's networks, a trained nnU-Net v2 model, or TotalSegmentator where it is installed with weights.
        Finished label maps of other tools go straight to `quantify`.
    bundle : path, optional
        Root of a MONAI bundle; the project's own, whose weights were trained on simulated images only, where left out.
    model : path, optional
        Folder of a trained nnU-Net v2 model, or of TotalSegmentator's weights.
    device : str, optional
        "cpu", "cuda" or "mps"; the fastest that is there where left out. `extra["device"]` of the result says which it was.
    mirror : bool
        Average with the prediction of the mirrored image: slower, steadier borders.
    uncertainty : bool, optional
        Whether the label map carries the spread of its measures for `quantify`; where the bundle is calibrated if left out.
    trust_bundle : bool
        Let a bundle's configuration run code of its author, or nnU-Net open pickled checkpoints.
    out : path, optional
        Also write the label map (.nii.gz) with a JSON sidecar beside it.
    progress : callable, optional
        Told what labels, and on which device, before it begins.
    **tool
        command, scheme, folds, channels, task, contrast, timeout_s: of the tools, see
        `muscle_bayes.imaging.backends.open_backend`.

    Returns
    -------
    nibabel.Nifti1Image
        uint8 ids of `muscle_bayes.imaging.SCHEME` on the grid of the input; `extra` holds where they come from.

    Raises
    ------
    MissingDependencyError
        Where torch is not installed and a bundle is to be run.
    BundleError
        Where weights are missing (`MissingWeightsError`; nothing is downloaded), changed, or code or pickles would have to be
        trusted.
    BackendError
        Where a tool is not there, failed, took too long, or gave no labels on the grid of the image.
    ImageError
        Where images cannot be read or do not belong together.
    """
    opened = open_backend(
        backend,
        bundle=bundle,
        model=model,
        device=device,
        mirror=mirror,
        uncertainty=uncertainty,
        trust_bundle=trust_bundle,
        **tool,
    )
    if progress is not None:
        progress(opened.words)
    labels = opened(images)
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
