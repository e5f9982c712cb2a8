"""Optimism against R's rms::validate, on the same bootstrap samples."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.optimism import (
    MEASURES,
    _Refits,
    bootstrap_performance,
    bootstrap_rows,
    cross_validated,
    fold_numbers,
    performance,
)

RMS = json.loads((Path(__file__).parents[1] / "fixtures" / "rms" / "validate_lrm.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame(RMS["cohort"])


@pytest.fixture(scope="module")
def ml_fit(table: pd.DataFrame) -> mb.Fit:
    model = mb.Model(
        formula="cbp ~ intermat_percent + lmm_cm3_per_kg_m2 + age_years + diabetes",
        event="cbp == 1",
        outcome="Back pain",
    )
    return mb.fit(model, table, method="ml")


def test_bootstrap_is_that_of_rms_on_the_same_samples(ml_fit: mb.Fit) -> None:
    y = ml_fit.cohort["cbp"].to_numpy(dtype=float)
    refits = _Refits(ml_fit, ml_fit.cohort, 1000, 1, allow_unconverged=False)
    training, test = bootstrap_performance(refits, [np.array(rows) for rows in RMS["rows"]], y)
    assert len(training) == len(RMS["rows"])
    ours = {}
    for i, name in enumerate(MEASURES):
        optimism = (training - test)[:, i].mean()
        ours[name] = {"training": training[:, i].mean(), "test": test[:, i].mean(), "optimism": optimism}
    for name, theirs in zip(RMS["measures"], RMS["table"], strict=True):
        row = dict(zip(RMS["columns"], theirs, strict=True))
        own, scale = {
            "Dxy": ("c-statistic", 2.0), "Intercept": ("calibration intercept", 1.0),
            "Slope": ("calibration slope", 1.0), "B": ("Brier score", 1.0),
        }[name]  # fmt: skip
        for version in ("training", "test", "optimism"):
            # rms stops its maximum at a change of 1e-12 in the deviance of the first fit, and 1e-5 in its refits.
            expected = row[version] / scale + (0.5 if scale == 2 and version != "optimism" else 0)
            assert ours[own][version] == pytest.approx(expected, abs=2e-4), (name, version)


def test_frame_is_apparent_less_optimism(ml_fit: mb.Fit) -> None:
    frame = mb.optimism(ml_fit, replicates=40, seed=1)
    by = frame.pivot_table(index="estimand", columns="version", values="estimate")
    np.testing.assert_allclose(by["corrected"], by["apparent"] - by["optimism"], atol=1e-12)
    rms = {
        name: dict(zip(RMS["columns"], row, strict=True))
        for name, row in zip(RMS["measures"], RMS["table"], strict=True)
    }
    assert by.loc["c-statistic", "apparent"] == pytest.approx(0.5 + rms["Dxy"]["index.orig"] / 2, abs=1e-4)
    assert by.loc["Brier score", "apparent"] == pytest.approx(rms["B"]["index.orig"], abs=1e-4)
    # Other samples than rms drew: both means carry a Monte Carlo error.
    errors = frame[frame["version"] == "corrected"].set_index("estimand")["mcse"]
    for ours, theirs, scale in (("calibration slope", "Slope", 1), ("c-statistic", "Dxy", 2)):
        expected = rms[theirs]["index.corrected"] / scale + (0.5 if scale == 2 else 0)
        assert abs(by.loc[ours, "corrected"] - expected) < 4 * errors[ours] * np.sqrt(1 + 40 / 25)
    corrected = frame[(frame["version"] == "corrected") & (frame["estimand"] == "c-statistic")].iloc[0]
    assert corrected["lower"] < corrected["estimate"] < corrected["upper"]
    assert (frame["role"] == "check").all()


def test_cross_validation_never_sees_the_person_it_speaks_of(ml_fit: mb.Fit) -> None:
    y = ml_fit.cohort["cbp"].to_numpy(dtype=float)
    fold = next(fold_numbers(np.zeros(len(y), dtype=int), y, 5, 2, 1))
    own = cross_validated(_Refits(ml_fit, ml_fit.cohort, 1000, 1, False), fold, y)
    names = ["intermat_percent", "lmm_cm3_per_kg_m2", "age_years", "diabetes"]
    X = sm.add_constant(ml_fit.cohort[names].to_numpy(dtype=float))
    log_odds = np.empty(len(y))
    for k in range(5):
        log_odds[fold == k] = X[fold == k] @ sm.Logit(y[fold != k], X[fold != k]).fit(disp=0, tol=1e-10).params
    np.testing.assert_allclose(own, performance(log_odds, y), atol=1e-5)
    assert np.ptp(np.bincount(fold)) <= 1
    assert np.ptp(np.bincount(fold, weights=y)) <= 1


def test_samples_keep_the_sizes_of_sites() -> None:
    strata = np.array(["a"] * 30 + ["b"] * 7)
    for rows in bootstrap_rows(strata, 3, 1):
        assert (strata[rows] == "b").sum() == 7
        assert len(set(rows)) < 37


def test_too_little_is_refused(ml_fit: mb.Fit) -> None:
    with pytest.raises(EstimandError, match="Monte Carlo error"):
        mb.optimism(ml_fit, replicates=5)
    with pytest.raises(EstimandError, match="no such method"):
        mb.optimism(ml_fit, "jackknife")
