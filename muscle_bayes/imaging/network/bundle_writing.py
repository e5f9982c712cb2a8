"""Write a trained network as a MONAI bundle of its own: configurations, metadata, weights and what they were trained on."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscle_bayes.imaging.network.weights import save_weights
from muscle_bayes.resources import data_folder

if TYPE_CHECKING:
    import torch

_CONFIGS = ("inference", "evaluate", "train")


def write_bundle(
    folder: str | Path,
    network: "torch.nn.Module",
    definition: Mapping[str, Any],
    *,
    name: str,
    data_source: str,
    history: Mapping[str, Any],
    close_up: bool = False,
) -> Path:
    """Write a bundle.

    Parameters
    ----------
    folder : path
        Made where it does not exist; a bundle that is there is replaced file by file.
    network : torch.nn.Module
        Trained.
    definition : mapping
        Its `network_def`.
    name : str
        Of the bundle.
    data_source : str
        What it was trained on, in words; kept in the metadata and in the sidecar of every label map.
    history : mapping
        Profile, seed, losses, held-out results: written to `docs/training.json`.
    close_up : bool
        Whether it was trained on windows around the paraspinal muscles as well, and looks at them twice.

    Returns
    -------
    path
        The folder, as `read_bundle` takes it.
    """
    root, template = Path(folder), data_folder("segmentation")
    for part in ("configs", "models", "docs"):
        (root / part).mkdir(parents=True, exist_ok=True)
    sha256 = save_weights(network, root / "models" / "model.safetensors")
    plain = json.loads(json.dumps(dict(definition)))
    for config in _CONFIGS:
        content = json.loads((template / "configs" / f"{config}.json").read_text(encoding="utf-8"))
        if "network_def" in content:
            content["network_def"] = plain
        if "close_up" in content:
            content["close_up"] = close_up
        _write(root / "configs" / f"{config}.json", content)
    metadata = json.loads((template / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata |= {
        "name": name,
        "version": "1.0.0",
        "changelog": {"1.0.0": "trained by muscle-bayes train"},
        "authors": "not stated",
        "copyright": "not stated",
        "data_source": data_source,
        "close_up": close_up,
        "eval_metrics": {},
        "weights": [{"file": "models/model.safetensors", "sha256": sha256}],
    }
    # The template's spread was fitted for its own weights.
    metadata.pop("uncertainty", None)
    _write(root / "configs" / "metadata.json", metadata)
    _write(root / "docs" / "training.json", dict(history))
    card = (
        f"# {name}\n\nA network of muscle_bayes, trained on: {data_source}.\n\n"
        "`docs/training.json` holds its profile, seed, losses and the results on participants that were set aside. Who uses it on\n"
        "other scanners or other people judges it there first: `muscle-bayes validate --bundle DIR --reference DIR`.\n"
    )
    (root / "docs" / "README.md").write_text(card, encoding="utf-8")
    licence = template.parent / "LICENSE"
    if licence.is_file():
        shutil.copy(licence, root / "LICENSE")
    return root


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
