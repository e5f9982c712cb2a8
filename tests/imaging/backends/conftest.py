"""Stand-ins for the tools: small programs that check what they are told and write label maps the way the tools do."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

AFFINE = np.diag([-2.0, 3.0, 4.0, 1.0])  # stored from right to left
Program = Callable[[str], Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write an executable Python program."""

    def write(body: str, name: str = "tool") -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{body}")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def dixon() -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Water and fat: two muscles of water 400, the person's left at low RAS x, in a body of fat 300."""
    water, fat = np.full((20, 16, 6), 50, np.int16), np.full((20, 16, 6), 300, np.int16)
    for x in (slice(3, 8), slice(12, 17)):
        water[x, 4:12, 1:5], fat[x, 4:12, 1:5] = 400, 20
    images = tuple(nib.Nifti1Image(data, AFFINE) for data in (water, fat))
    for image in images:
        image.set_qform(AFFINE, code=1)
        image.header.set_xyzt_units("mm")
    return images  # type: ignore[return-value]


@pytest.fixture
def wanted() -> np.ndarray:
    """Ids of the two muscles on the stored grid: its first axis runs to the person's left."""
    ids = np.zeros((20, 16, 6), np.uint8)
    ids[3:8, 4:12, 1:5], ids[12:17, 4:12, 1:5] = 4, 3
    return ids


@pytest.fixture
def nnunet_model(tmp_path: Path) -> Path:
    """A folder as nnU-Net v2 leaves it, with checkpoints that are only named so."""
    folder = tmp_path / "Dataset900_Back" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in ("0", "1"):
        (folder / f"fold_{fold}").mkdir(parents=True)
        (folder / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(f"weights {fold}".encode())
    (folder / "plans.json").write_text("{}")
    dataset = {
        "channel_names": {"0": "Fat", "1": "water"},
        "labels": {"background": 0, "liver": 1, "Erector spinae R": 2, "autochthon_left": 5},
        "file_ending": ".nii.gz",
        "description": "readers' labels of forty backs",
    }
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder
