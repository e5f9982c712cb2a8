"""Label maps as they come: in floats, flipped, on another grid, in four dimensions."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from muscle_bayes.errors import GridMismatchError, ImageDimensionError, LabelSchemeError
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.resampling import nearest

SCHEME = "vibesegmentator"
SHAPE = (24, 20, 16)
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
AFFINE[:3, 3] = (-20, 10, -100)


def labelled():
    """Boxes of unequal size: gluteals, back and psoas of both sides, subcutaneous fat."""
    data = np.zeros(SHAPE, dtype=np.int16)
    data[2:6, 2:8, 1:6], data[14:19, 2:8, 1:6] = 53, 54
    data[4:9, 10:14, 5:15], data[13:18, 10:14, 5:14] = 59, 60
    data[9:11, 15:18, 6:12], data[12:14, 15:18, 6:11] = 61, 62
    data[1:23, 1, 1:15] = 65
    return data


def dixon(affine=AFFINE, shape=SHAPE):
    rng = np.random.default_rng(1)
    return [nib.Nifti1Image((v + rng.normal(0, 2, shape)).astype(np.float32), affine) for v in (380, 20)]


def volumes(labels, images=None, **options):
    table = quantify(*(images or dixon()), labels, scheme=SCHEME, region="field_of_view", **options)
    return table.set_index(["muscle", "side"])["compartment_cm3"]


@pytest.fixture(scope="module")
def counted():
    """Volumes by counting voxels of 24 mm3."""
    data = labelled()
    ids = {"gluteals": (53, 54), "autochthonous": (59, 60), "iliopsoas": (61, 62)}
    return {
        (muscle, side): 0.024 * int((data == number).sum())
        for muscle, pair in ids.items()
        for side, number in zip(("left", "right"), pair, strict=True)
    }


def assert_equal(found, counted):
    for key, expected in counted.items():
        assert found[key] == pytest.approx(expected), key


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_any_number_type(counted, dtype):
    assert_equal(volumes(nib.Nifti1Image(labelled().astype(dtype), AFFINE)), counted)


def test_floats_beside_whole_numbers_and_scaled_integers(tmp_path, counted):
    noisy = labelled() + np.float32(2e-4)
    assert_equal(volumes(nib.Nifti1Image(noisy, AFFINE)), counted)
    scaled = nib.Nifti1Image(labelled() * 2.0, AFFINE)
    scaled.header.set_data_dtype(np.int16)
    scaled.header.set_slope_inter(0.5, 0)
    nib.save(nib.Nifti1Image(labelled().astype(np.float32), AFFINE, scaled.header), tmp_path / "scaled.nii.gz")
    assert_equal(volumes(tmp_path / "scaled.nii.gz"), counted)
    with pytest.raises(LabelSchemeError, match="not whole numbers"):
        volumes(nib.Nifti1Image(ndimage.gaussian_filter(labelled().astype(np.float32), 1), AFFINE))


@pytest.mark.parametrize("axes", ["LPS", "LAS", "RPI", "SPL", "AIR"])
def test_flipped_and_turned_axes_of_one_space(counted, axes):
    image = nib.Nifti1Image(labelled(), AFFINE)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(axes))
    )
    turned = image.as_reoriented(turn)
    assert "".join(nib.aff2axcodes(turned.affine)) == axes
    assert_equal(volumes(turned), counted)
    # And the images turned instead.
    assert_equal(volumes(image, [part.as_reoriented(turn) for part in dixon()]), counted)


def test_fourth_axis(counted):
    assert_equal(volumes(nib.Nifti1Image(labelled()[..., None], AFFINE)), counted)
    assert_equal(volumes(nib.Nifti1Image(labelled()[..., None, None], AFFINE)), counted)
    hot = np.stack([labelled() == number for number in (53, 54, 59, 60)], axis=-1)
    for stack in (hot.astype(np.uint8), hot.astype(np.float32) * 0.7, hot[..., None, :].astype(np.uint8)):
        with pytest.raises(ImageDimensionError, match=r"24 x 20 x 16 x .*one-hot or probabilities.*argmax"):
            volumes(nib.Nifti1Image(stack, AFFINE))


def finer(data, factors):
    """Every voxel in equal parts, and the affine of the parts."""
    for axis, factor in enumerate(factors):
        data = np.repeat(data, factor, axis=axis)
    affine = AFFINE.copy()
    affine[:3, :3] = AFFINE[:3, :3] / np.array(factors)
    affine[:3, 3] = AFFINE[:3, 3] + AFFINE[:3, :3] @ (0.5 / np.array(factors) - 0.5)
    return nib.Nifti1Image(data, affine)


def test_another_grid_is_refused_unless_resampling_is_asked_for(counted):
    labels = finer(labelled(), (3, 1, 2))
    with pytest.raises(GridMismatchError, match=r"24 x 20 x 16 against 72 x 20 x 32 voxels.*resample_labels=True"):
        volumes(labels)
    table = quantify(*dixon(), labels, scheme=SCHEME, region="field_of_view", resample_labels=True)
    # Every image voxel holds whole parts of one label, so nothing may be lost or won.
    assert_equal(table.set_index(["muscle", "side"])["compartment_cm3"], counted)
    assert (
        "labels were taken from 0.667 x 3 x 2 mm voxels to 2 x 3 x 4 mm by the nearest neighbour"
        in table.attrs["notes"]
    )


def test_resampling_leaves_labels_of_the_same_grid_alone(counted):
    table = quantify(
        *dixon(), nib.Nifti1Image(labelled(), AFFINE), scheme=SCHEME, region="field_of_view", resample_labels=True
    )
    assert_equal(table.set_index(["muscle", "side"])["compartment_cm3"], counted)
    assert not [note for note in table.attrs["notes"] if "nearest" in note]


def test_a_label_map_of_part_of_the_image(counted):
    # Empty space was cropped away: nothing is cut, and all is there.
    part = nib.Nifti1Image(labelled(), AFFINE).slicer[1:23, 1:19, 0:15]
    assert_equal(volumes(part, resample_labels=True), counted)
    # Cropped through the back muscles, whose end would pass for their end.
    with pytest.raises(GridMismatchError, match=r"cuts a muscle there \(upper end\)"):
        volumes(nib.Nifti1Image(labelled(), AFFINE).slicer[:, :, :10], resample_labels=True)
    # The image ends there as well: then it is the image that cuts, and its own check sees that.
    images = [image.slicer[:, :, :10] for image in dixon()]
    table = quantify(
        *images, finer(labelled()[:, :, :10], (1, 1, 2)), scheme=SCHEME, region="whole", resample_labels=True
    )
    truncated = table.set_index(["muscle", "side"])["truncated"]
    assert truncated["autochthonous", "left"] == 1
    assert truncated["gluteals", "left"] == 0


def test_another_space(counted):
    elsewhere = AFFINE.copy()
    elsewhere[:3, 3] += 500
    with pytest.raises(GridMismatchError, match="no muscle of the label map lies inside the image"):
        volumes(nib.Nifti1Image(labelled(), elsewhere), resample_labels=True)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nearest_against_scipy(seed):
    # Rotated, sheared and scaled; scipy samples the same affine at order 0.
    rng = np.random.default_rng(seed)
    data = rng.integers(1, 9, (13, 11, 9))
    to_labels = np.eye(4)
    to_labels[:3, :3] = np.diag([0.8, 1.3, 0.6]) + rng.normal(0, 0.1, (3, 3))
    to_labels[:3, 3] = rng.normal(0, 2, 3)
    shape = (12, 10, 14)
    expected = ndimage.affine_transform(data, to_labels, output_shape=shape, order=0, mode="grid-constant", cval=0)
    found = nearest(data, to_labels, shape)
    assert (found > 0).mean() > 0.3
    assert np.array_equal(found, expected)
    # Without rotation another way through the code must give the same.
    to_labels[:3, :3] = np.diag(np.diag(to_labels[:3, :3]))
    expected = ndimage.affine_transform(data, to_labels, output_shape=shape, order=0, mode="grid-constant", cval=0)
    assert np.array_equal(nearest(data, to_labels, shape), expected)


def test_volume_survives_a_turned_grid():
    # A ball on a grid turned by 20 degrees keeps its volume to the discretisation error (about 1 % at this radius).
    grid = np.indices((40, 40, 40)) - 19.5
    ball = ((grid**2).sum(axis=0) <= 14**2).astype(np.int16)
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    centred = np.eye(4)
    centred[:3, 3] = -19.5
    to_labels = np.linalg.inv(centred) @ turn @ centred
    assert nearest(ball, to_labels, ball.shape).sum() == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.01)
