"""The plain MONAI recipe, which `segmentation.py` compares with: what a MONAI user writes for this network from its examples.

The same weights and the same inputs of the network: signals s / (s + median) of a slice and of its neighbours at 9 mm, fat
fraction, place in the body. Everything else is MONAI as its tutorials put it together:

- `LoadImaged`, `Orientationd`, `Spacingd` on the CPU to the network's 1.4 mm in the plane (the NAKO grid has it already, so
  that this costs next to nothing here; on another grid it would cost most),
- a transform that makes the network's nine channels for every slice,
- `SliceInferer`, MONAI's sliding window over the slices of a volume, single precision, Gaussian blending, overlap 0.5, windows
  of 256 x 192 pixels (what holds the bodies that the network was trained on), 4 at a time,
- `Activationsd`, `Invertd` back to the grid of the images, `AsDiscreted`, and the label map written by `SaveImage`,
- then this project's `quantify` from the three files and the same picture: the recipe has no part of its own for that.

The network is built and its weights are read for each case. Starting Python and importing MONAI (seconds) are not counted,
in favour of the recipe. It predicts one view; ours is measured with one view and with two.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import decollate_batch, list_data_collate
from monai.inferers import SliceInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    Invertd,
    LoadImaged,
    MapTransform,
    Orientationd,
    SaveImage,
    Spacingd,
)

from muscle_bayes.imaging.network.bundle import read_bundle
from muscle_bayes.imaging.network.preprocessing import CONTEXT_MM, PIXEL_MM, body_frame

WINDOW, OVERLAP, BATCH = (256, 192), 0.5, 4


class NetworkChannelsd(MapTransform):
    """Water and fat to the nine channels of every slice, (9, nx, ny, nz)."""

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        water, fat = data["water"], data["fat"]
        volumes = [image[0].clamp_min(0) for image in (water, fat)]
        frame = body_frame(*(np.moveaxis(volume.numpy(), 2, 0) for volume in volumes))
        step = max(1, round(CONTEXT_MM / float(water.pixdim[2])))
        nx, ny, nz = volumes[0].shape
        channels = torch.zeros((9, nx, ny, nz))
        for number, volume in enumerate(volumes):
            signal = volume / (volume + frame.signal)
            for place, move in enumerate((-step, 0, step)):
                planes = (torch.arange(nz) + move).clamp(0, nz - 1)
                channels[3 * number + place] = signal[:, :, planes]
        channels[6] = volumes[1] / (volumes[0] + volumes[1] + 0.1 * frame.signal)
        for axis, shape in ((0, (nx, 1, 1)), (1, (1, ny, 1))):
            place_in_body = (torch.arange(shape[axis]) - frame.centre[axis]) / frame.half[axis]
            channels[7 + axis] = place_in_body.clamp(-1.5, 1.5).reshape(shape)
        out = water.__class__(
            channels, affine=water.affine, meta=water.meta, applied_operations=water.applied_operations
        )
        # In place of the water image, whose trace of transforms `Invertd` follows back.
        return {"water": out}


def plain_case(water: Path, fat: Path, folder: Path, device: torch.device, clock: Any) -> Path:
    """Label one case into a file; `clock.stage(name)` times the stages."""
    before = Compose(
        [
            LoadImaged(("water", "fat"), ensure_channel_first=True),
            Orientationd(("water", "fat"), "RAS", labels=None),
            Spacingd(("water", "fat"), pixdim=(PIXEL_MM, PIXEL_MM, 0.0), mode="bilinear"),
            NetworkChannelsd(("water", "fat")),
        ]
    )
    after = Compose(
        [
            Activationsd("pred", softmax=True),
            Invertd("pred", transform=before, orig_keys="water", nearest_interp=False, to_tensor=True),
            AsDiscreted("pred", argmax=True),
        ]
    )
    with clock.stage("load network"):
        (network,), _ = read_bundle(None).networks(device)
    with clock.stage("read and resample"):
        case = list_data_collate([before({"water": str(water), "fat": str(fat)})])
    inferer = SliceInferer(
        spatial_dim=2, roi_size=WINDOW, sw_batch_size=BATCH, overlap=OVERLAP, mode="gaussian", progress=False
    )
    with clock.stage("network"), torch.no_grad():
        case["pred"] = inferer(case["water"].to(device), network)
        if device.type == "cuda":
            torch.cuda.synchronize()
    with clock.stage("resample back"), torch.no_grad():
        found = after(decollate_batch(case)[0])["pred"].cpu()
    with clock.stage("write"):
        save = SaveImage(
            output_dir=folder, output_postfix="plain", output_dtype=np.uint8, separate_folder=False, print_log=False
        )
        save(found)
        written = next(folder.glob("*plain.nii.gz"))
    return written
