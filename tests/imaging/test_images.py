import contextlib
import gzip
import hashlib
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muscle_bayes.errors import (
    CorruptImageError,
    EmptyImageError,
    GridMismatchError,
    ImageDimensionError,
    ImageError,
    ImageUnitsError,
    LabelSchemeError,
)
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.images import read_labels, read_volume, require_same_grid


def small(shape=(4, 5, 6), dtype=np.int16):
    return np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)


@given(
    codes=st.permutations("RAS").flatmap(
        lambda axes: st.tuples(*[st.sampled_from({"R": "RL", "A": "AP", "S": "SI"}[axis]) for axis in axes])
    ),
    spacing=st.tuples(*[st.floats(0.5, 6.0)] * 3),
    tilt=st.floats(-0.3, 0.3),
)
@settings(max_examples=40, deadline=None)
def test_any_orientation_keeps_world_positions_and_voxel_volume(codes, spacing, tilt):
    data = small()
    turned = nib.orientations.apply_orientation(data, nib.orientations.axcodes2ornt(codes))
    ornt = nib.orientations.axcodes2ornt(codes)
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(spacing)
    affine = affine @ nib.orientations.inv_ornt_aff(ornt, data.shape)
    affine[:3, 3] += (10, -20, 30)
    volume = read_volume(nib.Nifti1Image(turned, affine), "water")

    # The closest RAS order, whatever the order in the file.
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    # Each value sits where nibabel's own affine puts it.
    for value in (1, 17, 60, 120):
        there = nib.affines.apply_affine(affine, np.argwhere(turned == value)[0])
        here = nib.affines.apply_affine(volume.affine, np.argwhere(volume.data == value)[0])
        np.testing.assert_allclose(here, there, atol=1e-3)
    assert volume.voxel_mm3 == pytest.approx(np.prod(spacing), rel=1e-4)


def test_sheared_affine_has_the_determinants_volume():
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[0, 1] = 1.0  # shear keeps the volume and lengthens the column
    volume = read_volume(nib.Nifti1Image(small(), affine), "water")
    assert volume.voxel_mm3 == pytest.approx(20.0)
    assert np.prod(volume.spacing) > 20.0


def test_hash_is_the_files(tmp_path):
    path = tmp_path / "water.nii.gz"
    nib.save(nib.Nifti1Image(small(), np.eye(4)), path)
    volume = read_volume(path, "water")
    assert volume.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert volume.name == str(path)


def test_hash_of_an_array_sees_values_and_affine():
    first = read_volume(nib.Nifti1Image(small(), np.eye(4)), "water").sha256
    assert first == read_volume(nib.Nifti1Image(small(), np.eye(4)), "water").sha256
    assert first != read_volume(nib.Nifti1Image(small() + 1, np.eye(4)), "water").sha256
    assert first != read_volume(nib.Nifti1Image(small(), np.diag([1, 1, 2, 1])), "water").sha256


def test_scaled_integers_are_unscaled(tmp_path):
    image = nib.Nifti1Image(np.full((3, 3, 3), 8, dtype=np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 2.0)
    nib.save(image, tmp_path / "scaled.nii")
    # nibabel rewrites values on saving; the scaled value is what counts.
    expected = nib.load(tmp_path / "scaled.nii").get_fdata()
    np.testing.assert_allclose(read_volume(tmp_path / "scaled.nii", "water").data, expected)


def test_metres_become_millimetres():
    image = nib.Nifti1Image(small(), np.diag([0.002, 0.002, 0.005, 1]))
    image.header.set_xyzt_units("meter")
    assert read_volume(image, "water").voxel_mm3 == pytest.approx(20.0)


def test_singleton_fourth_axis_is_dropped_and_a_series_refused():
    affine = np.eye(4)
    assert read_volume(nib.Nifti1Image(small((4, 5, 6, 1)), affine), "water").data.shape == (4, 5, 6)
    with pytest.raises(ImageDimensionError, match="water: water has the shape 4 x 5 x 6 x 2"):
        read_volume(nib.Nifti1Image(small((4, 5, 6, 2)), affine), "water")
    with pytest.raises(ImageDimensionError, match="4 x 5"):
        read_volume(nib.Nifti1Image(small((4, 5)), affine), "water")


def test_singular_affine_is_refused():
    image = nib.Nifti1Image(small(), np.eye(4))
    image.affine[2, 2] = 0.0
    with pytest.raises(ImageDimensionError, match="singular"):
        read_volume(image, "water")


@pytest.mark.parametrize(("fill", "message"), [(np.nan, "no finite value"), (0.0, "zero everywhere")])
def test_empty_images(tmp_path, fill, message):
    path = tmp_path / "fat.nii.gz"
    nib.save(nib.Nifti1Image(np.full((3, 4, 5), fill, dtype=np.float32), np.eye(4)), path)
    with pytest.raises(EmptyImageError, match=rf"fat\.nii\.gz: fat .*{message}"):
        read_volume(path, "fat")


def test_single_nan_is_no_signal():
    data = small().astype(np.float32)
    data[1, 2, 3] = np.nan
    volume = read_volume(nib.Nifti1Image(data, np.eye(4)), "water")
    assert volume.data[1, 2, 3] == 0
    assert np.isfinite(volume.data).all()


def test_complex_and_colour_are_refused():
    with pytest.raises(ImageUnitsError, match="complex"):
        read_volume(nib.Nifti1Image(np.ones((3, 3, 3), dtype=np.complex64), np.eye(4)), "water")
    colour = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ImageUnitsError, match="colour"):
        read_volume(nib.Nifti1Image(colour, np.eye(4)), "water")


