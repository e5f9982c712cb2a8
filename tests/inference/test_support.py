"""What a fit remembers of its analysis set is right, and too coarse to find a person in."""

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.inference.support import age_band


def test_quantiles_and_counts(small_fit: mb.Fit) -> None:
    frame = small_fit.cohort
    stored = small_fit.support.quantiles.loc["lmm_cm3_per_kg_m2"]
    np.testing.assert_allclose(stored[[0.01, 0.5, 0.99]], frame["lmm_cm3_per_kg_m2"].quantile([0.01, 0.5, 0.99]))
    assert stored[0.0] > frame["lmm_cm3_per_kg_m2"].min()
    assert stored[1.0] < frame["lmm_cm3_per_kg_m2"].max()
    assert small_fit.support.counts["activity"].to_dict() == frame["activity"].astype(str).value_counts().to_dict()
    assert list(small_fit.support.counts["activity"].index) == ["moderate", "low", "high"]
    assert small_fit.support.counts["diabetes"]["1"] == (frame["diabetes"] == 1).sum()
    assert small_fit.support.counts["site"].sum() == small_fit.n


def test_by_group(small_fit: mb.Fit) -> None:
    frame = small_fit.cohort
    part = frame[(frame["sex"] == "female") & (frame["age_years"] >= 50) & (frame["age_years"] < 60)]
    row = small_fit.support.by_group.query("sex == 'female' and age_band == '50-59'").iloc[0]
    assert row["n"] == len(part)
    assert row["intermat_z_q99"] == pytest.approx(part["intermat_z"].quantile(0.99))


def test_joint_counts_hide_small_cells(small_fit: mb.Fit) -> None:
    joint = small_fit.support.joint
    frame = small_fit.cohort
    males = frame[frame["sex"] == "male"]
    cell = males[
        males["intermat_z"].between(-0.25, 0, inclusive="left") & males["lmm_z"].between(0.5, 0.75, inclusive="left")
    ]
    assert int(joint.sel(sex="male", intermat_z=-0.125, lmm_z=0.625)) == len(cell) >= 5
    counts = joint.to_numpy()
    assert not ((counts > 0) & (counts < 5)).any()


def test_profile_keeps_the_means_in_blocks_of_twenty(small_fit: mb.Fit) -> None:
    support = small_fit.support
    assert support.profile_n.sum() == small_fit.n
    assert support.profile_n.min() >= 20
    np.testing.assert_allclose(
        np.average(support.profile, axis=0, weights=support.profile_n), small_fit.recipe.centre, atol=1e-12
    )


def test_risks_over_the_profile_are_risks_over_persons(interaction_fit: mb.Fit) -> None:
    """Blocks share their linear predictor, so averaging risks over blocks instead of persons costs under 0.001."""
    beta = interaction_fit.coefficients()
    X = interaction_fit.recipe.matrix(interaction_fit.cohort)
    for draw in range(0, 4000, 400):
        persons = 1 / (1 + np.exp(-(beta[draw, 0] + X @ beta[draw, 1:])))
        blocks = 1 / (1 + np.exp(-(beta[draw, 0] + interaction_fit.support.profile @ beta[draw, 1:])))
        assert np.average(blocks, weights=interaction_fit.support.profile_n) == pytest.approx(persons.mean(), abs=1e-3)


def test_age_bands() -> None:
    assert age_band(pd.Series([19, 39.9, 40, 49.9, 50, 60, 74])).astype(str).tolist() == [
        "<40",
        "<40",
        "40-49",
        "40-49",
        "50-59",
        "60+",
        "60+",
    ]
