"""Measurement rows of constructed scans whose volumes and fractions are known by counting."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import (
    CompartmentNotFoundError,
    CorruptImageError,
    EmptyImageError,
    GridMismatchError,
    ImageError,
    LabelSchemeError,
    MixtureNotSeparableError,
)
from muscle_bayes.imaging import MEASUREMENT_COLUMNS, T1Correction, label_id, quantify

SHAPE = (40, 30, 50)


def oblique(spacing=(1.25, 1.75, 4.0), angle=0.2):
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(spacing)
    affine[:3, 3] = (-20, -30, 100)
    return affine


class Trunk:
    """Paraspinal boxes over 45 slices of 4 mm and gluteals in the lowest ten; fat in known voxels."""

    def __init__(self):
        self.labels = np.zeros(SHAPE, dtype=np.uint8)
        self.labels[22:30, 5:15, 2:48] = label_id("autochthonous", "right")
        self.labels[10:18, 5:15, 2:48] = label_id("autochthonous", "left")
        self.labels[22:38, 1:4, 1:10] = label_id("gluteals", "right")
        self.labels[2:18, 1:4, 1:10] = label_id("gluteals", "left")
        self.labels[1:39, 24:29, :] = label_id("subcutaneous_fat")
        self.water = np.full(SHAPE, 380.0, dtype=np.float32)
        self.fat = np.full(SHAPE, 20.0, dtype=np.float32)
        self.set(self.labels == 1, 0.9)
        rng = np.random.default_rng(1)
        self.noise = rng.normal(0, 2, SHAPE)

    def set(self, where, fraction):
        self.water[where], self.fat[where] = 400 * (1 - fraction), 400 * fraction

    def quantify(self, affine=None, **options):
        affine = oblique() if affine is None else affine
        water, fat = ((image + self.noise).astype(np.float32) for image in (self.water, self.fat))
        return quantify(*(nib.Nifti1Image(data, affine) for data in (water, fat, self.labels)), **options)


def row(table, muscle, side, region="field_of_view"):
    found = table[(table.muscle == muscle) & (table.side == side) & (table.region == region)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.fixture(scope="module")
def trunk():
    trunk = Trunk()
    # Left: every tenth slice wholly fat (5 of 46); right: a tenth of each slice half fat, below the threshold.
    trunk.set((trunk.labels == 3) & (np.arange(50) % 10 == 5), 0.9)
    half = np.zeros(SHAPE, dtype=bool)
    half[22:30, 5, :] = True
    trunk.set((trunk.labels == 4) & half, 0.45)
    return trunk


@pytest.fixture(scope="module")
def table(trunk):
    return trunk.quantify(bmi=25.0, participant_id="p1", session_id="s1", simulated=True)


def test_columns_keys_and_constants(table):
    assert list(table.columns[: len(MEASUREMENT_COLUMNS)]) == list(MEASUREMENT_COLUMNS)
    assert list(table.columns[len(MEASUREMENT_COLUMNS) :]) == [
        f"lmm_{name}_cm3_per_kg_m2" for name in ("threshold", "fraction", "mixture")
    ]
    assert not table.duplicated(
        ["participant_id", "session_id", "muscle", "side", "region", "compartment", "backend"]
    ).any()
    assert (
        (table[["participant_id", "session_id", "compartment", "backend"]] == ["p1", "s1", "labels", "labelmap"])
        .all()
        .all()
    )
    assert (table["simulated"] == 1).all()
    assert table["voxel_mm3"].iloc[0] == pytest.approx(1.25 * 1.75 * 4.0)
    assert table[["intermat_sd_percent", "lean_sd_cm3", "intermat_lean_cov"]].isna().all().all()
    assert table.attrs["adipose"] == "threshold"
    assert table.attrs["simulated"] is True
    assert set(table.attrs["inputs"]) == {"water", "fat", "labels"}


def test_volumes_and_fractions_are_counted(table):
    voxel = 1.25 * 1.75 * 4.0 / 1000
    left, right = row(table, "autochthonous", "left"), row(table, "autochthonous", "right")
    assert left.compartment_cm3 == pytest.approx(8 * 10 * 46 * voxel)
    assert left.intermat_threshold_percent == pytest.approx(100 * 5 / 46)
    # Noise of SD 2 on 400 averages out: its standard error on a mean of 3,680 voxels is 0.01 points.
    assert left.intermat_fraction_percent == pytest.approx(100 * (5 * 0.9 + 41 * 0.05) / 46, abs=0.05)
    assert right.intermat_threshold_percent == 0
    assert right.intermat_fraction_percent == pytest.approx(100 * (0.1 * 0.45 + 0.9 * 0.05), abs=0.05)
    assert left.lean_threshold_cm3 == pytest.approx(8 * 10 * 41 * voxel)
    assert left.lmm_threshold_cm3_per_kg_m2 == pytest.approx(left.lean_threshold_cm3 / 25)


def test_both_sums_volumes_and_pools_intermat_by_volume(table):
    for region in ("field_of_view", "above_gluteals_150mm"):
        left, right, both = (row(table, "autochthonous", side, region) for side in ("left", "right", "both"))
        for column in ("compartment_cm3", "lean_threshold_cm3", "lean_fraction_cm3", "lmm_mixture_cm3_per_kg_m2"):
            assert both[column] == pytest.approx(left[column] + right[column])
        for name in ("threshold", "fraction", "mixture"):
            column = f"intermat_{name}_percent"
            pooled = np.average([left[column], right[column]], weights=[left.compartment_cm3, right.compartment_cm3])
            assert both[column] == pytest.approx(pooled)


def test_all_is_every_muscle_and_no_fat_label(table):
    parts = [row(table, muscle, "both") for muscle in ("autochthonous", "gluteals")]
    assert row(table, "all", "both").compartment_cm3 == pytest.approx(sum(part.compartment_cm3 for part in parts))
    left = [row(table, muscle, "left").compartment_cm3 for muscle in ("autochthonous", "gluteals")]
    assert row(table, "all", "left").compartment_cm3 == pytest.approx(sum(left))
    assert "subcutaneous_fat" not in set(table.muscle)


def test_extent_above_the_gluteals(table):
    # Gluteals end with slice 9, so the extent is slices 10 to 47.5, 37.5 slices of 4 mm.
    extent = row(table, "autochthonous", "left", "above_gluteals_150mm")
    assert extent.z_min_mm == pytest.approx(100 + 9.5 * 4)
    assert extent.z_max_mm - extent.z_min_mm == pytest.approx(150)
    assert extent.compartment_cm3 == pytest.approx(8 * 10 * 37.5 * 1.25 * 1.75 * 4 / 1000)
    # Slices 15, 25, 35, 45 are fat.
    assert extent.intermat_threshold_percent == pytest.approx(100 * 4 / 37.5)
    assert extent.truncated == 0
    assert set(table[table.region == "above_gluteals_150mm"].muscle) == {"autochthonous"}


def test_extent_with_less_in_view_is_missing_not_small(trunk):
    short = trunk.quantify(affine=oblique((1.25, 1.75, 3.5)), bmi=25.0)
    extent = row(short, "autochthonous", "both", "above_gluteals_150mm")
    assert extent.truncated == 1
    assert extent.filter(regex="^(intermat|lean|lmm)").isna().all()
    assert extent.compartment_cm3 > 0
    assert extent.qc == "review"
    # The whole muscle is in view all the same.
    assert row(short, "autochthonous", "both", "whole").lean_threshold_cm3 > 0


def test_one_side_ending_early_makes_the_sum_missing():
    trunk = Trunk()
    trunk.labels[(trunk.labels == 3) & (np.arange(50) > 40)] = 0
    table = trunk.quantify()
    assert row(table, "autochthonous", "right", "above_gluteals_150mm").truncated == 0
    for side in ("left", "both"):
        assert row(table, "autochthonous", side, "above_gluteals_150mm").truncated == 1


def test_whole_is_missing_where_the_stack_ends_and_the_field_of_view_is_not():
    trunk = Trunk()
    trunk.labels[22:30, 5:15, 48:] = label_id("autochthonous", "right")
    table = trunk.quantify(bmi=25.0)
    whole, view = (row(table, "autochthonous", "right", region) for region in ("whole", "field_of_view"))
    assert (whole.truncated, view.truncated) == (1, 0)
    assert np.isnan(whole.lean_threshold_cm3)
    assert view.lean_threshold_cm3 > 0
    assert view.z_max_mm == pytest.approx(100 + 49.5 * 4)
    # How trunks are scanned, and no fault of the scan: nobody is asked to look.
    assert (whole.qc, view.qc) == ("pass", "pass")


def test_cut_in_plane_is_missing_everywhere():
    trunk = Trunk()
    trunk.labels[30:, 5:15, 20] = label_id("autochthonous", "right")
    table = trunk.quantify()
    right = table[(table.muscle == "autochthonous") & (table.side != "left")]
    assert (right.truncated == 1).all()
    assert (right.qc == "fail").all()
    assert right.filter(regex="^(intermat|lean)").isna().all().all()
    assert row(table, "autochthonous", "left").truncated == 0


@pytest.mark.parametrize(("share", "known"), [(0.04, True), (0.06, False)])
def test_lean_is_missing_above_five_percent_undefined(share, known):
    trunk = Trunk()
    inside = np.argwhere(trunk.labels == 3)
    lost = tuple(inside[: int(share * len(inside))].T)
    trunk.water[lost], trunk.fat[lost] = 10, 10  # W + F = 20 of 400: below a quarter of the median
    found = row(trunk.quantify(bmi=25.0), "autochthonous", "left")
    assert found.undefined_percent == pytest.approx(100 * share, abs=0.05)
    assert found.intermat_threshold_percent == 0  # FF 0.5 of the lost voxels counts nowhere
    assert np.isfinite(found.lean_threshold_cm3) == known
    assert np.isfinite(found.lmm_threshold_cm3_per_kg_m2) == known
    assert found.qc == ("pass" if known else "fail")
    if known:
        voxel = 1.25 * 1.75 * 4.0 / 1000
        assert found.lean_threshold_cm3 == pytest.approx((8 * 10 * 46 - int(share * len(inside))) * voxel)


def test_without_bmi_lmm_is_missing_and_said(trunk):
    table = trunk.quantify()
    assert table.filter(regex="^lmm").isna().all().all()
    assert any("no BMI" in note for note in table.attrs["notes"])


def test_swap_asks_for_a_look(trunk):
    swapped = Trunk()
    left = swapped.labels == 3
    swapped.water[left], swapped.fat[left] = swapped.fat[left].copy(), swapped.water[left].copy()
    table = swapped.quantify()
    assert row(table, "autochthonous", "left").qc == "review"
    assert row(table, "autochthonous", "both").qc == "review"
    assert row(table, "autochthonous", "right").qc == "pass"


def test_t1_correction_reaches_the_rows(trunk):
    correction = T1Correction(5.0, 10.0, 1400.0, 370.0)
    plain = row(trunk.quantify(), "autochthonous", "right")
    table = trunk.quantify(t1_correction=correction)
    water, fat = correction.saturation()
    expected = np.mean([f / fat / (f / fat + (1 - f) / water) for f in [0.45] + [0.05] * 9])
    assert row(table, "autochthonous", "right").intermat_fraction_percent == pytest.approx(100 * expected, abs=0.05)
    assert row(table, "autochthonous", "right").intermat_fraction_percent < plain.intermat_fraction_percent
    assert table.attrs["t1_correction"]["tr_ms"] == 5.0


def test_fascia_takes_in_fat_and_says_so():
    trunk = Trunk()
    trunk.labels[10:18, 9:11, 2:48] = 0  # a cleft in the left muscle
    as_drawn = row(trunk.quantify(), "autochthonous", "left")
    table = trunk.quantify(compartment="fascia")
    assert (table.compartment == "fascia").all()
    assert row(table, "autochthonous", "left").compartment_cm3 > 1.15 * as_drawn.compartment_cm3


def test_one_region_on_request(trunk):
    assert set(trunk.quantify(region="whole").region) == {"whole"}
    without = Trunk()
    without.labels[(without.labels == 7) | (without.labels == 8)] = 0
    with pytest.raises(CompartmentNotFoundError, match="needs labels of the gluteals"):
        without.quantify(region="above_gluteals_150mm")


def single_contrast(labels, seed=1, fat=900.0):
    rng = np.random.default_rng(seed)
    image = rng.normal(300, 30, SHAPE)
    image[labels == 1] = rng.normal(fat, 40, (labels == 1).sum())
    return image


def test_single_contrast_has_the_mixture_only():
    trunk = Trunk()
    image = single_contrast(trunk.labels)
    streak = (trunk.labels == 3) & (np.arange(50) % 10 == 5)
    image[streak] = np.random.default_rng(2).normal(900, 40, streak.sum())
    affine = oblique()
    table = quantify(
        image=nib.Nifti1Image(image.astype(np.float32), affine), labels=nib.Nifti1Image(trunk.labels, affine), bmi=25.0
    )
    left = row(table, "autochthonous", "left")
    assert left.intermat_mixture_percent == pytest.approx(100 * 5 / 46, abs=0.3)
    assert row(table, "autochthonous", "right").intermat_mixture_percent == pytest.approx(0, abs=0.3)
    assert table.filter(regex="threshold|fraction").isna().all().all()
    assert np.isfinite(left.lmm_mixture_cm3_per_kg_m2)
    assert table.attrs["adipose"] == "mixture"
    assert any("threshold is missing" in note for note in table.attrs["notes"])
    assert left.qc == "pass"


def test_single_contrast_without_bright_fat_is_refused():
    trunk = Trunk()
    image = single_contrast(trunk.labels, fat=250.0).astype(np.float32)
    with pytest.raises(MixtureNotSeparableError, match=r"image: .*not brighter"):
        quantify(image=nib.Nifti1Image(image, oblique()), labels=nib.Nifti1Image(trunk.labels, oblique()))


def test_dixon_without_mixture_has_the_rest_and_says_why(trunk):
    bare = Trunk()
    bare.labels[bare.labels == 1] = 0
    table = bare.quantify()
    assert table.intermat_mixture_percent.isna().all()
    assert any(note.startswith("mixture is missing") for note in table.attrs["notes"])
    assert np.isfinite(row(table, "autochthonous", "left").intermat_threshold_percent)
    with pytest.raises(MixtureNotSeparableError, match="definition threshold or fraction"):
        bare.quantify(adipose="mixture")


def test_labels_of_another_tool(trunk):
    other = Trunk()
    names = {3: 47, 4: 46, 7: 41, 8: 40, 1: 65}
    for ours, theirs in names.items():
        other.labels[trunk.labels == ours] = theirs
    # Two of their ids are one muscle of ours.
    other.labels[22:38, 1:2, 1:10] = 42
    scheme = {
        47: ("autochthonous", "left"),
        46: ("autochthonous", "right"),
        41: ("gluteals", "left"),
        40: ("gluteals", "right"),
        42: ("gluteals", "right"),
        65: ("subcutaneous_fat", "both"),
        99: ("iliopsoas", "left"),
    }
    found = other.quantify(scheme=scheme)
    expected = Trunk().quantify()
    columns = ["muscle", "side", "region", "compartment_cm3", "undefined_percent"]
    order = ["muscle", "side", "region"]
    pd.testing.assert_frame_equal(
        found[columns].sort_values(order, ignore_index=True), expected[columns].sort_values(order, ignore_index=True)
    )
    with pytest.raises(LabelSchemeError, match=r"labels: ids 40, 41, 42, 46, 47, 65 are not in the label scheme"):
        other.quantify()
    with pytest.raises(LabelSchemeError, match="side 'lft'"):
        other.quantify(scheme=scheme | {47: ("autochthonous", "lft")})
    with pytest.raises(LabelSchemeError, match="'erector' is no structure"):
        other.quantify(scheme=scheme | {47: ("erector", "left")})
    with pytest.raises(CompartmentNotFoundError, match="none of the labels"):
        other.quantify(scheme=dict.fromkeys((40, 41, 42, 46, 47, 65), ("bone", "both")))


def test_one_side_alone_has_no_sum():
    trunk = Trunk()
    trunk.labels[trunk.labels == 7] = 0
    table = trunk.quantify()
    assert set(table[table.muscle == "gluteals"].side) == {"right"}


def test_float_labels_flipped_fat_and_a_fourth_axis(trunk, table):
    affine = oblique()
    water, fat = ((image + trunk.noise).astype(np.float32) for image in (trunk.water, trunk.fat))
    flipped = nib.Nifti1Image(fat, affine).as_reoriented(nib.orientations.axcodes2ornt(("L", "P", "I")))
    again = quantify(
        nib.Nifti1Image(water[..., None], affine),
        flipped,
        nib.Nifti1Image(trunk.labels.astype(np.float32), affine),
        bmi=25.0,
        participant_id="p1",
        session_id="s1",
        simulated=True,
    )
    pd.testing.assert_frame_equal(again, table)


@pytest.fixture
def files(trunk, tmp_path):
    affine = oblique()
    for name, data in (("water", trunk.water), ("fat", trunk.fat), ("labels", trunk.labels)):
        nib.save(nib.Nifti1Image(data, affine), tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_typed_errors_name_the_file(files, trunk):
    paths = [files / f"{name}.nii.gz" for name in ("water", "fat", "labels")]
    quantify(*paths)

    nib.save(nib.Nifti1Image(np.full(SHAPE, np.nan, dtype=np.float32), oblique()), files / "nan.nii.gz")
    with pytest.raises(EmptyImageError, match=r"nan\.nii\.gz"):
        quantify(paths[0], files / "nan.nii.gz", paths[2])

    nib.save(nib.Nifti1Image(trunk.fat[:, :, :-1], oblique()), files / "short.nii.gz")
    with pytest.raises(GridMismatchError, match=r"water\.nii\.gz and .*short\.nii\.gz"):
        quantify(paths[0], files / "short.nii.gz", paths[2])

    (files / "broken.nii.gz").write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(CorruptImageError, match=r"broken\.nii\.gz"):
        quantify(paths[0], files / "broken.nii.gz", paths[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fat": None}, "fat is missing"),
        ({"water": None, "fat": None}, "no image"),
        ({"labels": None}, "nothing says where muscle is.*--labels.*--backend hull"),
        ({"labels": None, "backend": "labelmap"}, "needs a label map"),
        ({"backend": "hull"}, "label map is given as well"),
    ],
)
def test_what_cannot_be_measured_together(trunk, options, message):
    affine = oblique()
    given = {name: nib.Nifti1Image(getattr(trunk, name), affine) for name in ("water", "fat", "labels")}
    with pytest.raises(ImageError, match=message):
        quantify(**(given | options))


def test_hull_needs_a_dixon_pair(trunk):
    with pytest.raises(ImageError, match="needs a Dixon pair"):
        quantify(image=nib.Nifti1Image(trunk.water, oblique()), backend="hull")