def written(folder, name="water.nii.gz"):
    rng = np.random.default_rng(1)
    path = Path(folder) / name
    nib.save(nib.Nifti1Image(rng.integers(1, 1000, (12, 13, 14)).astype(np.int16), np.eye(4)), path)
    return path


def test_corrupt_gzip(tmp_path):
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    # One byte in the middle: it still decompresses to as many voxels, and only the checksum at the end tells.
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptImageError, match=r"water\.nii\.gz: cannot be read as an image"):
        read_volume(path, "water")
    with pytest.raises(CorruptImageError, match=r"water\.nii\.gz: cannot be read as an image"):
        read_volume(nib.load(path), "water")


@pytest.mark.parametrize("keep", [0, 10, 200, 1500])
@pytest.mark.parametrize("name", ["water.nii.gz", "water.nii"])
def test_truncated_file(tmp_path, keep, name):
    path = written(tmp_path, name)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptImageError, match="water"):
        read_volume(path, "water")


def test_not_an_image(tmp_path):
    for name, content in (("notes.txt", b"not an image"), ("fake.nii.gz", gzip.compress(b"also not")), ("x.nii", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CorruptImageError, match=name):
            read_volume(path, "water")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.nii.*no such file"):
        read_volume(tmp_path / "nowhere.nii", "water")
    with pytest.raises(ImageError, match="is a folder"):
        read_volume(tmp_path, "water")


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.one_of(st.none(), st.floats(0, 1)))
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_read_or_refused_with_a_typed_error(place, value, cut):
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder)
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] = value
        path.write_bytes(bytes(content[: None if cut is None else int(cut * len(content))]))
        # Anything else that is raised fails the test.
        with contextlib.suppress(ImageError):
            assert read_volume(path, "water").data.ndim == 3


def test_float_labels_are_read(tmp_path):
    labels = np.zeros((4, 5, 6), dtype=np.float32)
    labels[1:3] = 9
    labels[3:] = 10.0004
    volume = read_labels(nib.Nifti1Image(labels, np.eye(4)))
    assert volume.data.dtype == np.int32
    assert np.unique(volume.data).tolist() == [0, 9, 10]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 3, 3.5], "whole numbers"),
        ([0, 3, np.nan], "whole numbers"),
        ([-1, 0, 3], "-1 to 3"),
        ([0, 0, 0], "no voxel is labelled"),
    ],
)
def test_labels_that_are_none(values, message):
    data = np.tile(np.asarray(values, dtype=np.float32), (3, 3, 1))
    with pytest.raises(LabelSchemeError, match=message):
        read_labels(nib.Nifti1Image(data, np.eye(4)))


def test_flipped_copy_is_on_the_same_grid():
    affine = np.array([[1.5, 0, 0, -80], [0, 1.5, 0, -60], [0, 0, 4, 10], [0, 0, 0, 1.0]])
    image = nib.Nifti1Image(small(), affine)
    flipped = image.as_reoriented(nib.orientations.axcodes2ornt(("L", "P", "S")))
    assert nib.aff2axcodes(flipped.affine) == ("L", "P", "S")
    require_same_grid(read_volume(image, "water"), read_volume(flipped, "fat"))


def test_other_grids_are_refused_with_both_names_and_the_difference(tmp_path):
    names = {}
    for name, shape, shift in (("water", (4, 5, 6), 0.0), ("fat", (4, 5, 7), 0.0), ("labels", (4, 5, 6), 2.5)):
        affine = np.diag([1.5, 1.5, 4.0, 1.0])
        affine[2, 3] = shift
        names[name] = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(small(shape), affine), names[name])
    water = read_volume(names["water"], "water")
    with pytest.raises(GridMismatchError, match=r"water\.nii\.gz and .*fat\.nii\.gz.* 4 x 5 x 6 against 4 x 5 x 7"):
        require_same_grid(water, read_volume(names["fat"], "fat"))
    with pytest.raises(GridMismatchError, match=r"water\.nii\.gz and .*labels\.nii\.gz.*2\.50 mm apart"):
        require_same_grid(water, read_volume(names["labels"], "labels"))


def test_rounding_of_an_affine_is_no_mismatch():
    affine = np.diag([1.5, 1.5, 6.6, 1.0])
    other = affine + 1e-4
    other[3] = affine[3]
    require_same_grid(
        read_volume(nib.Nifti1Image(small(), affine), "water"), read_volume(nib.Nifti1Image(small(), other), "fat")
    )


def test_header_without_orientation_is_known_to_be_unknown():
    image = nib.Nifti1Image(small(), None)
    assert not read_volume(image, "water").orientation_known
    assert read_volume(nib.Nifti1Image(small(), np.eye(4)), "water").orientation_known


def test_a_header_that_says_simulated_is_believed(tmp_path):
    rng = np.random.default_rng(1)
    water, fat = (nib.Nifti1Image(rng.uniform(50, 400, (12, 12, 6)).astype(np.float32), np.eye(4)) for _ in range(2))
    labels = nib.Nifti1Image(np.full((12, 12, 6), 3, dtype=np.uint8), np.eye(4))
    assert (quantify(water, fat, labels)["simulated"] == 0).all()
    fat.header["descrip"] = b"simulated phantom"
    nib.save(fat, tmp_path / "fat.nii.gz")
    for source in (fat, tmp_path / "fat.nii.gz", read_volume(fat, "fat")):
        table = quantify(water, source, labels)
        assert (table["simulated"] == 1).all()
        assert table.attrs["simulated"] is True
