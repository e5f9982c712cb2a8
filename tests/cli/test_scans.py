"""measure and withdraw from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

Call = Callable[..., Any]
STUDY = """\
[study]
name = "Scans"

[participants]
file = "participants.csv"

[images]
root = "images"
water = "{participant_id}/water.nii.gz"
fat = "{participant_id}/fat.nii.gz"
labels = "{participant_id}/labels.nii.gz"
quality = false

[[fits]]
model = "cbp_main"
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    pd.DataFrame({"participant_id": ["first", "second"], "bmi_kg_m2": 25.0}).to_csv(
        tmp_path / "participants.csv", index=False
    )
    (tmp_path / "study.toml").write_text(STUDY)
    home = tmp_path / "images" / "first"
    home.mkdir(parents=True)
    labels = np.zeros((16, 10, 6), dtype=np.uint8)
    labels[2:6, 2:8, 1:5], labels[9:13, 2:8, 1:5] = 3, 4
    total = np.random.default_rng(1).uniform(1500, 2500, labels.shape)
    for name, data in (("water", 0.8 * total), ("fat", 0.2 * total), ("labels", labels)):
        stored = data if name == "labels" else data.astype(np.float32)
        nib.save(nib.Nifti1Image(stored, np.diag([2.0, 2.0, 5.0, 1.0])), home / f"{name}.nii.gz")
    return tmp_path


def test_measure_says_who_was_measured_and_who_was_not(call: Call, study: Path) -> None:
    done = call("measure", study, "--json")
    assert done.code == 1
    said = json.loads(done.out)
    assert (said["scans"], said["measured"], said["taken_over"], said["left"]) == (2, 1, 0, 0)
    assert [row["participant_id"] for row in said["failures"]] == ["second"]
    table = pd.read_csv(said["files"]["measurements.tsv"], sep="\t")
    assert table["intermat_fraction_percent"].dropna().to_numpy() == pytest.approx(20.0)
    again = call("measure", study / "study.toml")
    assert "1 of 2 scans measured, 1 of them before" in again.out
    assert "1 failed: DeliveryError" in again.out
    for arguments in (("--merge", "--workers", "2"), ("--workers", "0"), ("--shard", "0/2"), ("--shard", "2")):
        assert call("measure", study, *arguments).code in (2, 3)


def test_withdraw_says_what_goes_and_what_stays(call: Call, study: Path) -> None:
    call("measure", study)
    asked = call("withdraw", study, "first", "--dry-run")
    assert asked.code == 0
    assert "would remove measurements.tsv" in asked.out
    assert "first" in (study / "results" / "measurements.tsv").read_text()
    done = json.loads(call("withdraw", study, "first", "--json").out)
    assert "derivatives/sub-first" in done["removed"]
    assert any("raw images" in remark for remark in done["remarks"])
    assert (study / "images" / "first" / "water.nii.gz").is_file()
    unknown = call("withdraw", study, "frist")
    assert unknown.code == 3
    assert "Nobody is called so" in unknown.err
    assert call("measure", study).code == 3  # nobody is left who could be measured
