"""Whole phantoms: what was asked for is true of them, and the images show it."""

import json
import math

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_erosion, maximum_filter

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.labels import label_id
from muscle_bayes.simulation import Phantom, phantom_for, simulate_phantom
from muscle_bayes.simulation.phantom_body import THIGH_TO_BACK

# Coarse grids keep these tests cheap; the fine grid (1.5 mm) is where the truth is counted.
COARSE = {"voxel_mm": (3.0, 3.0, 5.0), "supersample": (2, 2, 1)}


def array(image: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(image.dataobj).astype(float)


def row_of(phantom: Phantom, muscle: str, side: str = "both") -> pd.Series:
    table = phantom.truth
    return table[(table["muscle"] == muscle) & (table["side"] == side)].iloc[0]


def inside_extent(phantom: Phantom, row: pd.Series) -> np.ndarray:
    """Share of each slice that lies in a truth row's extent."""
    step = phantom.labels.affine[2, 2]
    low = phantom.labels.affine[2, 3] + (np.arange(phantom.labels.shape[2]) - 0.5) * step
    return np.clip((np.minimum(low + step, row["z_max_mm"]) - np.maximum(low, row["z_min_mm"])) / step, 0, 1)


@pytest.fixture(scope="module")
def trunk() -> Phantom:
    return simulate_phantom("trunk", seed=1, **COARSE)


@pytest.fixture(scope="module")
def thigh() -> Phantom:
    return simulate_phantom("thigh", seed=1, **COARSE)


@pytest.mark.parametrize(
    ("intermat", "lmm", "bmi", "sex", "seed"),
    [
        (7.0, 24.0, 26.0, "male", 1),
        (2.0, 35.0, 19.0, "female", 2),
        (18.0, 14.0, 38.0, "female", 3),
        (0.0, 24.0, 30.0, "male", 4),
    ],
)
def test_trunk_has_the_intermat_and_lmm_asked_for(intermat: float, lmm: float, bmi: float, sex: str, seed: int) -> None:
    phantom = simulate_phantom(
        "trunk", intermat_percent=intermat, lmm_cm3_per_kg_m2=lmm, bmi_kg_m2=bmi, sex=sex, seed=seed, **COARSE
    )
    row = row_of(phantom, "autochthonous")
    assert row["intermat_percent"] == pytest.approx(intermat, abs=0.01)
    # The size is solved on a grid of its own, so it is met to within that grid's counting error.
    assert row["lean_cm3"] / bmi == pytest.approx(lmm, rel=0.01)
    assert row["z_max_mm"] - row["z_min_mm"] == pytest.approx(150.0)
    assert row["lean_cm3"] == pytest.approx(row["compartment_cm3"] - row["adipose_cm3"])


@pytest.mark.parametrize(("intermat", "lmm", "bmi", "sex"), [(5.0, 24.0, 24.0, "male"), (15.0, 16.0, 34.0, "female")])
def test_thighs_have_the_intermat_and_lmm_asked_for(intermat: float, lmm: float, bmi: float, sex: str) -> None:
    phantom = simulate_phantom(
        "thigh", intermat_percent=intermat, lmm_cm3_per_kg_m2=lmm, bmi_kg_m2=bmi, sex=sex, seed=2, **COARSE
    )
    row = row_of(phantom, "all")
    assert row["intermat_percent"] == pytest.approx(intermat, abs=0.01)
    assert row["lean_cm3"] / bmi / THIGH_TO_BACK == pytest.approx(lmm, rel=0.01)
    assert set(phantom.truth["muscle"]) == {"quadriceps", "adductors", "hamstrings", "sartorius", "all"}


def test_sides_sum_to_both(trunk: Phantom, thigh: Phantom) -> None:
    for phantom in (trunk, thigh):
        for muscle in set(phantom.truth["muscle"]) - {"all", "other"}:
            both = row_of(phantom, muscle)
            sides = [row_of(phantom, muscle, side) for side in ("left", "right")]
            for column in ("compartment_cm3", "adipose_cm3", "lean_cm3"):
                assert both[column] == pytest.approx(sum(side[column] for side in sides))
                assert min(side[column] for side in sides) > 0.2 * both[column]


def test_labels_have_the_true_volume(trunk: Phantom, thigh: Phantom) -> None:
    for phantom, muscles in (
        (trunk, ("autochthonous", "iliopsoas", "gluteals")),
        (thigh, ("quadriceps", "hamstrings")),
    ):
        labels = array(phantom.labels)
        voxel_cm3 = np.prod(phantom.labels.header.get_zooms()) / 1000
        for muscle in muscles:
            for side in ("left", "right"):
                row = row_of(phantom, muscle, side)
                slices = (labels == label_id(muscle, side)).sum(axis=(0, 1)) * inside_extent(phantom, row)
                assert slices.sum() * voxel_cm3 == pytest.approx(row["compartment_cm3"], rel=0.03)


def test_left_is_left_and_the_affine_is_ras(trunk: Phantom, thigh: Phantom) -> None:
    for phantom, muscles in ((trunk, ("autochthonous", "iliopsoas", "gluteals")), (thigh, ("quadriceps", "sartorius"))):
        affine = phantom.labels.affine
        assert nib.aff2axcodes(affine) == ("R", "A", "S")
        labels = array(phantom.labels)
        for muscle in muscles:
            world_x = {
                side: affine[0, 3] + affine[0, 0] * np.nonzero(labels == label_id(muscle, side))[0].mean()
                for side in ("left", "right")
            }
            assert world_x["left"] < -15 < 15 < world_x["right"]


def test_trunk_shows_160_mm_of_spine_above_the_gluteals(trunk: Phantom) -> None:
    labels = array(trunk.labels)
    step, origin = trunk.labels.affine[2, 2], trunk.labels.affine[2, 3]
    gluteal = np.isin(labels, [7, 8]).any(axis=(0, 1))
    top = origin + (np.flatnonzero(gluteal).max() + 0.5) * step
    assert top == pytest.approx(row_of(trunk, "autochthonous")["z_min_mm"])
    for side in ("left", "right"):
        muscle = (labels == label_id("autochthonous", side)).any(axis=(0, 1))
        assert muscle.all()
        assert origin + (np.flatnonzero(muscle).max() + 0.5) * step - top >= 160.0
    # The paraspinals lie behind the vertebral bodies, the psoas beside them.
    y = {name: np.nonzero(np.isin(labels, ids))[1].mean() for name, ids in {"back": [3, 4], "psoas": [5, 6]}.items()}
    assert y["back"] < y["psoas"]


@pytest.fixture(scope="module")
def pure() -> Phantom:
    """Make a trunk whose every voxel is one tissue, without noise or bias."""
    return simulate_phantom(
        "trunk", intermat_percent=9.0, seed=5, voxel_mm=(1.5, 1.5, 6.0), supersample=(1, 1, 1), snr=math.inf, bias=False
    )


def test_without_noise_bias_and_partial_volume_the_images_give_the_truth_back(pure: Phantom) -> None:
    water, fat, labels = array(pure.water), array(pure.fat), array(pure.labels)
    muscle = np.isin(labels, [3, 4]) & (inside_extent(pure, row_of(pure, "autochthonous")) == 1)[None, None, :]
    fraction = fat[muscle] / (water[muscle] + fat[muscle])
    share = 0.09  # every voxel is one tissue: adipose with fat fraction 0.90, or lean muscle with 0.04
    assert 100 * (fraction >= 0.5).mean() == pytest.approx(9.0, abs=0.02)
    assert fraction.mean() == pytest.approx(share * 0.90 + (1 - share) * 0.04, abs=5e-4)
    np.testing.assert_allclose(array(pure.in_phase), water + fat, atol=1.01)
    np.testing.assert_allclose(array(pure.opposed_phase), np.abs(water - fat), atol=1.01)


@pytest.mark.parametrize("muscle", ["autochthonous", "iliopsoas", "gluteals"])
def test_fat_runs_through_the_muscle_and_is_no_rim(pure: Phantom, muscle: str) -> None:
    labels, fat, total = array(pure.labels), array(pure.fat), array(pure.in_phase)
    adipose = fat >= 0.5 * np.maximum(total, 1)
    inside = np.isin(labels, [label_id(muscle, "left"), label_id(muscle, "right")])
    core = binary_erosion(inside, np.ones((5, 5, 1)))  # 3 mm from the border of the compartment
    assert adipose[core].mean() > 0.4 * adipose[inside].mean()
    # It is continuous along the muscle: most adipose voxels have an adipose neighbour in the next slice.
    following = maximum_filter(adipose[:, :, 1:], size=(3, 3, 1)) & adipose[:, :, :-1] & inside[:, :, :-1]
    assert following.sum() > 0.6 * (adipose & inside)[:, :, :-1].sum()


def test_threshold_intermat_falls_with_the_voxel_size_and_the_fat_signal_does_not() -> None:
    measured, mean_fraction = [], []
    for factor in (1, 2, 4):
        phantom = simulate_phantom(
            "thigh",
            intermat_percent=8.0,
            seed=6,
            voxel_mm=(1.5 * factor, 1.5 * factor, 10.0),
            supersample=(factor, factor, 1),
            snr=math.inf,
            bias=False,
        )
        water, fat, labels = array(phantom.water), array(phantom.fat), array(phantom.labels)
        muscle = (labels >= 9) & (labels <= 16)
        fraction = fat[muscle] / (water[muscle] + fat[muscle])
        measured.append(100 * (fraction >= 0.5).mean())
        mean_fraction.append(fraction.mean())
    assert measured[0] == pytest.approx(8.0, abs=0.02)
    assert measured[0] > measured[1] > measured[2]
    assert mean_fraction[0] == pytest.approx(0.08 * 0.90 + 0.92 * 0.04, abs=5e-4)


def test_threshold_intermat_falls_with_the_voxel_size_on_the_default_fine_grid() -> None:
    measured = []
    for width in (1.4, 2.0, 2.8, 4.0):
        phantom = simulate_phantom(
            "thigh", intermat_percent=8.0, seed=6, voxel_mm=(width, width, 10.0), snr=math.inf, bias=False
        )
        water, fat, labels = array(phantom.water), array(phantom.fat), array(phantom.labels)
        muscle = (labels >= 9) & (labels <= 16)
        measured.append(100 * (fat[muscle] >= 0.5 * (water[muscle] + fat[muscle])).mean())
    assert 8.0 > measured[0] > measured[1] > measured[2] > measured[3]


@pytest.mark.parametrize("kind", ["whole", "partial", "station"])
def test_a_swap_exchanges_water_and_fat_exactly_where_it_says(thigh: Phantom, kind: str) -> None:
    swapped = simulate_phantom("thigh", seed=1, swap=kind, **COARSE)
    nx, ny, nz = swapped.water.shape
    box = swapped.settings["swap_box"]
    where = np.zeros((nx, ny, nz), dtype=bool)
    where[tuple(slice(*limits) for limits in box)] = True
    expected = {
        "whole": box == [[0, nx], [0, ny], [0, nz]],
        "partial": box[0] in ([0, nx // 2], [nx // 2, nx]) and box[1:] == [[0, ny], [0, nz]],
        "station": box[:2] == [[0, nx], [0, ny]] and 0.3 * nz < box[2][1] - box[2][0] < 0.7 * nz,
    }
    assert expected[kind]
    np.testing.assert_array_equal(array(swapped.water), np.where(where, array(thigh.fat), array(thigh.water)))
    np.testing.assert_array_equal(array(swapped.fat), np.where(where, array(thigh.water), array(thigh.fat)))
    np.testing.assert_array_equal(array(swapped.opposed_phase), array(thigh.opposed_phase))
    np.testing.assert_array_equal(array(swapped.labels), array(thigh.labels))


def test_background_noise_is_rayleigh(trunk: Phantom) -> None:
    sigma = trunk.settings["noise_sd"]
    for image in (trunk.in_phase, trunk.opposed_phase):
        air = array(image)[:3].ravel()  # the field of view begins 14 mm outside the body
        # Mean sigma sqrt(pi/2) and SD sigma sqrt(2 - pi/2); 4 standard errors: passes in 99.99 % where the code is right.
        error = sigma * math.sqrt((2 - math.pi / 2) / air.size)
        assert air.mean() == pytest.approx(sigma * math.sqrt(math.pi / 2), abs=4 * error)


def test_same_seed_same_phantom_other_seed_another(thigh: Phantom) -> None:
    again, other = (simulate_phantom("thigh", seed=seed, **COARSE) for seed in (1, 2))
    for name in ("water", "fat", "in_phase", "opposed_phase", "labels"):
        np.testing.assert_array_equal(array(getattr(again, name)), array(getattr(thigh, name)))
    pd.testing.assert_frame_equal(again.truth, thigh.truth)
    assert other.water.shape != thigh.water.shape or (array(other.labels) != array(thigh.labels)).mean() > 0.01


def test_one_seed_is_one_anatomy_at_any_voxel_size(trunk: Phantom) -> None:
    finer = simulate_phantom("trunk", seed=1, voxel_mm=(2.0, 2.0, 4.0), supersample=(1, 1, 1))
    for muscle in ("autochthonous", "iliopsoas", "gluteals"):
        for side in ("left", "right"):
            a, b = (row_of(p, muscle, side)["compartment_cm3"] for p in (trunk, finer))
            assert a == pytest.approx(b, rel=0.04)


def test_masked_background_is_zero_and_the_body_is_untouched(thigh: Phantom) -> None:
    masked = simulate_phantom("thigh", seed=1, mask_background=True, **COARSE)
    zero = array(masked.in_phase) == 0
    assert zero.mean() > 0.2
    assert zero[:3].all()
    labels = array(thigh.labels)
    for name in ("water", "fat", "in_phase", "opposed_phase"):
        np.testing.assert_array_equal(array(getattr(masked, name))[labels > 0], array(getattr(thigh, name))[labels > 0])
    assert not zero[labels > 2].all()


def test_images_look_like_a_scanner_s(trunk: Phantom) -> None:
    for name in ("water", "fat", "in_phase", "opposed_phase"):
        image = getattr(trunk, name)
        assert image.get_data_dtype() == np.int16
        assert array(image).min() >= 0
        assert 1000 < array(image).max() <= 4095
    labels, water, fat = array(trunk.labels), array(trunk.water), array(trunk.fat)
    subcutaneous, muscle = labels == 1, np.isin(labels, [5, 6])
    fraction = fat / np.maximum(water + fat, 1)
    assert np.median(fraction[subcutaneous]) == pytest.approx(0.91, abs=0.03)
    assert np.median(fraction[muscle]) < 0.08


def test_t1_weighting_makes_fat_fractions_read_too_high() -> None:
    plain, weighted = (
        simulate_phantom("thigh", seed=3, snr=math.inf, bias=False, t1_weighting=on, **COARSE) for on in (False, True)
    )
    labels = array(plain.labels)
    muscle = labels == label_id("quadriceps", "left")
    fraction = [
        np.median(array(p.fat)[muscle] / (array(p.water)[muscle] + array(p.fat)[muscle])) for p in (plain, weighted)
    ]
    assert fraction[0] == pytest.approx(0.04, abs=0.003)
    assert fraction[1] > 1.8 * fraction[0]


def test_femur_has_a_dark_cortex_and_fatty_marrow() -> None:
    phantom = simulate_phantom(
        "thigh", seed=2, voxel_mm=(1.5, 1.5, 10.0), supersample=(1, 1, 1), snr=math.inf, bias=False
    )
    bone = array(phantom.labels) == 2
    total, fat = array(phantom.in_phase)[bone], array(phantom.fat)[bone]
    assert 0.3 < (total == 0).mean() < 0.9
    assert np.median(fat[total > 0] / total[total > 0]) == pytest.approx(0.92, abs=0.01)


def test_saved_files_say_that_they_are_simulated(trunk: Phantom, tmp_path: "object") -> None:
    paths = trunk.save(tmp_path / "sub-1")  # type: ignore[operator]
    assert {name: path.name for name, path in paths.items()} == {
        "water": "water.nii.gz",
        "fat": "fat.nii.gz",
        "labels": "labels.nii.gz",
        "in": "in.nii.gz",
        "opp": "opp.nii.gz",
        "truth": "truth.tsv",
        "phantom": "phantom.json",
    }
    water = nib.load(paths["water"])
    assert (
        bytes(water.header["descrip"]).startswith(b"simulated phantom")
        or water.header["descrip"] == b"simulated phantom"
    )
    np.testing.assert_array_equal(np.asarray(water.dataobj), np.asarray(trunk.water.dataobj))
    np.testing.assert_allclose(water.affine, trunk.water.affine)
    settings = json.loads(paths["phantom"].read_text())
    assert settings["simulated"] is True
    assert (settings["region"], settings["seed"], settings["site"]) == ("trunk", 1, "Augsburg")
    read = pd.read_csv(paths["truth"], sep="\t")
    np.testing.assert_allclose(read["adipose_cm3"], trunk.truth["adipose_cm3"])


def test_a_row_of_the_cohort_gets_its_phantom() -> None:
    row = {
        "participant_id": "sim-00007",
        "intermat_percent": 11.0,
        "lmm_cm3_per_kg_m2": 20.0,
        "bmi_kg_m2": 31.0,
        "sex": "female",
        "site": "Essen",
        "age_years": 60,
    }
    phantom = phantom_for(pd.Series(row), region="trunk", seed=9, **COARSE)
    truth = row_of(phantom, "autochthonous")
    assert truth["intermat_percent"] == pytest.approx(11.0, abs=0.01)
    assert truth["lean_cm3"] / 31.0 == pytest.approx(20.0, rel=0.01)
    assert phantom.settings["participant_id"] == "sim-00007"
    assert phantom.settings["site"] == "Essen"
    with pytest.raises(InvalidValueError, match=r"sim-00007.*lmm_cm3_per_kg_m2"):
        phantom_for({**row, "lmm_cm3_per_kg_m2": math.nan})


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("intermat_percent", 90.0, "intermat_percent"),
        ("intermat_percent", math.nan, "intermat_percent"),
        ("lmm_cm3_per_kg_m2", -3.0, "lmm_cm3_per_kg_m2"),
        ("lmm_cm3_per_kg_m2", 110.0, "lmm_cm3_per_kg_m2"),
        ("lmm_cm3_per_kg_m2", 2.0, "lmm_cm3_per_kg_m2"),
        ("bmi_kg_m2", 5.0, "bmi_kg_m2"),
        ("sex", "other", "sex"),
        ("swap", "all", "swap"),
        ("snr", 0.0, "snr"),
        ("voxel_mm", (1.4, 0.0, 3.0), "voxel_mm"),
    ],
)
def test_impossible_requests_are_refused_by_name(setting: str, value: object, named: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        simulate_phantom("trunk", **{setting: value})  # type: ignore[arg-type]
    assert caught.value.where.startswith(named)


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="region"):
        simulate_phantom("arm")
