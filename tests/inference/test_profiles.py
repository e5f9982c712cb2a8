"""Profile likelihood intervals by name."""

import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError


@pytest.fixture(scope="module")
def ml(small_table: pd.DataFrame) -> mb.Fit:
    return mb.fit("cbp_main", small_table, method="ml")


def test_profile_and_wald_agree_for_a_slope(ml: mb.Fit) -> None:
    """A near-normal likelihood; the profile itself is held against lme4 in test_maximum_likelihood."""
    found = ml.profile_intervals(["intermat_z"])
    row = found.loc["intermat_z"]
    assert row["lower"] < row["estimate"] < row["upper"]
    # 2,000 participants: the likelihood of a slope is close to normal, so that both intervals nearly agree.
    assert row["lower"] == pytest.approx(row["wald_lower"], abs=0.03 * (row["upper"] - row["lower"]))
    assert row["upper"] == pytest.approx(row["wald_upper"], abs=0.03 * (row["upper"] - row["lower"]))


def test_default_takes_exposures_and_the_site_sd(ml: mb.Fit) -> None:
    found = ml.profile_intervals()
    assert list(found.index) == ["intermat_z", "lmm_z", "1|site_sigma"]
    assert pd.isna(found.loc["1|site_sigma", "wald_lower"])
    assert found.loc["1|site_sigma", "lower"] >= 0


def test_only_for_maximum_likelihood(small_fit: mb.Fit, ml: mb.Fit) -> None:
    with pytest.raises(EstimandError, match="method='ml'"):
        small_fit.profile_intervals()
    with pytest.raises(EstimandError, match="'intermat'"):
        ml.profile_intervals(["intermat"])
