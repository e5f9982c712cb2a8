"""The part of a whole body that matters is found in its outline, or in coarse labels, and cut with the affine kept right."""

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.errors import BundleError, ImageError
from muscle_bayes.imaging.deliveries.extent import (
    GLUTEALS_SEEN_MM,
    MARGIN_MM,
    THIGH_MM,
    Heights,
    crop_to_extent,
    cut_to_training,
    exposure_field,
    field_for,
    find_landmarks,
    trained_field,
)
from muscle_bayes.imaging.images import Volume, read_volume
from muscle_bayes.imaging.labels import label_id

SPACING = (4.0, 4.0, 6.0)


def ellipse(shape, centre, radii):
    x, y = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * 4.0 for n in shape[:2]], indexing="ij")
    return ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1


def person(crotch_mm=600.0, shoulders_mm=1150.0, head_mm=1380.0, *, arms=True, knees=(280, 340), seed=1):
    """A made-up outline: two legs, touching knees, a trunk with arms beside it, a neck and a head; heights from 0 at the foot."""
    shape = (130, 80, round(head_mm / SPACING[2]) + 8)
    water = np.zeros(shape, np.float32)
    for k in range(shape[2]):
        z = (k + 0.5) * SPACING[2]
        if z < crotch_mm:
            width = 60 if knees[0] < z < knees[1] else 75
            apart = 60 if knees[0] < z < knees[1] else 88
            body = ellipse(shape, (-apart, 0), (width, 70)) | ellipse(shape, (apart, 0), (width, 70))
        elif z < shoulders_mm:
            body = ellipse(shape, (0, 0), (165, 110))
            if arms:
                body |= ellipse(shape, (-215, 0), (32, 32)) | ellipse(shape, (215, 0), (32, 32))
        elif z < head_mm:
            body = ellipse(shape, (0, 0), (60, 60))
        else:
            body = np.zeros(shape[:2], bool)
        water[:, :, k] = 800 * body
    noise = np.random.default_rng(seed).rayleigh(15, (2, *shape)).astype(np.float32)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-260, -160, -500 + SPACING[2] / 2)
    return (
        Volume(water + noise[0], affine, "water", ""),
        Volume(0.3 * water + noise[1], affine, "fat", ""),
    )


# Heights are counted from the foot, the scanner's zero lies 500 mm above it.
@pytest.mark.parametrize("arms", [True, False])
@pytest.mark.parametrize(("crotch", "shoulders"), [(600, 1150), (540, 1040), (702, 1320)])
def test_landmarks_of_an_outline(arms, crotch, shoulders):
    found = find_landmarks(*person(crotch, shoulders, shoulders + 230, arms=arms))
    assert found.crotch == pytest.approx(crotch - 500, abs=SPACING[2])
    assert found.shoulders == pytest.approx(shoulders - 500, abs=SPACING[2])
    assert found.body_lower == pytest.approx(-500, abs=SPACING[2])
    assert found.body_upper == pytest.approx(shoulders + 230 - 500, abs=SPACING[2])


def test_a_trunk_alone_has_no_crotch():
    water, fat = person()
    above = 110
    affine = water.affine.copy()
    affine[:3, 3] += affine[:3, 2] * above
    trunk = [Volume(v.data[:, :, above:190], affine, v.name, "") for v in (water, fat)]
    found = find_landmarks(*trunk)
    assert found.crotch is None
    field = trained_field(found, ("trunk", "thighs"))
    assert (field.lower, field.upper) == (found.body_lower, found.body_upper)
    assert trained_field(found, ("thighs",)) is None


def test_the_trained_field_follows_the_landmarks():
    landmarks = find_landmarks(*person())
    both = trained_field(landmarks, ("trunk", "thighs"))
    assert both.lower == pytest.approx(landmarks.crotch - THIGH_MM - MARGIN_MM)
    assert both.upper == pytest.approx(landmarks.shoulders + MARGIN_MM)
    assert trained_field(landmarks, ("trunk",)).lower == pytest.approx(landmarks.crotch - MARGIN_MM)
    assert trained_field(landmarks, ("thighs",)).upper == pytest.approx(landmarks.crotch + MARGIN_MM)
    assert trained_field(landmarks, ()) is None


