"""The numerical parts of phantoms: random fields, streak thresholds, averages and majority labels."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from muscle_bayes.simulation.phantom_anatomy import TISSUES, ellipse, label_of_code, segment_distance, smooth_minimum
from muscle_bayes.simulation.phantom_fat import threshold_for_share
from muscle_bayes.simulation.phantom_grid import block_mean, default_fine, majority_label
from muscle_bayes.simulation.phantom_noise import GRADIENT_TIMES_SPACING, SmoothNoise, spline_basis
from muscle_bayes.simulation.phantom_truth import MuscleGroup, solve_thresholds


def test_spline_basis_is_scipy_s() -> None:
    positions = np.linspace(-3.0, 41.0, 57)
    basis = spline_basis(positions, 0.0, 4.0, 12)
    for i in range(12):
        element = BSpline.basis_element(4.0 * (i + np.arange(-2.0, 3.0)), extrapolate=False)
        np.testing.assert_allclose(basis[:, i], np.nan_to_num(element(positions)), atol=1e-6)


def test_smooth_noise_has_unit_variance_and_the_stated_gradient() -> None:
    # 30 fields of about 500 independent cells: the variance has a relative SD of about 2 %, the bounds are 4 of these.
    x, y = np.arange(-100.0, 100.0, 1.0), np.arange(-60.0, 60.0, 1.0)
    variances, gradients = [], []
    for seed in range(30):
        values = SmoothNoise(np.random.default_rng(seed), (6.0, 6.0, 9.0)).on(x, y).at(3.7)
        variances.append(values.var())
        gradients.append((np.diff(values, axis=0) ** 2).mean())
    assert np.mean(variances) == pytest.approx(1.0, abs=0.06)
    assert np.sqrt(np.mean(gradients)) == pytest.approx(GRADIENT_TIMES_SPACING / 6.0, rel=0.06)


def test_smooth_noise_does_not_know_the_grid() -> None:
    noise = SmoothNoise(np.random.default_rng(1), (7.0, 8.0, 20.0))
    x, y = np.linspace(-50, 50, 21), np.linspace(-40, 60, 11)
    np.testing.assert_allclose(noise.on(x, y).at(12.0)[::4, ::2], noise.on(x[::4], y[::2]).at(12.0), atol=1e-5)


def test_threshold_gives_the_share() -> None:
    rng = np.random.default_rng(1)
    score = rng.standard_normal(20_001).astype(np.float32)
    weight = rng.uniform(0, 1, score.size).astype(np.float32)
    for share in (0.001, 0.07, 0.5, 0.93):
        assert (score > threshold_for_share(score, share)).mean() == pytest.approx(share, abs=1.5 / score.size)
        above = score > threshold_for_share(score, share, weight)
        assert weight[above].sum() / weight.sum() == pytest.approx(share, abs=2.0 / float(weight.sum()))
    assert not (score > threshold_for_share(score, 0.0)).any()


def test_group_thresholds_meet_the_pooled_share_with_unequal_sides() -> None:
    rng = np.random.default_rng(2)
    codes = rng.choice([0, 3, 4, 17], size=(6, 60, 50), p=[0.3, 0.4, 0.2, 0.1]).astype(np.uint8)
    score = rng.standard_normal(codes.shape).astype(np.float32)
    weight = np.array([0, 0.5, 1, 1, 1, 0], dtype=np.float32)
    thresholds = solve_thresholds(codes, score, [MuscleGroup((3, 4), 0.10, weight, asymmetry=0.2)])
    volume = np.broadcast_to(weight[:, None, None], codes.shape)
    fat = score > thresholds[codes]
    share = {c: volume[(codes == c) & fat].sum() / volume[codes == c].sum() for c in (3, 4)}
    both = np.isin(codes, [3, 4])
    assert volume[both & fat].sum() / volume[both].sum() == pytest.approx(0.10, abs=1e-3)
    assert share[3] == pytest.approx(0.12, abs=1e-3)
    assert share[4] < 0.10
    assert not fat[codes == 17].any()


def test_block_mean_is_the_mean_of_blocks() -> None:
    values = np.random.default_rng(3).uniform(size=(12, 10)).astype(np.float32)
    np.testing.assert_allclose(block_mean(values, (3, 2)), values.reshape(4, 3, 5, 2).mean(axis=(1, 3)), rtol=1e-5)


def test_majority_label_is_the_mode_and_ties_keep_the_volume() -> None:
    rng = np.random.default_rng(4)
    members = rng.choice([0, 3, 4], size=(9, 40, 30)).astype(np.uint8)
    counts = np.stack([(members == value).sum(axis=0) for value in (0, 3, 4)])
    chosen = majority_label(members)
    votes = np.take_along_axis(counts, np.searchsorted([0, 3, 4], chosen)[None], axis=0)[0]
    np.testing.assert_array_equal(votes, counts.max(axis=0))
    # A disc on a fine grid, halved: area within 1 % although every border voxel may be tied.
    fine = np.arange(200) + 0.5
    for centre in (100.0, 100.5, 101.3):
        disc = (np.hypot(fine[:, None] - centre, fine[None, :] - centre) < 60).astype(np.uint8)
        coarse = majority_label(np.stack([disc[i::2, j::2] for i in range(2) for j in range(2)]))
        assert 4 * coarse.sum() == pytest.approx(np.pi * 60**2, rel=0.01)


def test_shapes_are_where_they_are_said_to_be() -> None:
    x, y = np.meshgrid(
        np.linspace(-20, 20, 81, dtype=np.float32), np.linspace(-20, 20, 81, dtype=np.float32), indexing="ij"
    )
    inside = ellipse(x, y, 2.0, -3.0, 10.0, 5.0, 30.0) < 1
    assert inside.sum() * 0.25 == pytest.approx(np.pi * 50, rel=0.02)
    turned = np.deg2rad(30.0)
    tip = ellipse(np.float32([[2 + 10 * np.cos(turned)]]), np.float32([[-3 + 10 * np.sin(turned)]]), 2, -3, 10, 5, 30)
    assert tip[0, 0] == pytest.approx(1.0, abs=1e-5)
    distance, place = segment_distance(np.float32([[0.0, 3.0, 14.0]]), np.float32([[2.0, -1.0, 3.0]]), (0, 0), (10, 0))
    np.testing.assert_allclose(distance, [[2.0, -1.0, 5.0]], atol=1e-6)
    np.testing.assert_allclose(place, [[0.0, 0.3, 1.0]], atol=1e-6)
    a, b = np.float32([[0.5, 3.0]]), np.float32([[0.5, 1.0]])
    np.testing.assert_allclose(smooth_minimum(a, b, 0.4), [[0.4, 1.0]], atol=1e-6)


def test_tissues_have_labels_of_the_scheme() -> None:
    table = label_of_code()
    assert [int(table[code]) for code in range(3, 18)] == list(range(3, 18))
    assert set(table) <= set(range(18))
    assert all(0 <= tissue.fat_fraction <= 1 for tissue in TISSUES.values())


@pytest.mark.parametrize(("voxel", "fine"), [((1.4, 1.4, 3.0), (3, 3, 1)), ((3.2, 1.0, 6.0), (5, 3, 2))])
def test_the_fine_grid_is_odd_and_at_most_a_millimetre_wide(
    voxel: tuple[float, float, float], fine: tuple[int, int, int]
) -> None:
    assert default_fine(voxel) == fine
