"""Slices of 3 mm, which resemble their neighbours more than those of 6 mm do: the limits hold for both."""

import numpy as np
import pytest

from muscle_bayes.imaging import SCHEME
from muscle_bayes.imaging.quality import assess_arrays
from muscle_bayes.imaging.quality.slices import gap_ratios, steps_between_slices
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


def test_steps_over_a_reach_are_differences_of_means() -> None:
    """On a ramp each step is the distance of the means, reach slices, wherever both windows are whole."""
    ramp = np.broadcast_to(100.0 + np.arange(40.0), (8, 8, 40)).astype(np.float32)
    view = make_view((3.0, 3.0, 2.0), image=ramp)
    unit = steps_between_slices(view, 1)[10:30]
    three = steps_between_slices(view, 3)[10:30]
    # Each slice is divided by its own level, so a ramp is flat: shading along the stack is no anatomy.
    np.testing.assert_allclose([unit, three], 0, atol=1e-5)
    steps = np.ones(40)
    steps[18:23] = [2, 3, 4, 3, 2]  # what a jump at 20 looks like over a reach of 3
    assert gap_ratios(steps, np.ones(40, dtype=bool), 3)[20] == 4
