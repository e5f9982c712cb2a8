"""nnU-Net's command is told what its documentation asks for, and its ids come back as ours, on the grid of the input."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.errors import BackendError, BundleError, LabelSchemeError, MissingWeightsError
from muscle_bayes.imaging import open_backend, quantify, segment
from muscle_bayes.imaging.backends.nnunet import channel_signal
from muscle_bayes.imaging.backends.nnunet_folder import input_channels
from muscle_bayes.imaging.images import read_volume

Program = Callable[[str], Path]
Pair = tuple[nib.Nifti1Image, nib.Nifti1Image]

#: Reads its arguments as nnUNetv2_predict_from_modelfolder does (2.8.1), and labels where the water is bright: 2 to the right of
#: the middle, 5 to the left, 1 (the liver) below the body.
TOOL = """
import argparse, json, os, sys
from pathlib import Path
import nibabel as nib, numpy as np
p = argparse.ArgumentParser()
for name in ("-i", "-o", "-m", "-chk", "-device", "-npp", "-nps"): p.add_argument(name, required=True)
p.add_argument("-f", nargs="+", required=True)
for name in ("--disable_progress_bar", "--disable_tta"): p.add_argument(name, action="store_true")
a = p.parse_args()
assert sorted(os.listdir(a.i)) == ["case_0000.nii.gz", "case_0001.nii.gz"], os.listdir(a.i)
assert all((Path(a.m) / f"fold_{f}" / a.chk).is_file() for f in a.f)
assert "127.0.0.1" in os.environ["HTTPS_PROXY"] and not os.environ["NO_PROXY"] and "PYTHONPATH" not in os.environ
fat, water = (nib.load(Path(a.i) / f"case_000{k}.nii.gz") for k in (0, 1))
x = np.asarray(water.dataobj)
assert x.dtype == np.float32 and x.max() == 400 and np.asarray(fat.dataobj).max() == 300
ids = np.zeros(x.shape, np.uint8)
middle = x.shape[0] // 2
ids[middle:][x[middle:] > 200] = 2
ids[:middle][x[:middle] > 200] = 5
ids[0, 0, 0] = 1
os.makedirs(a.o, exist_ok=True)
nib.save(nib.Nifti1Image(ids, water.affine), Path(a.o) / "case.nii.gz")
json.dump({"arguments": sys.argv[1:]}, open(Path(a.m) / "told.json", "w"))
"""


def test_labels_come_back_as_ours_on_the_input_grid_with_where_they_come_from(
    program: Program, nnunet_model: Path, dixon: Pair, wanted: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    backend = open_backend("nnunet", model=nnunet_model, command=program(TOOL), trust_bundle=True, device="cpu")
    found = backend({"water": dixon[0], "fat": dixon[1]})
    np.testing.assert_array_equal(np.asarray(found.dataobj), wanted)
    np.testing.assert_allclose(found.affine, dixon[0].affine)
    hashes = [hashlib.sha256(f"weights {fold}".encode()).hexdigest() for fold in (0, 1)]
    assert backend.weights_sha256 == hashes == found.extra["weights_sha256"]
    assert (backend.name, backend.device, found.extra["backend"]) == ("nnunet", "cpu", "nnunet")
    assert found.extra["trained_on"] == "readers' labels of forty backs"
    assert found.extra["tool_labels"] == {"2": "autochthonous right", "5": "autochthonous left"}
    assert set(found.extra["inputs"]) == {"water", "fat"}
    json.dumps(dict(found.extra))
    told = json.loads((nnunet_model / "told.json").read_text())["arguments"]
    assert told[told.index("-f") + 1 : told.index("-chk")] == ["0", "1"]
    assert "--disable_tta" not in told
    rows = quantify(*dixon, found).set_index(["muscle", "side", "region"])
    assert rows.loc[("autochthonous", "left", "field_of_view"), "compartment_cm3"] == pytest.approx(
        5 * 8 * 4 * 24 / 1000
    )


def test_one_fold_no_mirroring_and_another_card(
    program: Program, nnunet_model: Path, dixon: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = TOOL + "\nassert os.environ['CUDA_VISIBLE_DEVICES'] == '1' and a.device == 'cuda', a.device\n"
    found = segment(
        dixon, backend="nnunet", model=nnunet_model, command=str(program(body)), trust_bundle=True, device="cuda:1",
        folds=[1], mirror=False,
    )  # fmt: skip
    assert found.extra["device"] == "cuda:1"
    assert found.extra["folds"] == ["1"]
    assert "--disable_tta" in found.extra["command"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": {"background": 0, "blob": 1}}, "blob"),
        ({"labels": {"background": 0, "autochthon": 1}}, "no side"),
        ({"labels": {"background": 0, "liver": 1}}, "is a muscle"),
        ({"labels": {"background": 0, "back": [1, 2]}}, "regions"),
    ],
)
def test_names_that_do_not_say_what_they_are_need_a_table(
    program: Program, nnunet_model: Path, change: dict[str, Any], words: str
) -> None:
    _edit(nnunet_model, change)
    common = {"model": nnunet_model, "command": program(""), "trust_bundle": True}
    with pytest.raises(LabelSchemeError, match=words):
        open_backend("nnunet", **common)
    open_backend("nnunet", scheme={1: ("autochthonous", "left")}, **common)


def test_a_users_table_says_what_ids_mean(
    program: Program, nnunet_model: Path, dixon: Pair, wanted: np.ndarray, tmp_path: Path
) -> None:
    _edit(nnunet_model, {"labels": {"background": 0, "a": 1, "b": 2, "c": 5}})
    table = tmp_path / "ids.tsv"
    table.write_text("id\tmuscle\tside\n1\tunmeasured\tboth\n2\tautochthonous\tright\n5\tautochthonous\tleft\n")
    common = {"model": nnunet_model, "command": program(TOOL), "trust_bundle": True, "device": "cpu"}
    found = open_backend("nnunet", scheme=table, **common)(dixon)
    np.testing.assert_array_equal(np.asarray(found.dataobj), wanted)


def test_channels_are_told_by_their_names_or_stated(program: Program, nnunet_model: Path, dixon: Pair) -> None:
    common = {"model": nnunet_model, "command": program("raise SystemExit('must not run')"), "trust_bundle": True}
    _edit(nnunet_model, {"channel_names": {"0": "zscore", "1": "zscore"}})
    with pytest.raises(BackendError, match="does not say what is water"):
        open_backend("nnunet", **common)
    stated = open_backend("nnunet", channels=("fat", "water"), **common)
    with pytest.raises(BackendError, match="single contrast is given"):
        stated(dixon[0])
    with pytest.raises(BackendError, match="2 channels"):
        open_backend("nnunet", channels=("water",), **common)
    _edit(nnunet_model, {"channel_names": {"0": "MRI"}})
    with pytest.raises(BackendError, match=r"channels=\('water',\)"):
        open_backend("nnunet", **common)(dixon)


def test_contrasts_are_made_from_water_and_fat(dixon: Pair) -> None:
    volumes = {role: read_volume(image, role) for role, image in zip(("water", "fat"), dixon, strict=True)}
    water, fat = (np.asarray(nib.as_closest_canonical(image).dataobj).astype(float) for image in dixon)
    for name, signal in (
        ("Water", water),
        ("in", water + fat),
        ("out of phase", abs(water - fat)),
        ("PDFF", fat / (water + fat)),
    ):
        (channel,) = input_channels({"0": name}, None, "here")
        np.testing.assert_allclose(channel_signal(channel, volumes), signal, rtol=1e-6)


def test_pickles_are_opened_for_nobody_who_is_not_trusted(program: Program, nnunet_model: Path) -> None:
    with pytest.raises(BundleError, match="pickles, which run code"):
        open_backend("nnunet", model=nnunet_model, command=program(TOOL))


def test_missing_weights_are_named_and_never_fetched(program: Program, nnunet_model: Path, tmp_path: Path) -> None:
    common = {"command": program("raise SystemExit('must not run')"), "trust_bundle": True}
    with pytest.raises(MissingWeightsError, match="model="):
        open_backend("nnunet", **common)
    with pytest.raises(MissingWeightsError, match=r"dataset\.json"):
        open_backend("nnunet", model=tmp_path, **common)
    with pytest.raises(MissingWeightsError, match="no fold 4"):
        open_backend("nnunet", model=nnunet_model, folds=[4], **common)
    for path in nnunet_model.glob("fold_*/*.pth"):
        path.rename(path.with_name("checkpoint_best.pth"))
    with pytest.raises(MissingWeightsError, match=str(nnunet_model)):
        open_backend("nnunet", model=nnunet_model, **common)


def _edit(model: Path, change: dict[str, Any]) -> None:
    content = json.loads((model / "dataset.json").read_text())
    (model / "dataset.json").write_text(json.dumps({**content, **change}))
