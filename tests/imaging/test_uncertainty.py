"""Spread of InterMAT and lean volume: derivatives of what is measured, powers that come back, columns that are filled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.spread import COLUMNS, KEY, CarriedSpread
from muscle_bayes.imaging.uncertainty import (
    SIDES,
    Border,
    Calibration,
    Scale,
    ViewSums,
    border,
    label_fingerprint,
    raw_spread,
)

SPACING = (1.5, 2.0, 5.0)
CM3 = float(np.prod(SPACING)) / 1000
Make = Callable[..., nib.Nifti1Image]


def block(grow: int = 0) -> np.ndarray:
    mask = np.zeros((60, 50, 8), dtype=bool)
    mask[15 - grow : 45 + grow, 12 - grow : 38 + grow, 1:7] = True
    return mask


def test_the_border_of_a_block_is_its_surface() -> None:
    fraction = np.where(block(), 0.1, 0.9)
    found = border(block(), fraction, SPACING, 0.5)
    # 2 x (30 x 1.5 + 26 x 2) mm around, 5 mm high; corners belong to no side, and the shell is thicker where voxels are.
    around_mm2 = 2 * (30 * 1.5 + 26 * 2.0) * 5.0
    assert found.defined[3].sum() * 1000 == pytest.approx(around_mm2, rel=0.05)
    assert found.adipose[3].sum() == pytest.approx(found.defined[3].sum() / 2, rel=0.05)  # fat outside, muscle inside
    assert not found.defined[[0, 7]].any()
    assert (found.defined[3] > 0).all()  # every sector has its part


def test_undefined_voxels_are_no_border() -> None:
    fraction = np.where(block(), 0.1, np.nan)
    assert border(block(), fraction, SPACING, 0.5).adipose.sum() == 0


def test_a_border_that_moves_changes_figures_as_a_second_measurement_says() -> None:
    rng = np.random.default_rng(1)
    fraction = np.where(rng.random((60, 50, 8)) < np.where(block(), 0.1, 0.7), 0.9, 0.05)

    def figures(mask: np.ndarray) -> np.ndarray:
        defined, adipose = mask.sum() * CM3, (fraction[mask] >= 0.5).sum() * CM3
        return np.array([100 * adipose / defined, defined - adipose])

    middle = figures(block())
    parts = border(block(), fraction, SPACING, 0.5)
    # The whole border as one part: everything in one sector, and slices that lie within one length.
    whole = Border(*(np.eye(1, 8) * part.sum(axis=1)[:, None] for part in (parts.defined, parts.adipose)))
    about = (block().sum() * CM3, middle[0], np.empty((0, 2)))
    moved = raw_spread("both", [whole], np.ones(8), 1.0, *about)
    # One voxel out and one in, over the two millimetres and a half (1.5 and 2, out and in) that lie between: 3.5 mm.
    numeric = np.abs(figures(block(1)) - figures(block(-1))) / 3.5
    assert moved.border[1] == pytest.approx(numeric[1], rel=0.05)  # corners belong to no side
    assert moved.border[0] == pytest.approx(
        numeric[0], rel=0.15
    )  # a share of a volume that grows by a quarter is curved
    assert moved.lean_cm3 == pytest.approx(middle[1])
    apart = raw_spread("both", [parts], np.ones(8), 5.0, *about)
    assert (apart.border < 0.6 * moved.border).all()  # parts that move for themselves average out


def test_views_differ_from_the_label_map_in_the_region() -> None:
    defined = np.array([[[100, 100, 50], [100, 100, 50]], [[110, 90, 50], [100, 100, 50]]], dtype=float)
    adipose = np.array([[[10, 10, 50], [10, 10, 50]], [[16, 10, 0], [10, 10, 50]]], dtype=float)
    views = ViewSums(np.array([1, 4, 6]), defined, adipose)
    weight = np.array([1, 1, 1, 1, 0.5, 0, 0.0])  # the last slice is outside, the one before half inside
    left = views.differences([0], weight)
    np.testing.assert_allclose(left, [[100 * 21 / 155 - 10, (155 - 21) / 135 - 1]])
    both = views.differences([0, 1], weight)
    np.testing.assert_allclose(both, [[100 * 36 / 305 - 10, (305 - 36) / 270 - 1]])
    assert views.differences([0], np.zeros(7)).shape == (0, 2)
    back = ViewSums.from_json(json.loads(json.dumps(views.to_json())))
    np.testing.assert_array_equal(back.adipose, adipose)


def test_what_a_bundle_states_is_read_back_or_refused() -> None:
    scale = Scale(-1.0, (0.5, 0.1, -0.3, 0.7), factor=dict.fromkeys(SIDES, 0.9))
    good = Calibration(scale, scale, 0.2, (0.1, -0.01), ("a",), {"simulated": True})
    plain = json.loads(json.dumps(good.to_json(), allow_nan=False))
    assert Calibration.from_json(plain) == good
    for part, change in (
        ("lean", {"powers": [1, 2, 3]}),
        ("lean", {"powers": [-0.1, 0, 0, 0]}),  # more doubt, smaller SD
        ("intermat", {"level": float("nan")}),
        ("intermat", {"factor": {"both": 1.0}}),
        ("intermat", {"least": [0, 1, 1, 1]}),
        ("intermat", {"factor": 1.0}),
    ):
        with pytest.raises(InvalidValueError, match="uncertainty"):
            Calibration.from_json({**plain, part: {**plain[part], **change}})
    for other in ({"correlation": 1.0}, {"mean_error": [0]}, {"signs": ["views"]}, {"weights_sha256": None}):
        with pytest.raises(InvalidValueError, match="uncertainty"):
            Calibration.from_json({**plain, **other})
    with pytest.raises(InvalidValueError, match="another version"):
        Calibration.from_json({"views": 0.7, "shared_mm": 0.1, "weights_sha256": []})


@pytest.fixture
def scan(nifti: Make) -> dict[str, Any]:
    """Two muscles with fat, and labels that carry a spread."""
    rng = np.random.default_rng(4)
    labels = np.zeros((60, 40, 8), dtype=np.uint8)
    labels[5:25, 8:30, 1:7], labels[32:52, 8:30, 1:7] = 3, 4
    labels[54:58, 8:30, 1:7] = 6  # iliopsoas, whose spread is not calibrated
    lean = rng.random(labels.shape) > np.where(labels > 0, 0.15, 0.6)
    water = np.where(lean, 400, 40).astype(np.int16)
    fat = np.where(lean, 30, 500).astype(np.int16)
    image = nifti(labels, SPACING)
    slices = np.array([1, 3, 5])
    inside = np.stack([(labels == side)[:, :, slices] for side in (3, 4)])
    defined = inside.sum(axis=(1, 2)).astype(float)
    adipose = (inside & ~lean[None, :, :, slices]).sum(axis=(1, 2)).astype(float)
    views = ViewSums(slices, np.stack([defined, 1.1 * defined]), np.stack([adipose, 1.3 * adipose]))
    factor = {"left": 1.1, "right": 0.9, "both": 1.0}
    # InterMAT by its views alone, lean volume as 2 % of itself.
    intermat = Scale(0.0, (0.0, 1.0, 0.0, 0.0), factor=factor)
    lean = Scale(float(np.log(0.02)), (0.0, 0.0, 0.0, 1.0), factor=factor)
    calibration = Calibration(intermat, lean, -0.4, (0.1, -0.01), ("w",), {"simulated": True})
    image.extra[KEY] = CarriedSpread(views, calibration, label_fingerprint(labels)).to_json()
    return {"water": nifti(water, SPACING), "fat": nifti(fat, SPACING), "labels": image}


def row(table: Any, side: str = "both", muscle: str = "autochthonous") -> Any:
    return table[(table["muscle"] == muscle) & (table["side"] == side) & (table["region"] == "field_of_view")].iloc[0]


def test_labels_that_carry_a_spread_fill_the_table(scan: dict[str, Any], tmp_path: Path) -> None:
    table = quantify(**scan)
    found = row(table)
    # The views find 10 % more muscle and 30 % more fat, so InterMAT rises by 2 / 11 of itself (every other slice is seen).
    assert found["intermat_sd_percent"] == pytest.approx(found["intermat_threshold_percent"] * 2 / 11, rel=0.1)
    assert found["lean_sd_cm3"] == pytest.approx(0.02 * found["lean_threshold_cm3"])
    assert found["intermat_lean_cov"] == pytest.approx(-0.4 * found["intermat_sd_percent"] * found["lean_sd_cm3"])
    left = row(table, "left")
    assert left["lean_sd_cm3"] == pytest.approx(1.1 * 0.02 * left["lean_threshold_cm3"])
    assert np.isnan(row(table, "right", "iliopsoas")["intermat_sd_percent"])
    assert table.attrs["uncertainty"]["calibration"]["fitted_on"] == {"simulated": True}
    # From files: the sidecar beside the label map says the same.
    nib.save(scan["labels"], tmp_path / "p_dseg.nii.gz")
    (tmp_path / "p_dseg.json").write_text(json.dumps(dict(scan["labels"].extra)))
    again = quantify(scan["water"], scan["fat"], tmp_path / "p_dseg.nii.gz")
    np.testing.assert_allclose(row(again)[list(COLUMNS)].astype(float), found[list(COLUMNS)].astype(float))


def test_lean_volume_has_an_sd_only_where_its_calibration_holds(scan: dict[str, Any]) -> None:
    everywhere = row(quantify(**scan))
    carried = scan["labels"].extra[KEY]
    for regions, given in ((["above_gluteals_150mm"], False), (["field_of_view"], True)):
        scan["labels"].extra[KEY] = {**carried, "calibration": {**carried["calibration"], "lean_regions": regions}}
        found = row(quantify(**scan))
        assert found["intermat_sd_percent"] == everywhere["intermat_sd_percent"]
        assert found[["lean_sd_cm3", "intermat_lean_cov"]].notna().tolist() == [given, given]


def test_views_that_show_none_of_a_muscle_leave_its_sd_out(scan: dict[str, Any]) -> None:
    carried = scan["labels"].extra[KEY]
    views = ViewSums.from_json(carried["views"])
    views.defined[1, 0] = views.adipose[1, 0] = 0  # the left side is gone in a view
    scan["labels"].extra[KEY] = {**carried, "views": views.to_json()}
    table = quantify(**scan)
    assert row(table, "left")[list(COLUMNS)].isna().all()
    assert row(table, "right")[list(COLUMNS)].notna().all()


def test_labels_that_were_changed_have_no_spread(scan: dict[str, Any], nifti: Make) -> None:
    corrected = np.asarray(scan["labels"].dataobj).copy()
    corrected[12:14, 12:14, 3] = 0
    image = nifti(corrected, SPACING)
    image.extra.update(scan["labels"].extra)
    by_hand = quantify(scan["water"], scan["fat"], image)
    image.extra[KEY] = {**image.extra[KEY], "labels_sha256": label_fingerprint(corrected)}
    assert row(quantify(scan["water"], scan["fat"], image))["lean_sd_cm3"] > 0
    closed = quantify(scan["water"], scan["fat"], image, compartment="fascia")  # which fills the hole
    for table in (by_hand, closed):
        assert table[list(COLUMNS)].isna().all().all()
        assert any("SDs are missing" in note for note in table.attrs["notes"])
        assert "uncertainty" not in table.attrs


def test_a_test_retest_sd_is_added_and_stated(scan: dict[str, Any], nifti: Make) -> None:
    alone = row(quantify(**scan))
    table = quantify(**scan, test_retest_sd=(0.8, 12.0))
    added = row(table)
    assert added["intermat_sd_percent"] == pytest.approx(np.hypot(alone["intermat_sd_percent"], 0.8))
    assert added["lean_sd_cm3"] == pytest.approx(np.hypot(alone["lean_sd_cm3"], 12.0))
    assert added["intermat_lean_cov"] == pytest.approx(alone["intermat_lean_cov"])
    assert table.attrs["uncertainty"]["test_retest_sd"] == {"intermat_percent": 0.8, "lean_cm3": 12.0}
    bare = nifti(np.asarray(scan["labels"].dataobj), SPACING)
    only = row(quantify(scan["water"], scan["fat"], bare, test_retest_sd=(0.8, 12.0)))
    assert list(only[list(COLUMNS)]) == [0.8, 12.0, 0.0]
    for wrong in ((1.0,), (-1.0, 2.0), (float("nan"), 1.0)):
        with pytest.raises(InvalidValueError, match="test_retest_sd"):
            quantify(scan["water"], scan["fat"], bare, test_retest_sd=wrong)
