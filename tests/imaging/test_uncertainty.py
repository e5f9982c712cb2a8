"""Spread of InterMAT and lean volume: derivatives of what is measured, factors that come back, columns that are filled."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.spread import COLUMNS, KEY, CarriedSpread
from muscle_bayes.imaging.uncertainty import (
    Calibration,
    RawSpread,
    ViewSums,
    border,
    label_fingerprint,
    raw_spread,
)
from muscle_bayes.imaging.uncertainty_calibration import fit_calibration

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
    weight = np.ones(8)
    raw = raw_spread(
        [border(block(), fraction, SPACING, 0.5)], weight, 5.0, block().sum() * CM3, middle[0], np.empty((0, 2))
    )
    # One voxel out and one in, over the two millimetres and a half (1.5 and 2, out and in) that lie between: 3.5 mm.
    numeric = (figures(block(1)) - figures(block(-1))) / 3.5
    assert raw.shared[1] == pytest.approx(numeric[1], rel=0.05)  # corners belong to no side
    assert raw.shared[0] == pytest.approx(numeric[0], rel=0.15)  # a share of a volume that grows by a quarter is curved
    assert raw.local[0, 0] < raw.shared[0] ** 2  # parts that move for themselves average out
    assert raw.lean_cm3 == pytest.approx(middle[1])


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


def simulated_spreads(n: int, rng: np.random.Generator) -> list[RawSpread]:
    out = []
    for _ in range(n):
        seen = rng.normal(size=(3, 2)) * rng.lognormal(0, 0.7) * np.array([1.0, 12.0])
        shared = np.array([rng.lognormal(0.3, 0.4), rng.uniform(20, 60)])
        parts = rng.normal(size=(20, 2)) * np.array([0.1, 3.0])
        out.append(RawSpread(seen.T @ seen / 3, shared, parts.T @ parts, float(rng.uniform(300, 900))))
    return out


def test_known_factors_give_intervals_that_cover() -> None:
    """400 scans to fit, 4,000 to judge; errors of a t distribution with 6 degrees, so that tails are longer than normal."""
    rng = np.random.default_rng(2)
    true = Calibration(0.8, 0.5, 1.2, 0.3, 0.015)

    def errors(spreads: list[RawSpread]) -> np.ndarray:
        scale = np.sqrt(stats.chi2.rvs(6, size=len(spreads), random_state=rng) / 4)  # variance of t(6) is 6 / 4
        return np.array(
            [rng.multivariate_normal([0, 0], s.covariance(true)) / k for s, k in zip(spreads, scale, strict=True)]
        )

    spreads = simulated_spreads(400, rng)
    fitted = fit_calibration(spreads, errors(spreads))
    others = simulated_spreads(4_000, rng)
    error = errors(others)
    sd = np.sqrt([np.diag(s.covariance(fitted)) for s in others])
    true_sd = np.sqrt([np.diag(s.covariance(true)) for s in others])
    # Monte Carlo error of the coverage: 0.3 points of judging and about 1.2 of fitting.
    coverage = (np.abs(error) <= 1.96 * sd).mean(axis=0)
    assert (np.abs(coverage - 0.95) < 0.035).all()
    # Who is surer than whom is found again, not only how sure all are.
    for k in range(2):
        assert stats.spearmanr(sd[:, k], true_sd[:, k]).statistic > 0.95


def test_what_makes_no_calibration_is_refused() -> None:
    spreads = simulated_spreads(30, np.random.default_rng(3))
    with pytest.raises(InvalidValueError, match="at least 20"):
        fit_calibration(spreads[:19], np.zeros((19, 2)))
    with pytest.raises(InvalidValueError, match="finite"):
        fit_calibration(spreads, np.full((30, 2), np.nan))
    good = replace(Calibration(1, 1, 1, 1, 1), weights_sha256=("a",)).to_json()
    assert Calibration.from_json(json.loads(json.dumps(good))).weights_sha256 == ("a",)
    for change in ({"views": -1}, {"views": "x"}, {"lean_factor": float("nan")}):
        with pytest.raises(InvalidValueError, match="uncertainty"):
            Calibration.from_json({**good, **change})
    with pytest.raises(InvalidValueError, match="uncertainty"):
        Calibration.from_json({"views": 1})


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
    calibration = Calibration(1.0, 0.4, 0.6, 0.2, 0.01, 1.1, 0.9, ("w",), {"simulated": True})
    image.extra[KEY] = CarriedSpread(views, calibration, label_fingerprint(labels)).to_json()
    return {"water": nifti(water, SPACING), "fat": nifti(fat, SPACING), "labels": image}


def row(table: Any, side: str = "both", muscle: str = "autochthonous") -> Any:
    return table[(table["muscle"] == muscle) & (table["side"] == side) & (table["region"] == "field_of_view")].iloc[0]


def test_labels_that_carry_a_spread_fill_the_table(scan: dict[str, Any], tmp_path: Path) -> None:
    table = quantify(**scan)
    found = row(table)
    assert 0 < found["intermat_sd_percent"] < 20
    assert 0 < found["lean_sd_cm3"] < found["lean_threshold_cm3"]
    assert abs(found["intermat_lean_cov"]) <= found["intermat_sd_percent"] * found["lean_sd_cm3"]
    # The views' own share: 10 % more muscle, 30 % more fat, so InterMAT rises by 2 / 11 of itself.
    intermat = found["intermat_threshold_percent"]
    assert found["intermat_sd_percent"] > 1.1 * intermat * (1.3 / 1.1 - 1)
    assert row(table, "left")["lean_sd_cm3"] > found["lean_sd_cm3"] / 2
    assert np.isnan(row(table, "right", "iliopsoas")["intermat_sd_percent"])
    assert table.attrs["uncertainty"]["calibration"]["fitted_on"] == {"simulated": True}
    # From files: the sidecar beside the label map says the same.
    nib.save(scan["labels"], tmp_path / "p_dseg.nii.gz")
    (tmp_path / "p_dseg.json").write_text(json.dumps(dict(scan["labels"].extra)))
    again = quantify(scan["water"], scan["fat"], tmp_path / "p_dseg.nii.gz")
    np.testing.assert_allclose(row(again)[list(COLUMNS)].astype(float), found[list(COLUMNS)].astype(float))


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
