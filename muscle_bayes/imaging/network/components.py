"""Parts of the bundle's configurations, so that `python -m monai.bundle run` does what `segment` and `validate` do.

Only MONAI's own command imports this module; it subclasses torch's and MONAI's classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch.utils.data import Dataset

from muscle_bayes.errors import ImageError, TableError
from muscle_bayes.imaging.images import read_volume, require_same_grid
from muscle_bayes.imaging.label_schemes import read_label_map
from muscle_bayes.imaging.network.architecture import build_network
from muscle_bayes.imaging.network.pairs import ROLES, find_pairs, own_ids
from muscle_bayes.imaging.network.prediction import predict_labels
from muscle_bayes.imaging.network.weights import load_weights


def network_with_weights(network_def: dict[str, Any], model_file: str, device: torch.device) -> torch.nn.Module:
    """Build a network and read its safetensors; a missing file is an error, nothing is downloaded.

    Parameters
    ----------
    network_def : mapping
        Class and literal arguments.
    model_file : path
        `.safetensors`.
    device : torch.device
        Where to put it.

    Returns
    -------
    torch.nn.Module
    """
    network = build_network(network_def)
    load_weights(network, model_file)
    return network.to(device).eval()


class ScanDataset(Dataset[dict[str, Any]]):
    """Scans of a folder, one folder a participant, as two signals on their grid.

    Parameters
    ----------
    folder : path
        Laid out as `muscle_bayes.imaging.network.pairs.find_pairs` says; labels are not needed to segment.
    labelled : bool
        Whether reference labels are read as well.
    """

    def __init__(self, folder: str | Path, labelled: bool = False) -> None:
        self.labelled = labelled
        if labelled:
            self.data = [(p.name, p.images, p.labels) for p in find_pairs(folder)]
            return
        root, self.data = Path(folder), []
        for home in sorted({path.parent for role in ROLES for path in root.glob(f"**/{role}.nii.gz")}):
            images = {role: home / f"{role}.nii.gz" for role in ROLES if (home / f"{role}.nii.gz").is_file()}
            if {"water", "fat"} <= set(images):
                images.pop("image", None)
            self.data.append((home.relative_to(root).as_posix(), images, Path()))
        if not self.data:
            raise TableError(
                str(folder), "holds no water.nii.gz and fat.nii.gz, nor image.nii.gz", "Give each participant a folder"
            )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, images, labels = self.data[index]
        volumes = [read_volume(path, role) for role, path in images.items()]
        for volume in volumes[1:]:
            require_same_grid(volumes[0], volume)
        # A single contrast has no second signal, which the network is told by zeros.
        signals = [v.data.astype(np.float32) for v in volumes]
        if len(signals) == 1:
            signals.append(np.zeros_like(signals[0]))
        item: dict[str, Any] = {
            "image": MetaTensor(torch.as_tensor(np.stack(signals)), affine=torch.as_tensor(volumes[0].affine)),
            "name": name,
        }
        if self.labelled:
            found = read_label_map(labels)
            ids = own_ids(found.volume.data, {k: (s.name, s.side) for k, s in found.structures.items()}, name)
            item["label"] = MetaTensor(torch.as_tensor(ids[None]), affine=torch.as_tensor(volumes[0].affine))
        return item


class ScanInferer(Inferer):
    """Labels of whole scans: this project's preprocessing, the network slice by slice, most probable classes.

    Parameters
    ----------
    mirror : bool
        Whether mirrored slices are predicted as well.
    batch : int, optional
        Slices at a time.
    close_up : bool
        Whether paraspinal muscles are labelled again in a window around them, for networks that were trained so.
    """

    def __init__(self, mirror: bool = True, batch: int | None = None, close_up: bool = False) -> None:
        super().__init__()
        self.mirror, self.batch, self.close_up = mirror, batch, close_up

    def __call__(self, inputs: Any, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return (1, 1, nx, ny, nz) ids for inputs of (1, 2, nx, ny, nz) signals with their affine."""
        if inputs.shape[0] != 1:
            raise ImageError("batch", f"{inputs.shape[0]} scans at a time", "Use a data loader with batch_size 1")
        affine = torch.as_tensor(inputs.affine).reshape(-1, 4, 4)[0].cpu().numpy()
        spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        first, second = inputs[0].detach().cpu().numpy()
        labels = predict_labels(
            [network],
            first,
            second if second.any() else None,
            (float(spacing[0]), float(spacing[1]), float(spacing[2])),
            inputs.device,
            mirror=self.mirror,
            batch=self.batch,
            close_up=self.close_up,
        )
        return torch.as_tensor(labels[None, None])


class SaveScan:
    """Write the label map of a scan, as a last step of postprocessing.

    Parameters
    ----------
    output_dir : path
        Where; `NAME_dseg.nii.gz` for each scan, in RAS order on the grid of its images.
    keys : sequence of str
        The prediction's key.
    """

    def __init__(self, output_dir: str | Path, keys: Sequence[str] = ("pred",)) -> None:
        self.folder, self.key = Path(output_dir), keys[0]

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Write one item and pass it on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        labels = np.asarray(item[self.key]).astype(np.uint8)[0]
        affine = torch.as_tensor(item["image"].affine).reshape(4, 4).cpu().numpy()
        nib.save(nib.Nifti1Image(labels, affine), self.folder / f"{item['name'].replace('/', '_')}_dseg.nii.gz")
        return item
