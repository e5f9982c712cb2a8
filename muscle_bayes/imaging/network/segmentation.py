"""Images of a scan to a label map on their grid, by the networks of a bundle."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from muscle_bayes import __version__
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.bundle import Bundle, read_bundle
from muscle_bayes.imaging.network.devices import choose_device, device_words, missed_card, require_torch
from muscle_bayes.imaging.network.normalisation import with_group_norms
from muscle_bayes.imaging.network.precision import PrecisionCheck, checked_precision
from muscle_bayes.imaging.network.samples import Array
from muscle_bayes.imaging.network.spread import carried_with
from muscle_bayes.imaging.scan_input import Images, images_by_role, on_input_grid, read_images
from muscle_bayes.imaging.spread import KEY


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
    precision : PrecisionCheck
        Number type of the networks, and how half the bits agreed with single precision on this device.
    """

    bundle: Bundle
    networks: list[Any]
    hashes: list[str]
    device: Any
    precision: PrecisionCheck = field(default_factory=lambda: PrecisionCheck("fp32", "fp32"))

    @classmethod
    def load(
        cls,
        bundle: str | Path | None = None,
        device: str | None = None,
        *,
        trust_bundle: bool = False,
        precision: str | None = None,
    ) -> "Segmenter":
        """Load a bundle's networks; arguments as in `open_backend`, and `precision` as in `checked_precision`."""
        require_torch()
        read = read_bundle(bundle, trust=trust_bundle)
        chosen = choose_device(device)
        networks, hashes = read.networks(chosen)
        if chosen.type == "cpu":
            networks = [with_group_norms(network) for network in networks]
        close_up = bool(read.metadata.get("close_up", False))
        checked = checked_precision(networks, hashes, chosen, precision, close_up=close_up)
        return cls(read, networks, hashes, chosen, checked)

    @property
    def words(self) -> str:
        """What labels, where and in which number type, for a log before the first scan."""
        metadata = self.bundle.metadata
        name = f"{metadata.get('name', self.bundle.folder.name)} {metadata.get('version', '')}".strip()
        weights = ", ".join(digest[:12] for digest in self.hashes)
        said = f"bundle {name} (weights {weights}) on {device_words(self.device)}; {self.precision.words}"
        missed = missed_card() if self.device.type == "cpu" else ""
        return f"{said}. {missed}" if missed else said

    def __call__(self, images: Images, *, mirror: bool = True, uncertainty: bool | None = None) -> nib.Nifti1Image:
        """Label a scan; see `segment`."""
        sources = images_by_role(images)
        volumes = read_images(sources)
        first = volumes.get("water", volumes.get("image"))
        second = volumes.get("fat")
        assert first is not None  # images_by_role let no other case pass
        record: dict[str, Any] = {}
        labels = self.predicted(
            self.networks,
            first.data.astype(np.float32, copy=False),
            None if second is None else second.data.astype(np.float32, copy=False),
            first.spacing,
            mirror=mirror,
            record=record,
        )
        began = time.perf_counter()
        spread = carried_with(self, first, second, labels, uncertainty)
        if spread is not None:
            record["seconds"]["uncertainty"] = round(time.perf_counter() - began, 4)
        image = on_input_grid(labels, first, next(iter(sources.values())))
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
                "precision": self.precision.recorded,
                "computation": record,
                "muscle_bayes": __version__,
                "torch": str(require_torch().__version__),
                "labels": {str(k): f"{s.name} {s.side}" if s.side != "both" else s.name for k, s in SCHEME.items()},
            }
        )
        if spread is not None:
            image.extra[KEY] = spread
        return image

    def predicted(
        self,
        networks: list[Any],
        first: Array,
        second: Array | None,
        spacing: tuple[float, float, float],
        *,
        mirror: bool,
        record: dict[str, Any] | None = None,
    ) -> NDArray[np.uint8]:
        """Label arrays by some of its networks; arguments as in `prediction.predict_labels`."""
        from muscle_bayes.imaging.network.prediction import predict_labels

        return predict_labels(
            networks,
            first,
            second,
            spacing,
            self.device,
            mirror=mirror,
            close_up=bool(self.bundle.metadata.get("close_up", False)),
            precision=self.precision.used,
            record=record,
        )
