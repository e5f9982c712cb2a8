"""Read a MONAI bundle as data: what its network is, where its weights are, and what they were trained on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscle_bayes.errors import BundleError
from muscle_bayes.imaging.network.architecture import N_CLASSES, build_network
from muscle_bayes.imaging.network.preprocessing import CHANNELS
from muscle_bayes.imaging.network.weights import load_weights
from muscle_bayes.resources import data_folder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Bundle:
    """A bundle, read without running anything of it.

    Attributes
    ----------
    folder : path
        Its root.
    metadata : mapping
        `configs/metadata.json`.
    network_def : mapping
        Of `configs/inference.json`.
    weights : tuple of (path, str or None)
        Files of the ensemble's members, and the SHA-256 that the metadata state.
    trusted : bool
        Whether the configuration may compute.
    """

    folder: Path
    metadata: Mapping[str, Any]
    network_def: Mapping[str, Any]
    weights: tuple[tuple[Path, str | None], ...]
    trusted: bool = False

    @property
    def sha256(self) -> str:
        """The SHA-256 of the first member as stated; the sidecar lists all."""
        return self.weights[0][1] or ""

    def networks(self, device: "torch.device") -> tuple[list["torch.nn.Module"], list[str]]:
        """Return the members on a device, and the SHA-256 of each file that was read."""
        networks, hashes = [], []
        for path, sha256 in self.weights:
            network = self._network()
            hashes.append(load_weights(network, path, sha256))
            networks.append(network.to(device).eval())
        return networks, hashes

    def _network(self) -> "torch.nn.Module":
        if not self.trusted:
            return build_network(self.network_def, str(self.folder / "configs" / "inference.json"))
        from monai.bundle import ConfigParser

        parser = ConfigParser(json.loads((self.folder / "configs" / "inference.json").read_text(encoding="utf-8")))
        parser["bundle_root"] = str(self.folder)
        network: torch.nn.Module = parser.get_parsed_content("network_def")
        return network


def read_bundle(folder: str | Path | None = None, *, trust: bool = False) -> Bundle:
    """Read a bundle.

    Parameters
    ----------
    folder : path, optional
        Root of a bundle; the project's own (`segmentation/`) where left out.
    trust : bool
        Let the configuration name any class and compute its arguments, which runs code of whoever wrote it. Preprocessing
        stays this project's.

    Returns
    -------
    Bundle
        Its network takes the channels of `network_input` and gives the label scheme.

    Raises
    ------
    BundleError
        Where a file is missing or cannot be read, or the network does not fit this project's input and labels.
    """
    root = data_folder("segmentation") if folder is None else Path(folder)
    metadata = _json(root / "configs" / "metadata.json")
    inference = _json(root / "configs" / "inference.json")
    definition = inference.get("network_def")
    if not isinstance(definition, Mapping) and not trust:
        raise BundleError(
            str(root / "configs" / "inference.json"),
            "has no network_def in plain data",
            "Write class and arguments out, or pass --trust-bundle for a bundle whose author you trust",
        )
    weights = _weights(root, metadata)
    if isinstance(definition, Mapping):
        _require_fit(definition, root)
    return Bundle(root, metadata, definition if isinstance(definition, Mapping) else {}, weights, trust)


def _weights(root: Path, metadata: Mapping[str, Any]) -> tuple[tuple[Path, str | None], ...]:
    """Return files and stated hashes; without a list in the metadata, `models/model.safetensors`."""
    listed = metadata.get("weights") or [{"file": "models/model.safetensors"}]
    found = []
    for entry in listed:
        path = (root / str(entry["file"])).resolve()
        if not path.is_relative_to(root.resolve()):
            raise BundleError(
                str(root),
                f"its metadata name the weights {entry['file']!r} outside the bundle",
                "Put weights in models/",
            )
        found.append((path, entry.get("sha256")))
    return tuple(found)


def _require_fit(definition: Mapping[str, Any], root: Path) -> None:
    for key, wanted, what in (
        ("spatial_dims", 2, "dimensions"),
        ("in_channels", CHANNELS, "input channels"),
        ("out_channels", N_CLASSES, "classes"),
    ):
        if definition.get(key) != wanted:
            raise BundleError(
                str(root),
                f"its network has {definition.get(key)!r} {what}, and this project's input and labels need {wanted}",
                "Run the bundle with its own tool and measure its label maps: quantify --labels",
            )


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BundleError(str(path), "no such file, so this is not a bundle", "Give the root folder of a MONAI bundle")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(str(path), f"is not JSON ({error})", "Correct the file") from error
    if not isinstance(content, dict):
        raise BundleError(str(path), "is not a JSON object", "Correct the file")
    return content
