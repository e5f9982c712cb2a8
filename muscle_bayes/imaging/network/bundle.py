"""Read a MONAI bundle as data: what its network is, where its weights are, and what they were trained on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscle_bayes.errors import BundleError
from muscle_bayes.imaging.network.architecture import N_CLASSES, build_network
from muscle_bayes.imaging.network.augmentation import SIDE_MULTIPLE
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.preprocessing import CHANNELS
from muscle_bayes.imaging.network.weights import load_weights
from muscle_bayes.imaging.uncertainty import Calibration
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
    def calibration(self) -> Calibration | None:
        """How the spread of its measures is scaled, where that was fitted."""
        content = self.metadata.get("uncertainty")
        return None if content is None else Calibration.from_json(content)

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
            _require_answer(networks[-1], device, str(self.folder))
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
    # Absolute, so that a refusal names a folder that can be found from anywhere.
    root = data_folder("segmentation") if folder is None else Path(folder).absolute()
    metadata = _json(root / "configs" / "metadata.json")
    inference = _json(root / "configs" / "inference.json")
    definition = inference.get("network_def")
    if not isinstance(definition, Mapping) and not trust:
        raise BundleError(
            str(root / "configs" / "inference.json"),
            "has no network_def in plain data",
            "Write class and arguments out, or pass --trust-bundle for a bundle whose author you trust",
        )
    rules = root / "configs" / "schema.json"
    if rules.is_file():
        verify_metadata(root, rules)
    weights = _weights(root, metadata)
    if isinstance(definition, Mapping):
        _require_fit(definition, root)
    return Bundle(root, metadata, definition if isinstance(definition, Mapping) else {}, weights, trust)


def _weights(root: Path, metadata: Mapping[str, Any]) -> tuple[tuple[Path, str | None], ...]:
    """Return files and stated hashes; without a list in the metadata, `models/model.safetensors`."""
    listed = metadata.get("weights") or [{"file": "models/model.safetensors"}]
    found = []
    for entry in listed if isinstance(listed, list) else [listed]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("file"), str):
            raise BundleError(
                str(root), f"its metadata name no file of weights in {entry!r}", 'Write {"file": ..., "sha256": ...}'
            )
        path = (root / entry["file"]).resolve()
        if not path.is_relative_to(root.resolve()):
            raise BundleError(
                str(root),
                f"its metadata name the weights {entry['file']!r} outside the bundle",
                "Put weights in models/",
            )
        found.append((path, None if entry.get("sha256") is None else str(entry["sha256"])))
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


def _require_answer(network: "torch.nn.Module", device: "torch.device", where: str) -> None:
    """Raise unless a network gives a score for each class at every pixel."""
    torch = require_torch()
    side = 4 * SIDE_MULTIPLE
    wanted = (1, N_CLASSES, side, side)
    try:
        with torch.inference_mode():
            found = tuple(network(torch.zeros((1, CHANNELS, side, side), device=device)).shape)
    except Exception as error:  # a network of somebody else's raises anything
        raise BundleError(
            where,
            f"its network does not take this project's input ({' '.join(str(error).split())[:200]})",
            "Correct network_def; sides of its input are multiples of 32",
        ) from error
    if found != wanted:
        raise BundleError(
            where,
            f"its network answers {found} where {wanted} is needed",
            "Correct network_def: one output, one score a class",
        )


def verify_metadata(folder: str | Path, schema: str | Path) -> None:
    """Check a bundle's metadata against a JSON schema that is at hand, as MONAI's `verify_metadata` does without its download.

    Parameters
    ----------
    folder : path
        Root of the bundle.
    schema : path
        MONAI publishes it as the address in the metadata's `schema`; kept as `configs/schema.json`, it is checked whenever the
        bundle is read.

    Raises
    ------
    BundleError
        Naming the first part that does not fit.
    """
    import jsonschema
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    path = Path(folder) / "configs" / "metadata.json"
    rules = _json(Path(schema))
    try:
        # References to other addresses are not followed: an empty registry knows none.
        validator = jsonschema.validators.validator_for(rules, default=jsonschema.Draft201909Validator)
        validator.check_schema(rules)
        error = jsonschema.exceptions.best_match(validator(rules, registry=Registry()).iter_errors(_json(path)))
    except (jsonschema.SchemaError, Unresolvable) as problem:
        raise BundleError(str(schema), f"is no usable JSON schema ({str(problem)[:200]})", "Take MONAI's") from problem
    if error is not None:
        place = "/".join(str(part) for part in error.absolute_path) or "the whole file"
        raise BundleError(str(path), f"{place} breaks the schema: {error.message[:200]}", "Correct the metadata")


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BundleError(str(path), "no such file, so this is not a bundle", "Give the root folder of a MONAI bundle")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(str(path), f"is not JSON ({error})", "Correct the file") from error
    if not isinstance(content, dict):
        raise BundleError(str(path), "is not a JSON object", "Correct the file")
    return content
