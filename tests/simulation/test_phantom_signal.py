"""MR physics of phantoms against closed forms, SciPy's distributions and a Bloch simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from muscle_bayes.simulation.phantom_anatomy import LIVER, SUBCUTANEOUS_FAT
from muscle_bayes.simulation.phantom_signal import (
    REPETITION_TIME_MS,
    dixon_reconstruction,
    spoiled_gradient_echo,
    swap_box,
    tissue_signals,
)

N = 200_000


@pytest.mark.parametrize(("t1_ms", "flip_deg"), [(370.0, 9.0), (1400.0, 9.0), (800.0, 25.0)])
def test_spoiled_gradient_echo_is_the_steady_state_of_the_bloch_equations(t1_ms: float, flip_deg: float) -> None:
    alpha, longitudinal, signal = math.radians(flip_deg), 1.0, 0.0
    for _ in range(20_000):  # pulse, read, spoil, relax
        signal = longitudinal * math.sin(alpha)
        longitudinal = 1 + (longitudinal * math.cos(alpha) - 1) * math.exp(-REPETITION_TIME_MS / t1_ms)
    assert spoiled_gradient_echo(t1_ms, flip_deg) == pytest.approx(signal, rel=1e-9)


def test_proton_density_signals_carry_the_fat_fractions() -> None:
    water, fat, (adipose_water, adipose_fat) = tissue_signals(0.05, None)
    assert fat[3] / (water[3] + fat[3]) == pytest.approx(0.05)
    assert water[3] + fat[3] == pytest.approx(1.0)
    assert fat[SUBCUTANEOUS_FAT] / (water[SUBCUTANEOUS_FAT] + fat[SUBCUTANEOUS_FAT]) == pytest.approx(0.91)
    assert fat[LIVER] / (water[LIVER] + fat[LIVER]) == pytest.approx(0.05)
    assert adipose_fat / (adipose_water + adipose_fat) == pytest.approx(0.90)
    assert water[0] == fat[0] == 0


def test_t1_weighting_makes_ten_percent_read_about_twenty() -> None:
    water, fat, _ = tissue_signals(0.10, 9.0)
    assert 0.18 < fat[3] / (water[3] + fat[3]) < 0.24


def test_without_noise_the_reconstruction_is_exact() -> None:
    rng = np.random.default_rng(1)
    water, fat = rng.uniform(0, 1, (2, 50, 4, 3)).astype(np.float32)
    in_phase, opposed, got_water, got_fat = dixon_reconstruction(water, fat, 0.0, rng)
    np.testing.assert_allclose(in_phase, water + fat, rtol=1e-6)
    np.testing.assert_allclose(opposed, np.abs(water - fat), rtol=1e-6)
    np.testing.assert_array_equal(got_water, water)
    np.testing.assert_array_equal(got_fat, fat)


def test_magnitudes_are_rician() -> None:
    water, fat, sigma = np.full(N, 0.7, np.float32), np.full(N, 0.25, np.float32), 0.2
    in_phase, opposed, _, _ = dixon_reconstruction(water, fat, sigma, np.random.default_rng(2))
    for values, true in ((in_phase, 0.95), (opposed, 0.45)):
        rice = stats.rice(true / sigma, scale=sigma)
        # 4 standard errors of the mean: passes in 99.99 % where the code is right.
        assert values.mean() == pytest.approx(rice.mean(), abs=4 * rice.std() / math.sqrt(N))
        assert values.std() == pytest.approx(rice.std(), rel=0.01)


def test_noise_makes_fat_where_there_is_none() -> None:
    # Fat is |in - opposed| / 2, half the absolute difference of two normals: mean sigma / sqrt(pi), 2.8 points at SNR 20.
    sigma = 1 / 20
    water, fat = np.ones(N, np.float32), np.zeros(N, np.float32)
    _, _, got_water, got_fat = dixon_reconstruction(water, fat, sigma, np.random.default_rng(3))
    expected = sigma / math.sqrt(math.pi)
    spread = sigma * math.sqrt(1 / 2 - 1 / math.pi)
    assert got_fat.mean() == pytest.approx(expected, abs=4 * spread / math.sqrt(N) + 1e-4)
    assert got_water.mean() == pytest.approx(1.0, abs=0.003)


def test_water_and_fat_are_told_apart_by_the_opposed_phase_sign() -> None:
    # A voxel with more fat than water keeps it: the magnitude alone would have called the larger part water.
    water, fat = np.full(N, 0.1, np.float32), np.full(N, 0.9, np.float32)
    _, _, got_water, got_fat = dixon_reconstruction(water, fat, 0.02, np.random.default_rng(4))
    assert (got_fat > got_water).all()
    # Where both are equal the sign is noise: half of such voxels come out on either side.
    equal = np.full(N, 0.5, np.float32)
    _, _, got_water, got_fat = dixon_reconstruction(equal, equal, 0.02, np.random.default_rng(5))
    assert (got_fat > got_water).mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(N))


def test_swap_boxes_use_both_sides_and_both_ends() -> None:
    boxes = [swap_box("partial", (10, 8, 20), np.random.default_rng(seed)) for seed in range(40)]
    assert {(b[0].start, b[0].stop) for b in boxes if b} == {(0, 5), (5, 10)}
    stations = [swap_box("station", (10, 8, 20), np.random.default_rng(seed)) for seed in range(40)]
    assert {b[2].start == 0 for b in stations if b} == {True, False}
    assert swap_box(None, (10, 8, 20), np.random.default_rng(1)) is None
