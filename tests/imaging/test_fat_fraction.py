import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muscle_bayes.errors import ImageUnitsError
from muscle_bayes.imaging.fat_fraction import (
    T1Correction,
    check_dixon_units,
    fat_signal_fraction,
    in_body_median,
)


def test_fraction_is_the_ratio_and_undefined_below_the_floor():
    water = np.array([[[90.0, 0.0, 50.0, 10.0, 0.0]]], dtype=np.float32)
    fat = np.array([[[10.0, 80.0, 50.0, 9.0, 0.0]]], dtype=np.float32)
    fraction = fat_signal_fraction(water, fat, floor=20.0)
    np.testing.assert_allclose(fraction[0, 0, :3], [0.1, 1.0, 0.5])
    # 10 + 9 is below the floor: undefined, neither lean nor fat. No signal stays undefined with a floor of 0 too.
    assert np.isnan(fraction[0, 0, 3:]).all()
    assert np.isnan(fat_signal_fraction(water, fat, floor=0.0)[0, 0, 4])
    assert water[0, 0, 3] == 10.0  # inputs are left alone


def test_small_negative_values_count_as_zero():
    fraction = fat_signal_fraction(
        np.array([100.0, -3.0], dtype=np.float32), np.array([-2.0, 100.0], dtype=np.float32), floor=10.0
    )
    np.testing.assert_array_equal(fraction, [0.0, 1.0])


@given(
    pdff=st.floats(0, 1),
    tr=st.floats(3, 20),
    flip=st.floats(2, 60),
    t1_water=st.floats(500, 2000),
    t1_fat=st.floats(150, 450),
)
def test_t1_correction_undoes_the_ernst_equation(pdff, tr, flip, t1_water, t1_fat):
    def spoiled_gradient_echo(m0, t1):
        e1, angle = np.exp(-tr / t1), np.deg2rad(flip)
        return m0 * np.sin(angle) * (1 - e1) / (1 - e1 * np.cos(angle))

    water = np.full(3, 1e5 * spoiled_gradient_echo(1 - pdff, t1_water), dtype=np.float32)
    fat = np.full(3, 1e5 * spoiled_gradient_echo(pdff, t1_fat), dtype=np.float32)
    fraction = fat_signal_fraction(water, fat, 0.0, T1Correction(tr, flip, t1_water, t1_fat))
    np.testing.assert_allclose(fraction, pdff, atol=2e-5)


def test_true_ten_percent_reads_about_twenty_without_correction():
    # Strong T1 weighting of a two-point Dixon (short TR, large angle): the signal ratio tends to T1w / T1f.
    correction = T1Correction(tr_ms=5.0, flip_angle_deg=30.0, t1_water_ms=900.0, t1_fat_ms=370.0)
    water_share, fat_share = correction.saturation()
    water = np.array([900 * water_share], dtype=np.float32)
    fat = np.array([100 * fat_share], dtype=np.float32)
    assert 0.17 < fat_signal_fraction(water, fat, 0.0)[0] < 0.23
    assert fat_signal_fraction(water, fat, 0.0, correction)[0] == pytest.approx(0.10, abs=1e-6)


@pytest.mark.parametrize("values", [(0, 10, 900, 370), (5, 0, 900, 370), (5, 120, 900, 370), (5, 10, -1, 370)])
def test_impossible_t1_settings(values):
    with pytest.raises(ImageUnitsError, match="t1_correction"):
        T1Correction(*values)


def body_and_air(air_level, masked):
    """A quarter of the voxels is body around 400 (SD 40), the rest is air."""
    rng = np.random.default_rng(1)
    total = np.abs(rng.normal(0, air_level, 40_000)) if not masked else np.zeros(40_000)
    total[:10_000] = rng.normal(400, 40, 10_000)
    return total, np.median(total[:10_000])


@pytest.mark.parametrize(("air_level", "masked"), [(0, True), (10, False), (30, False)])
def test_in_body_median_is_the_bodys_with_and_without_air(air_level, masked):
    total, truth = body_and_air(air_level, masked)
    # Half of the air above a quarter of the median could shift it; at SD 30 that is 0.04 % of the air.
    assert in_body_median(total) == pytest.approx(truth, rel=1e-3)


def test_in_body_median_of_a_large_image_is_sampled_without_preference():
    # 5 million voxels; every second column of 60 % of the rows is brighter. A step of 2 would see the bright columns only,
    # and put the median at 500; 70 % of the voxels are 400.
    total = np.full((100, 500, 100), 400.0, dtype=np.float32, order="F")
    total[::2, 200:] = 500.0
    assert in_body_median(total) == 400.0


def test_in_body_median_of_nothing_is_zero():
    assert in_body_median(np.zeros((3, 3, 3))) == 0.0


def pair(water, fat):
    check_dixon_units(np.asarray(water, dtype=np.float32), np.asarray(fat, dtype=np.float32), "w.nii", "f.nii")


RNG = np.random.default_rng(1)
SIGNAL = RNG.integers(50, 700, 1000)
SHARE = RNG.uniform(0, 1, 1000)


@pytest.mark.parametrize(
    ("water", "fat", "message"),
    [
        (1 - SHARE, SHARE, "fractions of 1"),
        (100 * (1 - SHARE), 100 * SHARE, "percent"),
        (1000 * (1 - SHARE), 1000 * SHARE, "per mille"),
        (SIGNAL, SHARE, r"f\.nii.*fraction between 0 and 1"),
        (SIGNAL, np.minimum(110 * SHARE, 100), r"f\.nii.*fraction in percent"),
        (700 * (1 - SHARE), np.minimum(1010 * SHARE, 1000), r"f\.nii.*fraction per mille"),
        (1400 * (1 - SHARE), np.minimum(1010 * SHARE, 1000), r"f\.nii.*fraction per mille"),
        (SIGNAL, SIGNAL, "same values"),
        (SIGNAL - 100, SIGNAL, r"w\.nii.*so many voxels"),
        (SIGNAL - 400, SIGNAL, r"w\.nii.*negative"),
        (SIGNAL, -SIGNAL, rf"f\.nii.*-{SIGNAL.max()} to -{SIGNAL.min()}"),
    ],
)
def test_what_is_no_pair_of_signals(water, fat, message):
    with pytest.raises(ImageUnitsError, match=message):
        pair(water, fat)


def test_signals_of_any_scale_pass():
    for scale in (0.003, 1.0, 5000.0):
        pair(scale * SIGNAL * (1 - SHARE), scale * SIGNAL * SHARE)
    # Interpolation leaves small negative values.
    pair(SIGNAL - 55, SIGNAL)
