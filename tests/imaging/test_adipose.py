import numpy as np
import pytest

from muscle_bayes.imaging.adipose import burden, tally


def test_tally_counts_by_structure_and_slice():
    structure = np.zeros((4, 3, 2), dtype=int)
    structure[0:2] = 1  # 6 voxels a slice
    structure[3, :, 1] = 2  # 3 voxels, second slice only
    fraction = np.full(structure.shape, 0.1, dtype=np.float32)
    fraction[0, 0, 0] = 0.5  # exactly at the threshold: adipose
    fraction[0, 1, 0] = 0.49
    fraction[1, 0, 1] = np.nan
    fraction[3, :, 1] = [0.9, 0.8, np.nan]
    fraction[2] = 1.0  # outside every structure
    counts = tally(structure, 2, fraction, None, None)
    np.testing.assert_array_equal(counts.voxels, [[6, 6], [0, 3]])
    np.testing.assert_array_equal(counts.defined, [[6, 5], [0, 2]])
    np.testing.assert_array_equal(counts.adipose["threshold"], [[1, 0], [0, 2]])
    np.testing.assert_allclose(counts.adipose["fraction"], [[0.4 + 0.5 + 0.49, 0.5], [0, 1.7]], rtol=1e-6)
    assert np.isnan(counts.adipose["mixture"]).all()


def test_undefined_leave_numerator_and_denominator_and_are_not_lean():
    structure = np.ones((10, 10, 1), dtype=int)
    fraction = np.zeros((10, 10, 1), dtype=np.float32)
    fraction[:2] = 1.0  # 20 adipose
    fraction[2:6] = np.nan  # 40 undefined
    found = burden(tally(structure, 1, fraction, None, None), np.array([0]), np.ones(1), voxel_mm3=1000.0)
    assert found.compartment_cm3 == 100.0
    assert found.undefined_percent == 40.0
    assert found.intermat_percent["threshold"] == pytest.approx(100 * 20 / 60)
    assert found.lean_cm3["threshold"] == pytest.approx(40.0)


def test_pooling_is_by_volume_not_by_mean():
    structure = np.zeros((10, 10, 1), dtype=int)
    structure[:8], structure[8:] = 1, 2
    fraction = np.zeros((10, 10, 1), dtype=np.float32)
    fraction[8:] = 1.0  # the small one is all fat
    counts = tally(structure, 2, fraction, None, None)
    found = burden(counts, np.array([0, 1]), np.ones(1), 1.0)
    assert found.intermat_percent["fraction"] == pytest.approx(20.0)


def test_slices_count_in_part():
    structure = np.ones((2, 5, 3), dtype=int)
    fraction = np.zeros(structure.shape, dtype=np.float32)
    fraction[:, :, 1] = 1.0
    counts = tally(structure, 1, fraction, None, None)
    found = burden(counts, np.array([0]), np.array([1.0, 0.5, 0.0]), 1000.0)
    assert found.compartment_cm3 == pytest.approx(15.0)
    assert found.intermat_percent["threshold"] == pytest.approx(100 * 5 / 15)


def test_nothing_defined_is_missing_not_zero():
    structure = np.ones((2, 2, 1), dtype=int)
    counts = tally(structure, 1, np.full((2, 2, 1), np.nan, dtype=np.float32), None, None)
    found = burden(counts, np.array([0]), np.ones(1), 1.0)
    assert found.undefined_percent == 100.0
    assert np.isnan(found.intermat_percent["threshold"])
    assert np.isnan(found.lean_cm3["threshold"])
