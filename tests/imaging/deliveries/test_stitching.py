"""Stations are put together where their affines say, and the fat signal fraction stays what it was."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from muscle_bayes.errors import StationError
from muscle_bayes.imaging.deliveries.stitching import stitch
from muscle_bayes.imaging.images import Volume

SPACING = (2.0, 2.5, 3.0)


def volume(data, z=0.0, spacing=SPACING, corner=(-30.0, -20.0), turn=None):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (*corner, z)
    if turn is not None:
        affine = turn @ affine
    return Volume(np.ascontiguousarray(data, dtype=np.float32), affine, f"station at {z:g}", "")


def scan(slices=60, seed=1):
    random = np.random.default_rng(seed)
    fraction = random.uniform(0, 1, (12, 10, slices))
    total = 500 * random.uniform(0.5, 1.5, (12, 10, slices))
    return total * (1 - fraction), total * fraction


def cut(water, fat, bounds, spacing=SPACING, gains=None):
    gains = gains or [1.0] * len(bounds)
    return [
        {
            "water": volume(g * water[:, :, a:b], a * spacing[2], spacing),
            "fat": volume(g * fat[:, :, a:b], a * spacing[2], spacing),
        }
        for (a, b), g in zip(bounds, gains, strict=True)
    ]


BOUNDS = [(0, 16), (10, 26), (21, 37), (33, 48), (42, 60)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_volume_cut_into_overlapping_stations_comes_back(seed):
    water, fat = scan(seed=seed)
    stations = cut(water, fat, BOUNDS)
    order = np.random.default_rng(seed).permutation(len(stations))
    stitched = stitch([stations[k] for k in order], "participant 1")
    np.testing.assert_allclose(stitched.data["water"], water, rtol=3e-6)
    np.testing.assert_allclose(stitched.data["fat"], fat, rtol=3e-6)
    np.testing.assert_array_equal(stitched.affine, volume(water).affine)
    assert stitched.interpolated == 0


def test_factors_between_stations_are_found_and_the_fraction_does_not_change():
    water, fat = scan()
    gains = [1.4, 0.8, 1.0, 1.2, 0.7]
    stitched = stitch(cut(water, fat, BOUNDS, gains=gains), "participant 1")
    fraction = stitched.data["fat"] / (stitched.data["water"] + stitched.data["fat"])
    np.testing.assert_allclose(fraction, fat / (water + fat), rtol=1e-5)
    # The middle station keeps its level and all others are brought to it.
    np.testing.assert_allclose(np.array(stitched.gains) * gains, gains[2], rtol=1e-5)
    np.testing.assert_allclose(stitched.data["water"], water, rtol=1e-5)
    unmatched = stitch(cut(water, fat, BOUNDS, gains=gains), "participant 1", match=False)
    fraction = unmatched.data["fat"] / (unmatched.data["water"] + unmatched.data["fat"])
    np.testing.assert_allclose(fraction, fat / (water + fat), rtol=1e-5)


def test_weights_are_linear_over_the_overlap_and_the_same_for_water_and_fat():
    ones = np.ones((4, 4, 12))
    lower = {"water": volume(10 * ones), "fat": volume(30 * ones)}
    upper = {"water": volume(20 * ones, 24.0), "fat": volume(70 * ones, 24.0)}
    stitched = stitch([lower, upper], "participant 1", match=False)
    # Slices 8 to 11 are shared; their centres lie at 1/8, 3/8, 5/8 and 7/8 of the overlap.
    share = np.clip((np.arange(20) - 7.5) / 4, 0, 1)
    np.testing.assert_allclose(stitched.data["water"][0, 0], 10 * (1 - share) + 20 * share, rtol=1e-6)
    np.testing.assert_allclose(stitched.data["fat"][0, 0], 30 * (1 - share) + 70 * share, rtol=1e-6)


def test_stations_with_thicker_slices_are_interpolated_as_scipy_does():
    # A field that is linear along z is what linear interpolation gives back, whatever the slices.
    z_fine, z_coarse = np.arange(20) * 3.0, 48.0 + np.arange(14) * 4.5
    plane = np.random.default_rng(1).uniform(100, 200, (8, 7, 1))
    fine = {"water": volume(plane + 2 * z_fine), "fat": volume(3 * plane + z_fine)}
    coarse = {
        "water": volume(plane + 2 * z_coarse, 48.0, (2.0, 2.5, 4.5)),
        "fat": volume(3 * plane + z_coarse, 48.0, (2.0, 2.5, 4.5)),
    }
    stitched = stitch([coarse, fine], "participant 1")
    z = stitched.affine[2, 3] + stitched.affine[2, 2] * np.arange(stitched.data["water"].shape[2])
    assert stitched.affine[2, 2] == 3.0
    assert z[-1] <= z_coarse[-1] + 0.75 + 1e-9, "no slice beyond what the thick slices reach"
    inside = z <= z_coarse[-1]
    np.testing.assert_allclose(stitched.data["water"][:, :, inside], plane + 2 * z[inside], rtol=1e-5)
    np.testing.assert_allclose(stitched.data["fat"][:, :, inside], 3 * plane + z[inside], rtol=1e-5)
    assert stitched.interpolated == 1
    assert any("interpolated" in note for note in stitched.notes)


def test_values_between_slices_agree_with_scipy():
    random = np.random.default_rng(3)
    fine, coarse = random.uniform(50, 100, (6, 5, 20)), random.uniform(50, 100, (6, 5, 12))
    stations = [
        {"water": volume(fine), "fat": volume(fine)},
        {"water": volume(coarse, 60.5, (2.0, 2.5, 4.0)), "fat": volume(coarse, 60.5, (2.0, 2.5, 4.0))},
    ]
    stitched = stitch(stations, "participant 1", match=False)
    z = stitched.affine[2, 3] + 3.0 * np.arange(stitched.data["water"].shape[2])
    alone = (z > 60.5) & (z < 60.5 + 11 * 4.0)
    expected = RegularGridInterpolator((np.arange(6), np.arange(5), 60.5 + 4.0 * np.arange(12)), coarse)
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(5), z[alone], indexing="ij"), axis=-1)
    np.testing.assert_allclose(stitched.data["water"][:, :, alone], expected(grid), rtol=1e-5)


def test_stations_with_other_rows_are_moved_by_whole_voxels():
    water, fat = scan(30)
    lower, upper = cut(water, fat, [(0, 18), (12, 30)])
    # The upper station has two rows less on the one side and one less on the other.
    narrow = {
        role: volume(v.data[:, 2:-1], 12 * SPACING[2], corner=(-30.0, -20.0 + 2 * SPACING[1]))
        for role, v in upper.items()
    }
    stitched = stitch([lower, narrow], "participant 1")
    assert stitched.data["water"].shape == water.shape
    assert stitched.interpolated == 0
    np.testing.assert_allclose(stitched.data["water"][:, 2:-1], water[:, 2:-1], rtol=1e-5)
    np.testing.assert_allclose(stitched.data["water"][:, :2, :18], water[:, :2, :18], rtol=1e-5)
    assert not stitched.data["water"][:, :2, 18:].any(), "where no station reaches there is no signal"


def test_stations_that_only_touch_leave_no_empty_slice():
    water, fat = scan(30)
    stitched = stitch(cut(water, fat, [(0, 15), (15, 30)]), "participant 1")
    np.testing.assert_allclose(stitched.data["fat"], fat, rtol=1e-6)


def test_oblique_stations_keep_their_axes():
    angle = np.radians(8)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    water, fat = scan(30)
    straight = cut(water, fat, [(0, 18), (12, 30)])
    oblique = [
        {role: Volume(v.data, turn @ v.affine, v.name, "") for role, v in station.items()} for station in straight
    ]
    stitched = stitch(oblique, "participant 1")
    np.testing.assert_allclose(stitched.affine, turn @ volume(water).affine, atol=1e-9)
    np.testing.assert_allclose(stitched.data["fat"], fat, rtol=1e-5)


@pytest.mark.parametrize(
    ("stations", "said"),
    [
        (lambda w, f: cut(w, f, [(0, 16), (20, 40)]), "gap of 12 mm"),
        (lambda w, f: cut(w, f, [(0, 16), (10, 30), (10, 30)]), "same place"),
        (
            lambda w, f: [
                cut(w, f, [(0, 16)])[0],
                {r: Volume(v.data, _turned() @ v.affine, "turned", "") for r, v in cut(w, f, [(10, 26)])[0].items()},
            ],
            "turned by 5.0 degrees",
        ),
    ],
    ids=["gap", "twice", "askew"],
)
def test_stations_that_are_no_volume_are_refused(stations, said):
    with pytest.raises(StationError, match=said) as refused:
        stitch(stations(*scan()), "participant 7")
    assert "participant 7" in refused.value.where


def _turned():
    angle = np.radians(5)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


def test_a_wild_factor_is_not_believed():
    water, fat = scan()
    stitched = stitch(cut(water, fat, BOUNDS[:2], gains=[1.0, 9.0]), "participant 1")
    assert stitched.gains == [1.0, 1.0]
