"""Images of a scan to a label map on their grid, by the networks of a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from muscle_bayes import __version__
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.bundle import Bundle, read_bundle
from muscle_bayes.imaging.network.devices import choose_device, device_words, require_torch
from muscle_bayes.imaging.scan_input import Images, images_by_role, on_input_grid, read_images


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
        """Load a bundle's networks; arguments as in `open_backend`."""
        require_torch()
        read = read_bundle(bundle, trust=trust_bundle)
        chosen = choose_device(device)
        networks, hashes = read.networks(chosen)
        return cls(read, networks, hashes, chosen)

    def __call__(self, images: Images, *, mirror: bool = True) -> nib.Nifti1Image:
        """Label a scan; see `segment`."""
        from muscle_bayes.imaging.network.prediction import predict_labels

        sources = images_by_role(images)
        volumes = read_images(sources)
        first = volumes.get("water", volumes.get("image"))
        second = volumes.get("fat")
        assert first is not None  # images_by_role let no other case pass
        labels = predict_labels(
            self.networks,
            first.data.astype(np.float32, copy=False),
            None if second is None else second.data.astype(np.float32, copy=False),
            first.spacing,
            self.device,
            mirror=mirror,
            close_up=bool(self.bundle.metadata.get("close_up", False)),
        )
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
                "muscle_bayes": __version__,
                "torch": str(require_torch().__version__),
                "labels": {str(k): f"{s.name} {s.side}" if s.side != "both" else s.name for k, s in SCHEME.items()},
            }
        )
        return image
