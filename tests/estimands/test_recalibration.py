"""Intercept and slope of given log odds against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from muscle_bayes.estimands.discrimination import c_statistic_se
from muscle_bayes.estimands.recalibration import recalibration


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (0.7, 0.4), (-2.0, 3.0)])
def test_intercept_and_slope_are_those_of_statsmodels(shift: float, stretch: float) -> None:
    rng = np.random.default_rng(1)
    given = rng.normal(-1, 1, 600)
    y = rng.binomial(1, expit(shift + stretch * given)).astype(float)
    found = recalibration(given, y)
    family = sm.families.Binomial()
    large = sm.GLM(y, np.ones(600), family=family, offset=given).fit(tol=1e-12)
    free = sm.GLM(y, sm.add_constant(given), family=family).fit(tol=1e-12)
    assert found.intercept == pytest.approx(large.params[0], abs=1e-7)
    assert found.intercept_se == pytest.approx(large.bse[0], rel=1e-6)
    assert [found.intercept_at_slope, found.slope] == pytest.approx(list(free.params), abs=1e-7)
    assert found.slope_se == pytest.approx(free.bse[1], rel=1e-6)


def test_what_has_no_maximum_is_missing() -> None:
    x = np.linspace(-1, 1, 50)
    assert np.isnan(recalibration(x, np.zeros(50)).intercept)
    assert np.isnan(recalibration(x, (x > 0).astype(float)).slope)  # separated
    constant = recalibration(np.full(50, -1.0), np.repeat([0.0, 1.0], 25))
    assert np.isnan(constant.slope)
    assert constant.intercept == pytest.approx(1.0)


def test_standard_error_of_the_c_statistic_is_delongs() -> None:
    rng = np.random.default_rng(2)
    y = rng.binomial(1, 0.3, 300)
    score = np.round(rng.normal(size=300) + y, 1)  # with ties
    a, b = score[y == 1], score[y == 0]
    concordant = (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    variance = concordant.mean(axis=1).var(ddof=1) / len(a) + concordant.mean(axis=0).var(ddof=1) / len(b)
    assert c_statistic_se(score, y) == pytest.approx(np.sqrt(variance), rel=1e-12)
