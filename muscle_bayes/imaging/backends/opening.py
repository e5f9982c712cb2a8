"""Open a backend by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import nibabel as nib

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.backends.command import Command
from muscle_bayes.imaging.label_schemes import Scheme
from muscle_bayes.imaging.scan_input import Images

if TYPE_CHECKING:
    from muscle_bayes.imaging.network.segmentation import Segmenter

#: What `segment` can label with; finished label maps and the hull of limbs are read and made by `quantify`.
BACKENDS = ("bundle", "nnunet", "totalsegmentator")


class Backend(Protocol):
    """Something that labels scans, opened once for many."""

    @property
    def name(self) -> str:
        """One of `BACKENDS`."""

    @property
    def weights_sha256(self) -> list[str]:
        """SHA-256 of every file of weights."""

    @property
    def device(self) -> str:
        """Where it computes."""

    @property
    def words(self) -> str:
        """What labels and where, for a log before the first scan."""

    def __call__(self, images: Images) -> nib.Nifti1Image:
        """Label a scan: ids of `muscle_bayes.imaging.SCHEME` on the grid of the input, where they come from in `extra`."""


class BundleBackend:
    """The project's networks, or those of a bundle of the user's.

    Parameters
    ----------
    segmenter : Segmenter
        Loaded networks.
    mirror : bool
        Average with the prediction of the mirrored image.
    uncertainty : bool, optional
        Whether label maps carry the spread of their measures, as in `open_backend`.
    """

    name = "bundle"

    def __init__(self, segmenter: "Segmenter", *, mirror: bool = True, uncertainty: bool | None = None) -> None:
        self.segmenter, self.mirror, self.uncertainty = segmenter, mirror, uncertainty

    @property
    def weights_sha256(self) -> list[str]:
        """SHA-256 of every member's weights."""
        return self.segmenter.hashes

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self.segmenter.device)

    @property
    def words(self) -> str:
        """What labels, where and in which number type."""
        return self.segmenter.words

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the bundle says of itself."""
        return self.segmenter.bundle.metadata

    def __call__(self, images: Images) -> nib.Nifti1Image:
        """Label a scan."""
        return self.segmenter(images, mirror=self.mirror, uncertainty=self.uncertainty)


def open_backend(
    name: str = "bundle",
    *,
    bundle: str | Path | None = None,
    model: str | Path | None = None,
    device: str | None = None,
    trust_bundle: bool = False,
    mirror: bool = True,
    uncertainty: bool | None = None,
    command: Command | None = None,
    scheme: Scheme | str | Path | None = None,
    folds: Sequence[int | str] | None = None,
    channels: Sequence[str] | None = None,
    task: str = "total_mr",
    contrast: str = "water",
    timeout_s: float = 3600.0,
) -> Backend:
    """Open what labels scans; nothing is ever downloaded.

    Parameters
    ----------
    name : {"bundle", "nnunet", "totalsegmentator"}
        Which backend.
    bundle : path, optional
        `bundle`: root of a MONAI bundle; the project's own, whose weights were trained on simulated images only, where left out.
    model : path, optional
        `nnunet`: folder of a trained nnU-Net v2 model (dataset.json, plans.json, fold_*/checkpoint_final.pth).
        `totalsegmentator`: folder of its weights; where it looks for them itself where left out.
    device : str, optional
        "cpu", "cuda", "cuda:N" or "mps"; the fastest that is there where left out.
    trust_bundle : bool
        Let a bundle's configuration run code of its author, or nnU-Net open checkpoints, which are Python pickles.
    mirror : bool
        `bundle`, `nnunet`: average with predictions of mirrored images.
    uncertainty : bool, optional
        `bundle`: whether label maps carry the spread of their measures, from which `quantify` fills SDs and covariance; costs three
        passes over a third of the slices. Left out: where the bundle holds a calibration of its weights and images are a Dixon
        pair.
    command : str, path or sequence of str, optional
        `nnunet`, `totalsegmentator`: the tool's command, in whatever environment it is installed;
        `nnUNetv2_predict_from_modelfolder` or `TotalSegmentator` on the PATH where left out.
    scheme : mapping, str or path, optional
        `nnunet`: what its ids mean, as in `quantify`; by the names in dataset.json where left out.
    folds : sequence of int or str, optional
        `nnunet`: which folds predict; all that are there where left out.
    channels : sequence of str, optional
        `nnunet`: what its channels are (water, fat, in_phase, opposed_phase, fat_fraction, image), where their names do not say it.
    task : {"total_mr", "thigh_shoulder_muscles_mr"}
        `totalsegmentator`: what it labels.
    contrast : {"water", "in_phase"}
        `totalsegmentator`: what it sees of a Dixon pair.
    timeout_s : float
        `nnunet`, `totalsegmentator`: time limit for a scan.

    Returns
    -------
    Backend

    Raises
    ------
    InvalidValueError
        Where there is no such backend, or an argument belongs to another one.
    MissingWeightsError
        Where weights are missing.
    BundleError
        Where weights changed, or code or pickles would have to be trusted.
    BackendError
        Where a tool is not installed or is not one that is known.
    MissingDependencyError
        `bundle`: where torch is not installed.
    """
    if name not in BACKENDS:
        raise InvalidValueError(
            "backend",
            f"{name!r} does not segment here",
            f"Choose {', '.join(BACKENDS)}; label maps of other tools are read by quantify (labels=)",
        )
    foreign = {
        "bundle": (bundle is not None, ("bundle",)),
        "uncertainty": (bool(uncertainty), ("bundle",)),
        "model": (model is not None, ("nnunet", "totalsegmentator")),
        "command": (command is not None, ("nnunet", "totalsegmentator")),
        "scheme": (scheme is not None, ("nnunet",)),
        "folds": (folds is not None, ("nnunet",)),
        "channels": (channels is not None, ("nnunet",)),
    }
    for argument, (given, owners) in foreign.items():
        if given and name not in owners:
            raise InvalidValueError(argument, f"the backend {name} has no {argument}", f"It is for {', '.join(owners)}")
    if name == "nnunet":
        from muscle_bayes.imaging.backends.nnunet import NnunetBackend

        return NnunetBackend.load(
            model,
            command=command,
            device=device,
            trust=trust_bundle,
            folds=folds,
            channels=channels,
            scheme=scheme,
            mirror=mirror,
            timeout_s=timeout_s,
        )
    if name == "totalsegmentator":
        from muscle_bayes.imaging.backends.totalsegmentator import TotalSegmentatorBackend

        return TotalSegmentatorBackend.load(
            model, command=command, device=device, task=task, contrast=contrast, timeout_s=timeout_s
        )
    from muscle_bayes.imaging.network.segmentation import Segmenter

    segmenter = Segmenter.load(bundle, device, trust_bundle=trust_bundle)
    return BundleBackend(segmenter, mirror=mirror, uncertainty=uncertainty)