def test_an_empty_image_is_named():
    water = person()[0]
    nothing = Volume(np.zeros_like(water.data), water.affine, "water", "")
    with pytest.raises(ImageError, match="no slice shows a body"):
        find_landmarks(nothing, nothing)


def test_metadata_state_the_regions():
    assert field_for({"trained_regions": ["thighs", "trunk"]}) == ("trunk", "thighs")
    assert field_for({}) == ()
    with pytest.raises(BundleError, match="no list of regions"):
        field_for({"trained_regions": ["head"]})


@pytest.mark.parametrize("coarse", [6.0, 12.0, 15.0])
def test_the_exposures_extent_is_held_by_what_coarse_labels_give(coarse):
    # Gluteals whose top lies at 137 mm, labelled on slices of several thicknesses.
    top, slices = 137.0, int(600 // coarse)
    affine = np.diag([4.0, 4.0, coarse, 1.0])
    affine[2, 3] = -200.0
    heights = -200.0 + coarse * np.arange(slices)
    data = np.zeros((40, 30, slices), np.int32)
    gluteal = label_id("gluteals", "left")
    data[10:20, 10:20, (heights < top) & (heights > top - 150)] = gluteal
    field = exposure_field(Volume(data, affine, "labels", ""), [gluteal])
    assert field.upper >= top + 150 + MARGIN_MM - coarse / 2
    assert field.upper <= top + 150 + MARGIN_MM + 2 * coarse
    assert top - GLUTEALS_SEEN_MM - 2 * coarse <= field.lower <= top - GLUTEALS_SEEN_MM + coarse / 2
    assert exposure_field(Volume(data, affine, "labels", ""), [99]) is None


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAR", "ASL"])
def test_cutting_keeps_every_voxel_where_it_was(codes):
    random = np.random.default_rng(1)
    angle = np.radians(7)
    affine = np.diag([2.0, 2.5, 4.0, 1.0])
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    straight = nib.Nifti1Image(random.normal(size=(9, 8, 30)).astype(np.float32), turn @ affine)
    target = nib.orientations.axcodes2ornt(tuple(codes))
    image = straight.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(straight.affine), target))
    whole = read_volume(image, "water")
    part = crop_to_extent({"water": whole}, Heights(20.0, 61.0, "made up"))["water"]
    # Slices 5 to 15 of the straight image have some of 20 to 61 mm within (centres at 4 k, half a slice either way); nibabel
    # says where they are.
    expected = straight.slicer[:, :, 5:16]
    np.testing.assert_array_equal(part.data, expected.get_fdata(dtype=np.float32))
    np.testing.assert_allclose(part.affine, expected.affine, atol=1e-4)
    assert part.sha256 == whole.sha256


def test_nothing_within_is_named():
    volume = Volume(np.ones((4, 4, 4), np.float32), np.eye(4), "x.nii", "")
    with pytest.raises(ImageError, match="no slice lies between 100 and 200 mm"):
        crop_to_extent({"fat": volume}, Heights(100.0, 200.0, "made up"))


def test_a_scan_is_cut_to_what_weights_were_trained_on():
    water, fat = person()
    volumes, note = cut_to_training({"water": water, "fat": fat}, {"trained_regions": ["trunk"]})
    assert note == "the scan was cut to trunk, which the weights were trained on, by the outline of the body"
    found = find_landmarks(water, fat)
    centres = volumes["fat"].affine[2, 3] + SPACING[2] * np.arange(volumes["fat"].data.shape[2])
    assert centres[0] - SPACING[2] / 2 <= found.crotch - MARGIN_MM < centres[0] + SPACING[2] / 2
    assert centres[-1] - SPACING[2] / 2 < found.shoulders + MARGIN_MM <= centres[-1] + SPACING[2] / 2
    whole, note = cut_to_training({"water": water, "fat": fat}, {})
    assert note is None
    assert whole["water"] is water
    # One contrast shows the outline as well.
    single, _ = cut_to_training({"image": water}, {"trained_regions": ["trunk"]})
    assert single["image"].data.shape == volumes["water"].data.shape
