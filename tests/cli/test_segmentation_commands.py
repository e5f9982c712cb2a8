"""`segment`, `train` and `validate`: from the user's own pairs to a bundle that labels, and usage errors."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three participants, their bodies two bright blocks; labels in the project's ids."""
    root = tmp_path_factory.mktemp("pairs")
    for number in range(3):
        folder = root / f"P{number}"
        folder.mkdir()
        ids = np.zeros((40, 32, 10), dtype=np.uint8)
        ids[8:16, 8 + number : 18 + number], ids[24:32, 8 + number : 18 + number] = 3, 4
        image = np.zeros(ids.shape, dtype=np.float32)
        image[4:-4, 4:-4] = 100
        rng = np.random.default_rng(number)
        for name, value in (("water", 300.0), ("fat", 30.0)):
            signal = np.where(ids > 0, np.float32(value), image) + rng.uniform(0, 5, ids.shape).astype(np.float32)
            nib.save(nib.Nifti1Image(signal, np.diag([2.8, 2.8, 3.0, 1])), folder / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(ids, np.diag([2.8, 2.8, 3.0, 1])), folder / "labels.nii.gz")
    return root


def test_own_pairs_make_a_bundle_that_segments_and_is_judged(call: Call, pairs: Path, tmp_path: Path) -> None:
    made = call("train", "--pairs", pairs, "--out", tmp_path / "b", "--steps", 3, "--device", "cpu", "--json")
    assert made.code == 0, made.err
    facts = json.loads(made.out)
    assert len(facts["set_aside"]) == 1
    history = json.loads((tmp_path / "b" / "docs" / "training.json").read_text())
    assert history["set_aside"] == facts["set_aside"]
    assert history["simulated"] is False

    scan = pairs / "P0"
    labelled = call(
        "segment", "--water", scan / "water.nii.gz", "--fat", scan / "fat.nii.gz",
        "--bundle", tmp_path / "b", "--out", tmp_path / "p0_dseg.nii.gz", "--device", "cpu",
    )  # fmt: skip
    assert labelled.code == 0, labelled.err
    assert "On cpu" in labelled.out
    assert nib.load(tmp_path / "p0_dseg.nii.gz").shape == (40, 32, 10)
    sidecar = json.loads((tmp_path / "p0_dseg.json").read_text())
    assert "2 scans of 2 participants" in sidecar["trained_on"]

    judged = call("validate", "--reference", pairs, "--bundle", tmp_path / "b", "--out", tmp_path / "v", "--json")
    assert judged.code == 0, judged.err
    rows = json.loads(judged.out)["overlap"]
    assert {row["structure"] for row in rows} == {"autochthonous", "all muscles"}
    assert (tmp_path / "v" / "overlap.tsv").is_file()

    onwards = call(
        "train", "--pairs", pairs, "--start", tmp_path / "b", "--out", tmp_path / "c", "--steps", 1, "--device", "cpu"
    )
    assert onwards.code == 0, onwards.err
    assert json.loads((tmp_path / "c" / "docs" / "training.json").read_text())["started_from"] == str(tmp_path / "b")


@pytest.mark.parametrize(
    "arguments",
    [
        ["segment", "--out", "x.nii.gz"],
        ["segment", "--water", __file__, "--out", "x.nii.gz"],
        ["segment", "--water", __file__, "--fat", __file__, "--image", __file__, "--out", "x.nii.gz"],
        ["train", "--out", "x", "--profile", "huge"],
        ["validate", "--reference", "/nowhere/at/all"],
    ],
)
def test_usage_errors(call: Call, arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.code == 2
    assert result.out == ""


def test_without_torch_one_line_says_what_to_install(
    call: Call, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for arguments in (
        ["segment", "--image", pairs / "P0" / "water.nii.gz", "--out", tmp_path / "x.nii.gz"],
        ["train", "--out", tmp_path / "x"],
        ["validate", "--reference", pairs],
    ):
        result = call(*arguments)
        assert result.code == 3
        assert result.err.count("\n") == 1
        assert "pip install 'muscle-bayes[segmentation]'" in result.err


def test_a_trained_nnunet_labels_through_its_own_command(call: Call, pairs: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "fold_0").mkdir(parents=True)
    (model / "fold_0" / "checkpoint_final.pth").write_bytes(b"weights")
    (model / "plans.json").write_text("{}")
    names = {"channel_names": {"0": "W", "1": "F"}, "labels": {"background": 0, "back left": 7, "psoas R": 8}}
    (model / "dataset.json").write_text(json.dumps(names))
    scan = pairs / "P0"
    ids = np.where(np.asarray(nib.load(scan / "labels.nii.gz").dataobj) == 3, 7, 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(ids, np.diag([2.8, 2.8, 3.0, 1])), tmp_path / "answer.nii.gz")
    tool = tmp_path / "predict"
    tool.write_text(
        f'#!/bin/sh\ntest -f "$2/case_0001.nii.gz" && mkdir "$4" && cp "{tmp_path}/answer.nii.gz" "$4/case.nii.gz"\n'
    )
    tool.chmod(0o755)
    (tmp_path / "ids.tsv").write_text("id\tmuscle\tside\n7\tautochthonous\tleft\n8\tiliopsoas\tright\n")
    common = (
        "segment", "--backend", "nnunet", "--model", model, "--command", tool, "--device", "cpu",
        "--water", scan / "water.nii.gz", "--fat", scan / "fat.nii.gz", "--out", tmp_path / "p_dseg.nii.gz",
    )  # fmt: skip
    refused = call(*common)
    assert refused.code == 3
    assert "--trust-bundle" in refused.err
    unnamed = call(*common, "--trust-bundle")
    assert unnamed.code == 3
    assert "back left" in unnamed.err
    done = call(*common, "--trust-bundle", "--scheme", tmp_path / "ids.tsv", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["backend"] == "nnunet"
    found = np.asarray(nib.load(tmp_path / "p_dseg.nii.gz").dataobj)
    np.testing.assert_array_equal(found == 3, ids == 7)
    measured = call(
        "quantify", "--water", scan / "water.nii.gz", "--fat", scan / "fat.nii.gz", "--labels", tmp_path / "p_dseg.nii.gz",
        "--test-retest-sd", 0.5, 9, "--out", tmp_path / "m.tsv",
    )  # fmt: skip
    assert measured.code == 0, measured.err
    rows = pd.read_csv(tmp_path / "m.tsv", sep="\t")
    assert rows.loc[rows["muscle"] == "autochthonous", "lean_sd_cm3"].dropna().eq(9).any()
