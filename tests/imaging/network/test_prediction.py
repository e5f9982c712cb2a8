"""Labels land on the voxels they belong to, whatever the grid and the order of axes."""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from muscle_bayes.errors import ImageError, InvalidValueError, MissingDependencyError
from muscle_bayes.imaging import quantify, segment
from muscle_bayes.imaging.backends import save_labels
from muscle_bayes.imaging.network.agreement import dice
from muscle_bayes.imaging.network.bundle import Bundle
from muscle_bayes.imaging.network.prediction import predict_labels, without_islands
from muscle_bayes.imaging.network.segmentation import Segmenter

CPU = torch.device("cpu")
Blocks = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def segmenter(known_network: torch.nn.Module) -> Segmenter:
    return Segmenter(Bundle(Path("known"), {"data_source": "none"}, {}, ()), [known_network], ["0" * 64], CPU)


@pytest.mark.parametrize("mirror", [False, True])
def test_on_the_networks_own_grid_labels_are_exact(
    known_network: torch.nn.Module, two_blocks: Blocks, mirror: bool
) -> None:
    image, labels = two_blocks
    found = predict_labels([known_network], image, None, (1.4, 1.4, 9.0), CPU, mirror=mirror)
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_other_voxel_sizes_give_the_same_shapes(
    known_network: torch.nn.Module, two_blocks: Blocks, factor: float
) -> None:
    image, labels = two_blocks
    scaled = zoom(image, (factor, factor, 1), order=1, grid_mode=True, mode="nearest")
    wanted = zoom(labels, (factor, factor, 1), order=0, grid_mode=True, mode="nearest")
    found = predict_labels([known_network], scaled, None, (1.4 / factor, 1.4 / factor, 3.0), CPU)
    assert found.shape == scaled.shape
    for number in (3, 4):
        # A border of one coarse pixel may go either way; 20 x 15 pixels have 70 of 300 there.
        assert dice(found == number, wanted == number) > 0.93


@pytest.mark.parametrize("codes", ["RAS", "LPS", "ASR", "SLA"])
def test_the_result_lies_on_the_grid_of_the_input(segmenter: Segmenter, two_blocks: Blocks, codes: str) -> None:
    image, labels = two_blocks
    canonical = nib.Nifti1Image(image, np.diag([1.4, 1.4, 9.0, 1.0]))
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
    )
    stored = canonical.as_reoriented(turn)
    found = segmenter(stored)
    np.testing.assert_allclose(found.affine, stored.affine)
    assert found.shape == stored.shape
    np.testing.assert_array_equal(np.asarray(nib.as_closest_canonical(found).dataobj), labels)


def test_what_is_saved_can_be_measured_and_says_where_it_comes_from(
    segmenter: Segmenter, two_blocks: Blocks, tmp_path: Path
) -> None:
    image, labels = two_blocks
    water = nib.Nifti1Image(image, np.diag([1.4, 1.4, 9.0, 1.0]))
    fat = nib.Nifti1Image(np.where(image > 300, np.float32(0.1), np.float32(0.5)) * image, water.affine)
    paths = save_labels(segmenter((water, fat)), tmp_path / "p_dseg.nii.gz")
    sidecar = json.loads(paths["sidecar"].read_text())
    assert sidecar["device"].startswith("cpu")
    assert set(sidecar["inputs"]) == {"water", "fat"}
    assert sidecar["weights_sha256"] == ["0" * 64]
    rows = quantify(water, fat, paths["labels"], region="field_of_view")
    both = rows[(rows["muscle"] == "autochthonous") & (rows["side"] == "both")].iloc[0]
    assert both["compartment_cm3"] == pytest.approx((labels > 0).sum() * 1.4**2 * 9 / 1000)
    assert both["intermat_fraction_percent"] == pytest.approx(100 * 0.1 / 1.1, rel=1e-3)
    assert (rows["backend"] == "bundle").all()
    assert (rows["weights_sha256"] == "0" * 64).all()
    # Corrected by hand, they are nobody's labels but the reader's.
    corrected = np.asarray(nib.load(paths["labels"]).dataobj).copy()
    corrected[tuple(np.argwhere(corrected)[0])] = 0
    nib.save(nib.Nifti1Image(corrected, water.affine), paths["labels"])
    rows = quantify(water, fat, paths["labels"], region="field_of_view")
    assert (rows["backend"] == "labelmap").all()
    assert (rows["weights_sha256"] == "").all()


def test_islands_go_and_large_parts_stay() -> None:
    labels = np.zeros((6, 40, 40), dtype=np.uint8)
    labels[:, 5:20, 5:20] = 3
    labels[:, 25:30, 25:35] = 3  # 22 % of the first part: two muscles may be one label
    labels[2, 38, 38] = 3
    labels[2, 36, 2] = 17  # the wall's muscles come in small parts and are left alone
    found = without_islands(labels)
    assert found[2, 38, 38] == 0
    assert (found == 3).sum() == (labels == 3).sum() - 1
    assert found[2, 36, 2] == 17


def test_roles_that_make_no_scan_are_refused(segmenter: Segmenter, two_blocks: Blocks) -> None:
    image = nib.Nifti1Image(two_blocks[0], np.eye(4))
    for images in ({"water": image}, {"water": image, "image": image}, (image, image, image)):
        with pytest.raises(ImageError):
            segmenter(images)
    with pytest.raises(InvalidValueError, match="labels="):
        segment(image, backend="labelmap")
    with pytest.raises(InvalidValueError, match="is not there"):
        Segmenter.load(device="cuda:77")


def test_without_torch_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, two_blocks: Blocks) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'muscle-bayes\[segmentation\]'"):
        segment(nib.Nifti1Image(two_blocks[0], np.eye(4)))
