import numpy as np
import pytest

from muscle_bayes.imaging.regions import above_gluteals, occupied, reaches_through, touches_edge_in_plane


def test_extent_starts_above_the_last_gluteal_slice_and_ends_within_a_slice():
    gluteals = np.zeros(60)
    gluteals[:11] = 1000
    extent = above_gluteals(gluteals, voxel_mm2=1.0, slice_mm=4.0, length_mm=150.0)
    # Faces 11 to 11 + 37.5: 37 whole slices and half of one.
    assert (extent.first, extent.last, extent.in_view) == (11, 48.5, True)
    assert extent.weight.sum() * 4.0 == pytest.approx(150.0)
    assert extent.weight[10] == 0
    assert extent.weight[48] == pytest.approx(0.5)
    assert not extent.weight[49:].any()


def test_less_in_view_is_said():
    gluteals = np.zeros(48)
    gluteals[:11] = 1000
    assert not above_gluteals(gluteals, 1.0, 4.0, 150.0).in_view
    # Exactly as much as is needed is enough.
    assert above_gluteals(np.r_[np.full(2, 1000.0), np.zeros(50)], 1.0, 3.0, 150.0).in_view
    # Gluteals in the last slice: their top is not seen.
    assert not above_gluteals(np.full(60, 1000.0), 1.0, 4.0, 150.0).in_view


def test_specks_of_gluteals_do_not_move_the_region():
    gluteals = np.zeros(80)
    gluteals[:11] = 1000
    gluteals[20] = 30
    gluteals[30:33] = 400  # stray labels, well above and apart
    gluteals[11:15] = 49  # a tail that hangs on, thinner than a twentieth of the largest section
    for area in (2.0, 4.0):
        assert above_gluteals(gluteals, voxel_mm2=area, slice_mm=4.0, length_mm=150.0).first == 11
    gluteals[11] = 50
    assert above_gluteals(gluteals, voxel_mm2=2.0, slice_mm=4.0, length_mm=150.0).first == 12
    assert above_gluteals(np.zeros(10), 2.0, 4.0, 150.0) is None
    # The largest section is small: from 100 mm2 on they are there.
    assert above_gluteals(np.r_[np.full(3, 50.0), np.zeros(60)], 2.0, 3.0, 150.0).first == 3
    assert above_gluteals(np.r_[np.full(3, 49.0), np.zeros(60)], 2.0, 3.0, 150.0) is None


def test_a_muscle_must_be_there_from_end_to_end():
    gluteals = np.zeros(60)
    gluteals[:11] = 1000
    extent = above_gluteals(gluteals, 1.0, 4.0, 150.0)
    muscle = np.zeros(60)
    muscle[5:50] = 100
    assert reaches_through(muscle, extent)
    muscle[48:] = 0
    assert not reaches_through(muscle, extent)


def test_occupied_knows_the_ends_of_the_stack():
    inside = occupied(np.array([0, 3, 0, 2, 0]))
    assert (inside.first, inside.last, inside.in_view) == (1, 4, True)
    assert not occupied(np.array([1, 3, 0])).in_view
    assert not occupied(np.array([0, 3, 1])).in_view


def test_edges_in_plane():
    structure = np.zeros((6, 7, 3), dtype=int)
    structure[2:4, 2:4] = 1
    structure[0, 3, 1] = 2
    structure[3, 6, 2] = 3
    structure[4, 4, 0] = 4  # first slice is no edge in plane
    np.testing.assert_array_equal(touches_edge_in_plane(structure, 4), [False, True, True, False])
