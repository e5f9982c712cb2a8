"""TotalSegmentator's command is told what it asks for, and never starts where it would download or report."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.errors import BackendError, InvalidValueError, MissingWeightsError
from muscle_bayes.imaging import open_backend

Program = Callable[..., Path]
Pair = tuple[nib.Nifti1Image, nib.Nifti1Image]

#: Arguments, label table in the NIfTI extension and configuration as in TotalSegmentator 2.18.0.
TOOL = """
import argparse, json, os, sys
from pathlib import Path
if sys.argv[1:] == ["--version"]:
    print("VERSION"); sys.exit()
import nibabel as nib, numpy as np
p = argparse.ArgumentParser()
for name in ("-i", "-o", "-ta", "-d"): p.add_argument(name, required=True)
p.add_argument("--ml", action="store_true")
a = p.parse_args()
assert a.ta == "total_mr" and a.ml and a.d == "gpu:1", a
config = json.loads((Path(os.environ["TOTALSEG_HOME_DIR"]) / "config.json").read_text())
assert config["send_usage_stats"] is False and config["license_number"] == "aca_123", config
assert (Path(os.environ["TOTALSEG_WEIGHTS_PATH"]) / "Dataset851_TotalSegMRI_part2_muscles_1088subj").is_dir()
assert "127.0.0.1" in os.environ["https_proxy"]
image = nib.load(a.i)
x = np.asarray(image.dataobj)
assert abs(x.max() - TOP) < 1e-3, x.max()
ids = np.zeros(x.shape, np.uint8)
half = x.shape[0] // 2
bright = x > x.max() / 2
ids[:half][bright[:half]] = 46
ids[half:][bright[half:]] = 47
ids[0, 0, 0] = 1
out = nib.Nifti1Image(ids, image.affine)
names = {1: "spleen", 46: "autochthon_left", 47: "autochthon_right"}
table = "".join(f'<Label Key="{k}" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[{v}]]></Label>' for k, v in names.items())
xml = '<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>' + table
xml += '</LabelTable></VolumeInformation></CaretExtension>'
if NAMES: out.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
nib.save(out, a.o)
print("No GPU detected. Running on CPU. This can be very slow.")
"""


def tool(program: Program, *, version: str = "2.18.0", top: float = 400.0, names: bool = True) -> Path:
    return program(TOOL.replace("VERSION", version).replace("TOP", str(top)).replace("NAMES", str(names)))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of the tool, with weights that are only named so."""
    home = tmp_path / "home"
    for name in ("Dataset850_TotalSegMRI_part1_organs_1088subj", "Dataset851_TotalSegMRI_part2_muscles_1088subj"):
        fold = home / "nnunet" / "results" / name / "nnUNetTrainer_2000epochs_NoMirroring__x__3d_fullres" / "fold_0"
        fold.mkdir(parents=True)
        (fold / "checkpoint_final.pth").write_bytes(name.encode())
    (home / "config.json").write_text(json.dumps({"license_number": "aca_123", "send_usage_stats": True}))
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(home))
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    return home / "nnunet" / "results"


@pytest.mark.parametrize("names", [True, False])
def test_labels_come_back_as_ours_and_nothing_is_reported(
    program: Program, weights: Path, dixon: Pair, wanted: np.ndarray, names: bool
) -> None:
    backend = open_backend("totalsegmentator", command=tool(program, names=names), device="cuda:1")
    found = backend(dixon)
    np.testing.assert_array_equal(np.asarray(found.dataobj), wanted)
    assert len(backend.weights_sha256) == 2
    assert found.extra["tool_version"] == "2.18.0"
    assert found.extra["label_scheme"] == "totalsegmentator_mr@2.5"
    assert found.extra["device"] == "cpu (TotalSegmentator found no card)"
    json.dumps(dict(found.extra))
    config = json.loads((weights.parents[1] / "config.json").read_text())
    assert config == {"license_number": "aca_123", "send_usage_stats": True}  # the user's own file is left alone


def test_fractions_are_scaled_since_it_casts_to_whole_numbers(
    program: Program, weights: Path, dixon: Pair, wanted: np.ndarray
) -> None:
    small = nib.Nifti1Image((np.asarray(dixon[0].dataobj) / 400).astype(np.float32), dixon[0].affine)
    found = open_backend("totalsegmentator", command=tool(program, top=1000.0), device="gpu:1")(small)
    np.testing.assert_array_equal(np.asarray(found.dataobj), wanted)
    assert found.extra["signal_factor"] == pytest.approx(1000)


def test_the_in_phase_image_can_be_shown_instead(program: Program, weights: Path, dixon: Pair) -> None:
    backend = open_backend(
        "totalsegmentator", command=tool(program, top=420.0), device="gpu:1", contrast="in_phase", model=weights
    )
    assert backend(dixon).extra["contrast"] == "in_phase"


def test_it_does_not_start_where_it_would_download(
    program: Program, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = program("raise SystemExit('must not run')")
    with pytest.raises(MissingWeightsError, match="Dataset857_TotalSegMRI_thigh_shoulder_1088subj"):
        open_backend("totalsegmentator", command=never, task="thigh_shoulder_muscles_mr")
    with pytest.raises(InvalidValueError, match="total_mr"):
        open_backend("totalsegmentator", command=never, task="lung_vessels")
    # What an interrupted download leaves: the folder without the checkpoint.
    next((weights / "Dataset851_TotalSegMRI_part2_muscles_1088subj").glob("*/fold_0/*.pth")).unlink()
    with pytest.raises(MissingWeightsError, match="Dataset851"):
        open_backend("totalsegmentator", command=never)
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "elsewhere"))
    with pytest.raises(MissingWeightsError, match="elsewhere"):
        open_backend("totalsegmentator", command=never)


@pytest.mark.parametrize("version", ["2.4.0", "3.0.0", "2.19.1", "unknown"])
def test_a_version_whose_weights_are_not_known_is_refused(program: Program, weights: Path, version: str) -> None:
    with pytest.raises(BackendError, match=r"2\.5 to 2\.18"):
        open_backend("totalsegmentator", command=tool(program, version=version))
