"""Slices of 3 mm, which resemble their neighbours more than those of 6 mm do: the limits hold for both."""

import numpy as np
import pytest

from muscle_bayes.imaging import SCHEME
from muscle_bayes.imaging.quality import assess_arrays
from muscle_bayes.imaging.quality.slices import changes_between_slices, gap_ratios, steps_of_blocks
from muscle_bayes.imaging.quality.view import make_view
from muscle_bayes.simulation import simulate_phantom

SPACING = (2.0, 2.0, 3.0)


@pytest.fixture(scope="module")
def trunk() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    phantom = simulate_phantom("trunk", seed=1, voxel_mm=SPACING, supersample=(1, 1, 1))
    water, fat, labels = (np.asarray(image.dataobj) for image in (phantom.water, phantom.fat, phantom.labels))
    return water.astype(np.float32), fat.astype(np.float32), labels.astype(np.int32)


def test_a_clean_scan_passes(trunk: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    water, fat, labels = trunk
    found = assess_arrays(SPACING, water, fat, None, labels, structures=SCHEME, simulated=True)
    assert [finding.message for finding in found.findings if finding.severity != "note"] == []


@pytest.mark.parametrize("first", [30, 31])  # whether the gap lies between pairs of slices or within one
def test_slices_that_were_left_out_are_found_where_they_were(
    trunk: tuple[np.ndarray, np.ndarray, np.ndarray], first: int
) -> None:
    kept = np.delete(np.arange(trunk[0].shape[2]), np.arange(first, first + 9))
    water, fat, labels = (data[:, :, kept] for data in trunk)
    found = assess_arrays(SPACING, water, fat, None, labels, structures=SCHEME, simulated=True)
    missing = next(finding for finding in found.findings if finding.kind == "missing_slices")
    assert first - 1 in missing.slices


def test_changes_over_a_reach_are_differences_of_means() -> None:
    """Shading along the stack is no anatomy; one bright slice is a share of the mean of those that are averaged."""
    ramp = np.broadcast_to(100.0 + np.arange(40.0), (20, 20, 40)).astype(np.float32)
    for reach in (1, 3):
        change, _ = changes_between_slices(make_view((3.0, 3.0, 2.0), image=ramp), reach)
        np.testing.assert_allclose(change[:, :, 10:30], 0, atol=1e-5)
    flat = np.full((20, 20, 40), 100, dtype=np.float32)
    flat[:10, :, 20] = 200
    flat[10:, :, 20] = 0.6 * 100
    one, three = (changes_between_slices(make_view((3.0, 3.0, 2.0), image=flat), reach)[0] for reach in (1, 3))
    # Far from the border between its halves the slice is 200 and 60 over a mean of 130.
    np.testing.assert_allclose(one[0, 10, 19:21], abs(200 / 130 - 1), rtol=1e-3)
    np.testing.assert_allclose(three[0, 10, 19:21], abs(200 / 130 - 1) / 3, rtol=1e-3)
    np.testing.assert_allclose(one[-1, 10, 19:21], abs(60 / 130 - 1), rtol=1e-3)


def test_gap_ratio_is_that_of_most_of_the_body() -> None:
    steps, voxels, usable = np.ones((10, 40)), np.full((10, 40), 50.0), np.ones(40, dtype=bool)
    steps[:, 18:23] = [2, 3, 4, 3, 2]  # what a jump at 20 looks like over a reach of 3
    assert gap_ratios(steps, voxels, usable, 3)[20] == 4
    organ = np.ones((10, 40))
    organ[:4, 20] = 30.0  # an organ begins in four of ten blocks
    assert gap_ratios(organ, voxels, usable)[20] == 1
    organ[:6, 20] = 30.0
    assert gap_ratios(organ, voxels, usable)[20] == 30
    # Blocks that hold little of the body count little.
    voxels[:6] = 5.0
    assert gap_ratios(organ, voxels, usable)[20] == 1


def test_blocks_are_means_over_the_body_in_them() -> None:
    rng = np.random.default_rng(1)
    change, body = rng.random((20, 13, 4)), rng.random((20, 13, 4)) < 0.8
    steps, voxels = steps_of_blocks(change * body, body, (5.0, 5.0, 6.0))
    assert steps.shape == (4 * 3, 4)
    inside = body[5:10, 5:10, 2]
    assert voxels[1 * 3 + 1, 2] == inside.sum()
    assert steps[1 * 3 + 1, 2] == pytest.approx(change[5:10, 5:10, 2][inside].mean())
