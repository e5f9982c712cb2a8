"""Disks in millimetres against SciPy's distance transform and hole filling, slice by slice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from muscle_bayes.imaging.morphology import close_slices, dilate_slices, erode_slices, fill_slices, open_slices

SPACING = st.sampled_from([(1.5, 1.5, 6.0), (1.0, 2.3, 3.0), (3.0, 0.9, 1.0)])
RADIUS = st.sampled_from([1.5, 3.0, 4.5, 12.0])


def blobs(seed, shape=(40, 34, 3)):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, (2.5, 2.5, 0)) > 0.08


def within(mask, radius, spacing):
    """Voxels whose distance to the mask in their slice is at most the radius."""
    result = np.zeros(mask.shape, dtype=bool)
    for k in range(mask.shape[2]):
        if mask[:, :, k].any():
            distance = ndimage.distance_transform_edt(~mask[:, :, k], sampling=spacing[:2])
            result[:, :, k] = distance <= radius * (1 + 1e-6)
    return result


@given(seed=st.integers(1, 1000), spacing=SPACING, radius=RADIUS)
@settings(max_examples=30, deadline=None)
def test_dilation_and_erosion_are_distances(seed, spacing, radius):
    mask = blobs(seed)
    np.testing.assert_array_equal(dilate_slices(mask, radius, spacing), within(mask, radius, spacing))
    np.testing.assert_array_equal(erode_slices(mask, radius, spacing), ~within(~mask, radius, spacing))


@given(seed=st.integers(1, 1000), spacing=SPACING, radius=RADIUS)
@settings(max_examples=30, deadline=None)
def test_closing_and_opening(seed, spacing, radius):
    mask = blobs(seed)
    # On an unbounded plane: pad by more than the radius, dilate, erode, cut back.
    pad = 30
    wide = np.pad(mask, [(pad, pad), (pad, pad), (0, 0)])
    closed = ~within(~within(wide, radius, spacing), radius, spacing)
    closed = closed[pad:-pad, pad:-pad]
    np.testing.assert_array_equal(close_slices(mask, radius, spacing), closed | mask)

    opened = open_slices(mask, radius, spacing)
    assert not (opened & ~mask).any()
    np.testing.assert_array_equal(open_slices(opened, radius, spacing), opened)


@given(seed=st.integers(1, 1000))
@settings(max_examples=20, deadline=None)
def test_filled_holes_are_scipys(seed):
    mask = blobs(seed)
    expected = np.stack([ndimage.binary_fill_holes(mask[:, :, k]) for k in range(mask.shape[2])], axis=2)
    np.testing.assert_array_equal(fill_slices(mask), expected)


def test_slices_do_not_see_each_other():
    mask = np.zeros((21, 21, 3), dtype=bool)
    mask[10, 10, 1] = True
    grown = dilate_slices(mask, 5.0, (1.0, 1.0, 0.1))
    assert not grown[:, :, [0, 2]].any()
    # Lattice points within 5 of the origin (Gauss's circle problem).
    assert grown[:, :, 1].sum() == 81


def test_memory_order_does_not_matter():
    mask = blobs(1)
    np.testing.assert_array_equal(
        close_slices(np.asfortranarray(mask), 4.5, (1.5, 1.5)),
        close_slices(np.ascontiguousarray(mask), 4.5, (1.5, 1.5)),
    )


@pytest.mark.parametrize("mask", [np.zeros((5, 6, 2), dtype=bool), np.ones((5, 6, 2), dtype=bool)])
def test_empty_and_full(mask):
    for act in (dilate_slices, erode_slices, close_slices, open_slices):
        np.testing.assert_array_equal(act(mask, 3.0, (1.5, 1.5)), mask)
    np.testing.assert_array_equal(fill_slices(mask), mask)
