"""Calibration curves against the max-min formula of isotonic regression and against what calibration means."""

import numpy as np
import pytest

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import calibration
from muscle_bayes.estimands.calibration import brier_parts, isotonic


def max_min(means, weights):
    """Robertson, Wright & Dykstra 1988, theorem 1.4.4: max over starts before, min over ends after, of the mean between."""
    total, size = np.r_[0, np.cumsum(means * weights)], np.r_[0, np.cumsum(weights)]
    n = len(means)
    mean = np.array(
        [[(total[j] - total[i]) / (size[j] - size[i]) if j > i else np.nan for j in range(n + 1)] for i in range(n)]
    )
    return np.array([max(min(mean[i, j + 1] for j in range(k, n)) for i in range(k + 1)) for k in range(n)])


def test_isotonic_regression_is_the_max_min_formula_with_ties_pooled() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 25, 120) / 25
    y = (rng.random(120) < x).astype(float)
    knots, fitted, weights = isotonic(x, y)
    means = np.array([y[x == k].mean() for k in knots])
    np.testing.assert_array_equal(weights, [np.sum(x == k) for k in knots])
    np.testing.assert_allclose(fitted, max_min(means, weights), atol=1e-12)


def test_brier_score_falls_apart_into_miscalibration_discrimination_and_uncertainty() -> None:
    # Dimitriadis et al.'s identity, on a case by hand: forecasts 0.2 and 0.6, events 1 of 4 and 3 of 4.
    x, y = np.repeat([0.2, 0.6], 4), np.array([1, 0, 0, 0, 1, 1, 1, 0.0])
    parts = brier_parts(x, y)
    score = (0.8**2 + 3 * 0.2**2 + 3 * 0.4**2 + 0.6**2) / 8
    recalibrated = (2 * 4 * 0.25 * 0.75) / 8
    assert parts["Brier score"] == pytest.approx(score)
    assert parts["miscalibration"] == pytest.approx(score - recalibrated)
    assert parts["discrimination"] == pytest.approx(0.25 - recalibrated)
    assert parts["uncertainty"] == pytest.approx(0.25)


def test_a_calibrated_model_lies_in_its_band_and_a_shifted_one_does_not(make_fit) -> None:
    right = make_fit(n=4000, slopes=np.array([0.5, -0.3, 0.4, 0, 0, 0, 0, 0.0]), sd=0.001)
    frame = calibration(right, replicates=300)
    curve = frame[frame["estimand"] == "calibration curve"]
    assert (np.diff(curve["estimate"]) >= -1e-12).all()
    inside = curve["estimate"].between(curve["lower"] - 1e-12, curve["upper"] + 1e-12)
    # Neighbouring points share a level, so that a whole level can lie outside by chance.
    assert inside.mean() > 0.8
    shifted = make_fit(n=4000, slopes=np.array([0.5, -0.3, 0.4, 0, 0, 0, 0, 0.0]), sd=0.001, intercept=-0.8)
    shifted.cohort = right.cohort
    wrong = calibration(shifted, replicates=300)
    curve = wrong[wrong["estimand"] == "calibration curve"]
    assert (curve["estimate"] < curve["lower"]).mean() > 0.6
    miscalibration = {
        n: f.set_index("estimand").loc["miscalibration", "estimate"] for n, f in (("a", frame), ("b", wrong))
    }
    assert miscalibration["b"] > 4 * miscalibration["a"]


def test_each_site_has_its_own_curve(fit) -> None:
    frame = calibration(fit, by="site", replicates=100)
    for site, part in fit.cohort.groupby("site"):
        own = frame[frame["group"] == site].set_index("estimand")
        assert own.loc["observed prevalence", "estimate"] == pytest.approx(part["cbp"].mean())
        assert own["n"].iloc[0] == len(part)
    with pytest.raises(EstimandError, match="band"):
        calibration(fit, replicates=10)
