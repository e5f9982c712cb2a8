"""Figures of real scans beside the project: a Dixon pair of both calves and a single contrast of both thighs."""

import numpy as np
import pytest

from muscle_bayes.errors import LabelSchemeError, MixtureNotSeparableError
from muscle_bayes.imaging import quantify, read_scan


@pytest.fixture(scope="module")
def calf(shared_data):
    folder = shared_data / "calf_dixon"
    return quantify(folder / "water.nii.gz", folder / "fat.nii.gz", backend="hull", bmi=25.0).set_index("side")


@pytest.fixture(scope="module")
def calf_scan(shared_data):
    folder = shared_data / "calf_dixon"
    return read_scan(folder / "water.nii.gz", folder / "fat.nii.gz", backend="hull")


def test_calf_volume_and_intermat_are_those_of_a_healthy_calf(calf):
    both = calf.loc["both"]
    assert 2850 <= both["compartment_cm3"] <= 2950
    assert 6.5 <= both["intermat_fraction_percent"] <= 7.5
    # Leaking marrow is what would bring this to 4 %.
    assert 0.2 <= both["intermat_threshold_percent"] <= 1.0
    assert both["undefined_percent"] < 1.0
    assert both["qc"] == "pass"


def test_calf_legs_agree_and_sum(calf):
    left, right, both = (calf.loc[side] for side in ("left", "right", "both"))
    assert abs(left["compartment_cm3"] / right["compartment_cm3"] - 1) < 0.05
    for column in ("compartment_cm3", "lean_threshold_cm3", "lean_fraction_cm3", "lmm_threshold_cm3_per_kg_m2"):
        assert both[column] == pytest.approx(left[column] + right[column], rel=1e-9)


def test_calf_sides_follow_the_scanner_axes(calf_scan):
    # Scanner +x is the person's right: the left leg lies at lower x.
    x = [np.nonzero(calf_scan.labels == number)[0].mean() for number in (3, 4)]
    assert calf_scan.scheme[3].side == "left"
    assert x[0] < x[1]


def test_calf_bone_is_out_and_is_two_fibulae(calf_scan):
    # The fibula is a hole in every slice of each leg; the tibia lies open at the shin and never enters.
    bone = calf_scan.labels == 2
    middle = bone.shape[0] // 2
    voxel_mm2 = 1.5 * 1.5
    for leg in (bone[:middle], bone[middle:]):
        area = leg.sum(axis=(0, 1)) * voxel_mm2
        assert (area > 60).all()
        assert (area < 350).all()
    # Marrow of the tibia: bright fat inside a void in the front of the leg, never inside the compartment. A leak would show
    # as connected fat of more than 1 cm2 in a slice of the compartment.
    from scipy import ndimage

    adipose = (np.nan_to_num(calf_scan.fraction) >= 0.5) & (calf_scan.labels >= 3)
    for k in range(adipose.shape[2]):
        parts, count = ndimage.label(adipose[:, :, k])
        if count:
            assert np.bincount(parts.ravel())[1:].max() * voxel_mm2 < 100


def test_calf_compartment_keeps_off_the_skin(calf_scan, shared_data):
    from scipy import ndimage

    body = calf_scan.background.data > 0
    for k in range(body.shape[2]):
        filled = ndimage.binary_fill_holes(ndimage.binary_closing(body[:, :, k], iterations=3))
        depth = ndimage.distance_transform_edt(filled, sampling=1.5)
        assert depth[calf_scan.labels[:, :, k] >= 3].min() > 3.0


def test_thigh_single_contrast_is_refused_with_the_measured_separation(shared_data):
    folder = shared_data / "thigh_labelled"
    words = r"image\.nii\.gz: fat and muscle are not told apart by brightness.*separation D = \d.*T1-weighted"
    with pytest.raises(MixtureNotSeparableError, match=words):
        quantify(image=folder / "image.nii.gz", labels=folder / "labels.nii.gz", scheme=folder / "labels.txt")


def test_thigh_labels_need_a_scheme(shared_data):
    folder = shared_data / "thigh_labelled"
    with pytest.raises(LabelSchemeError, match=r"labels\.nii\.gz.*31, 32.*104"):
        quantify(image=folder / "image.nii.gz", labels=folder / "labels.nii.gz")
