"""Derived exposures against hand computations and statsmodels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from muscle_bayes.errors import MissingColumnError
from muscle_bayes.estimands.derived_exposures import (
    allometric_residual,
    centred_within_site,
    lean_volume,
    per_height_squared,
    site_mean,
)
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.specification.recipe import Standardisation


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    return simulate_cohort(n=500, seed=1)


def test_a_volume_by_the_square_of_height_is_in_square_metres() -> None:
    found = per_height_squared(pd.Series([600.0, 500.0]), pd.Series([200.0, 160.0]))
    np.testing.assert_allclose(found, [150.0, 500 / 2.56])


def test_lean_volume_is_lmm_times_bmi_for_each_definition(cohort: pd.DataFrame) -> None:
    product = cohort["lmm_cm3_per_kg_m2"] * cohort["weight_kg"] / (cohort["height_cm"] / 100) ** 2
    np.testing.assert_allclose(lean_volume(cohort, "lmm_cm3_per_kg_m2", own=True), product, rtol=1e-12)
    fraction = cohort["lmm_fraction_cm3_per_kg_m2"] * cohort["bmi_kg_m2"]
    np.testing.assert_allclose(lean_volume(cohort, "lmm_fraction_cm3_per_kg_m2", own=False), fraction)
    with pytest.raises(MissingColumnError, match="bmi_kg_m2"):
        lean_volume(cohort.drop(columns="bmi_kg_m2"), "lmm_fraction_cm3_per_kg_m2", own=False)


def test_the_allometric_residual_is_statsmodels_of_the_logs(cohort: pd.DataFrame) -> None:
    table = cohort.assign(height_cm=cohort["height_cm"].where(cohort.index != 7))
    found, exponents = allometric_residual(table["lean_cm3"], table["height_cm"], table["weight_kg"])
    ols = smf.ols("np.log(lean_cm3) ~ np.log(height_cm) + np.log(weight_kg)", table.drop(index=7)).fit()
    np.testing.assert_allclose(found.drop(index=7), ols.resid, atol=1e-10)
    np.testing.assert_allclose(exponents, ols.params.iloc[1:], rtol=1e-8)
    assert np.isnan(found[7])


def test_a_volume_that_height_and_weight_fix_has_no_residual() -> None:
    height, weight = pd.Series([150.0, 160, 170, 185, 190]), pd.Series([60.0, 80, 70, 90, 120])
    residual, (a, b) = allometric_residual(3 * height**1.2 * weight**0.4, height, weight)
    np.testing.assert_allclose(residual, 0, atol=1e-12)
    assert (a, b) == pytest.approx((1.2, 0.4))


def test_site_means_and_centring_by_hand() -> None:
    table = pd.DataFrame({"x": [1.0, 3.0, 10.0, 20.0, 30.0], "site": ["B", "B", "A", "A", "A"]})
    np.testing.assert_allclose(site_mean(table["x"], table["site"]), [2, 2, 20, 20, 20])
    z = centred_within_site(Standardisation("x", 12.8, 4.0), table, "site")
    # In SDs of everyone (4), not of the site: a unit of Z stays the same difference in raw units.
    np.testing.assert_allclose(z.score(table), [-0.25, 0.25, -2.5, 0, 2.5])
