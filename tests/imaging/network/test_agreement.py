"""Dice and surface distances against MONAI's, Bland-Altman by hand, ICC against Shrout and Fleiss (1979)."""

import numpy as np
import pytest

from muscle_bayes.imaging.network.agreement import (
    bland_altman,
    dice,
    intraclass_correlation,
    surface_agreement,
)

SPACING = (1.4, 2.0, 3.0)


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping ellipsoids with rough borders."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.arange(n) for n in (24, 20, 14)), indexing="ij")
    masks = []
    for centre in rng.uniform((9, 8, 5), (14, 11, 8), (2, 3)):
        radius = sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, (7, 6, 4), strict=True))
        masks.append(radius + rng.normal(0, 0.15, radius.shape) < 1)
    return masks[0], masks[1]


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy.*:FutureWarning")
@pytest.mark.parametrize("seed", range(1, 6))
def test_overlap_and_surfaces_are_those_of_monai(seed: int) -> None:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    first, second = blobs(seed)
    a, b = (torch.as_tensor(mask[None, None].astype(np.float32)) for mask in (first, second))
    assert dice(first, second) == pytest.approx(float(compute_dice(a, b)))
    found = surface_agreement(first, second, SPACING)
    symmetric = compute_average_surface_distance(a, b, include_background=True, symmetric=True, spacing=SPACING)
    assert found.mean == pytest.approx(float(symmetric), rel=1e-5)
    hausdorff = compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=SPACING)
    assert found.hausdorff_95 == pytest.approx(float(hausdorff), rel=1e-5)


def test_masks_that_are_empty_have_no_figures() -> None:
    empty, full = np.zeros((4, 4, 4), dtype=bool), np.ones((4, 4, 4), dtype=bool)
    assert np.isnan(dice(empty, empty))
    assert dice(empty, full) == 0
    assert np.isnan(surface_agreement(empty, full, SPACING).mean)


def test_icc_of_shrout_and_fleiss_1979() -> None:
    """Table 2 of the paper: six targets, four judges; ICC(2,1) 0.29, ICC(3,1) 0.71, interval as psych::ICC prints it."""
    judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    found = intraclass_correlation(np.array(judges, dtype=float))
    assert found.agreement == pytest.approx(0.29, abs=0.005)
    assert found.consistency == pytest.approx(0.71, abs=0.005)
    assert (found.lower, found.upper) == pytest.approx((0.019, 0.761), abs=0.0005)


def test_icc_knows_a_shift_from_noise() -> None:
    values = np.random.default_rng(1).normal(10, 2, 200)
    shifted = intraclass_correlation(np.column_stack([values, values + 2]))
    assert shifted.consistency == pytest.approx(1.0)
    # Between-person variance over itself plus half the squared shift (the raters' variance).
    assert shifted.agreement == pytest.approx(values.var(ddof=1) / (values.var(ddof=1) + 2.0), rel=0.01)


def test_icc_of_three_scans_that_agree_in_nothing_is_quiet() -> None:
    """Next to no degrees of freedom: the quantile of F is infinite, and the interval takes its limit."""
    for seed in range(1, 200):
        found = intraclass_correlation(np.random.default_rng(seed).normal(size=(3, 2)) + np.array([0.0, 1e4]))
        assert -1 < found.lower <= found.upper < 1


def test_bland_altman_of_known_differences() -> None:
    reference = np.array([2.0, 5.0, 9.0, 12.0, 20.0])
    found = bland_altman(1.1 * reference + 0.5, reference)
    difference = 0.1 * reference + 0.5
    assert found.bias == pytest.approx(difference.mean())
    assert found.sd == pytest.approx(difference.std(ddof=1))
    assert found.upper - found.lower == pytest.approx(3.92 * difference.std(ddof=1))
    assert found.slope == pytest.approx(1.1)
    half = 2.776445 * difference.std(ddof=1) / np.sqrt(5)  # t quantile, 4 degrees of freedom
    assert found.bias_interval == pytest.approx((difference.mean() - half, difference.mean() + half))
