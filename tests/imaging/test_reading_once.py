"""Images that are read once and handed on give what files give, in whatever order they lie in memory."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import CorruptImageError
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.adipose import tally
from muscle_bayes.imaging.fat_fraction import (
    T1Correction,
    fat_signal_fraction,
    in_body_median,
    in_body_median_of_pair,
)
from muscle_bayes.imaging.images import read_volume, read_volumes
from muscle_bayes.imaging.scan_input import on_input_grid


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A body with two muscles, stored with its axes turned."""
    rng = np.random.default_rng(1)
    shape = (40, 30, 8)
    water, fat = (np.abs(rng.normal(level, 20, shape)) for level in (200.0, 60.0))
    water[:4], fat[:4], labels = 3, 2, np.zeros(shape, np.uint8)
    labels[6:16, 5:25, 1:7], labels[20:34, 5:25, 1:7] = 3, 4
    affine = np.array([[0, 1.4, 0, 0], [-1.4, 0, 0, 0], [0, 0, 3.0, 0], [0, 0, 0, 1]])
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("water", "fat", "labels")}
    for (name, path), values in zip(paths.items(), (water, fat, labels), strict=True):
        nib.save(nib.Nifti1Image(values.astype(np.uint8 if name == "labels" else np.int16), affine), path)
    return paths


def test_volumes_and_files_are_measured_alike(files: dict[str, Path]) -> None:
    volumes = read_volumes({role: files[role] for role in ("water", "fat")})
    assert read_volume(volumes["water"], "water") is volumes["water"]
    once = quantify(volumes["water"], volumes["fat"], files["labels"], scheme="muscle_bayes", bmi=25)
    again = quantify(files["water"], files["fat"], files["labels"], scheme="muscle_bayes", bmi=25)
    pd.testing.assert_frame_equal(once, again)
    assert once.attrs["inputs"] == again.attrs["inputs"]


def test_labels_go_back_to_the_stored_order_without_the_file(files: dict[str, Path]) -> None:
    stored = nib.load(files["labels"])
    volume = read_volume(files["water"], "water")
    labels = np.asarray(nib.as_closest_canonical(stored).dataobj)
    files["water"].unlink()
    found = on_input_grid(labels, volume, volume)
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(stored.dataobj))
    np.testing.assert_allclose(found.affine, stored.affine)


def test_of_images_read_side_by_side_a_damaged_one_is_named(files: dict[str, Path]) -> None:
    content = files["fat"].read_bytes()
    files["fat"].write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptImageError, match="fat"):
        read_volumes({role: files[role] for role in ("water", "fat")})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("correction", [None, T1Correction(6.7, 10.0, 1400.0, 380.0)])
def test_the_fat_fraction_is_the_formula(order: str, correction: T1Correction | None) -> None:
    rng = np.random.default_rng(2)
    water, fat = (np.asarray(rng.normal(50, 60, (13, 11, 7)), np.float32, order=order) for _ in range(2))
    found = fat_signal_fraction(water, fat, 30.0, correction)
    w, f = np.maximum(water, 0), np.maximum(fat, 0)
    undefined = w + f < 30
    if correction is not None:
        shares = correction.saturation()
        f = f * np.float32(shares[0] / shares[1])
    with np.errstate(invalid="ignore"):
        wanted = np.where(undefined, np.nan, f / (w + f))
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.float32
    assert found.flags.f_contiguous == (order == "F")


def test_the_median_of_a_pair_is_that_of_its_sum() -> None:
    rng = np.random.default_rng(3)
    for shape in ((20, 30, 10), (173, 171, 151)):  # the second is looked at in part
        water, fat = (np.asfortranarray(rng.normal(40, 30, shape).astype(np.float32)) for _ in range(2))
        total = np.maximum(water, 0) + np.maximum(fat, 0)
        assert in_body_median_of_pair(water, fat) == in_body_median(total)


@pytest.mark.parametrize("order", ["C", "F"])
def test_tallies_are_sums_over_slices_of_structures(order: str) -> None:
    rng = np.random.default_rng(4)
    structure = np.asarray(rng.integers(0, 4, (9, 8, 5)), dtype=np.int32, order=order)
    fraction = np.asarray(rng.uniform(0, 1, structure.shape), dtype=np.float32, order=order)
    fraction[rng.uniform(size=structure.shape) < 0.2] = np.nan
    found = tally(structure, 3, fraction, fraction, None)
    for number in range(3):
        for k in range(5):
            values = fraction[:, :, k][structure[:, :, k] == number + 1]
            known = values[~np.isnan(values)]
            assert found.voxels[number, k] == values.size
            assert found.defined[number, k] == known.size
            assert found.adipose["threshold"][number, k] == (known >= 0.5).sum()
            assert found.adipose["fraction"][number, k] == pytest.approx(known.sum(), rel=1e-6)
