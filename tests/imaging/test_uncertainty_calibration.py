"""The fit of SDs: SciPy's own fit, powers that come back, quantiles in closed form, invariances, covariances."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.uncertainty import SIDES, Calibration, RawSpread, Scale
from muscle_bayes.imaging.uncertainty_calibration import DEGREES, fit_calibration, fit_scale, interval_factor

ONES = dict.fromkeys(SIDES, 1.0)
TRUE = Calibration(
    Scale(-2.0, (0.8, 0.0, 0.2, 0.3), factor=ONES), Scale(-3.0, (0.0, 0.5, -0.4, 0.9), factor=ONES), correlation=0.5
)


def drawn(n: int, rng: np.random.Generator, side: str = "both") -> list[RawSpread]:
    border, views = (np.exp(rng.normal(0, 0.6, (n, 2))) * scale for scale in ((0.1, 3.0), (0.15, 5.0)))
    size = zip(rng.uniform(2, 25, n).tolist(), rng.uniform(300, 1_000, n).tolist(), strict=True)
    return [RawSpread(side, b, v, i, m) for b, v, (i, m) in zip(border, views, size, strict=True)]


def errors_of(raw: list[RawSpread], rng: np.random.Generator, mean: float = 0.0) -> np.ndarray:
    """Normal errors with the true covariance, whose mean is so many SDs off."""
    sd = sds(raw, TRUE)
    z = rng.multivariate_normal([mean, mean], [[1, 0.5], [0.5, 1]], len(raw))
    out: np.ndarray = sd * z
    return out


def sds(raw: list[RawSpread], by: Calibration) -> np.ndarray:
    return np.sqrt([np.diag(one.covariance(by)) for one in raw])


def test_without_signs_the_fit_is_that_of_scipy() -> None:
    errors = stats.t.rvs(5, scale=3.0, size=150, random_state=1)
    signs = np.full((150, 4), 2.0)
    found = fit_scale(signs, errors, np.ones(150))
    scale = stats.t.fit(errors, f0=DEGREES, floc=0)[2]
    assert found.sd(signs)[0] == pytest.approx(scale * np.sqrt(DEGREES / (DEGREES - 2)), rel=1e-3)


def test_powers_come_back_and_intervals_cover() -> None:
    """1,000 scans to fit, 4,000 to judge. A power's standard error is 0.7 / sqrt(1,000) over the SD of its sign (0.6): 0.04."""
    rng = np.random.default_rng(2)
    raw = drawn(1_000, rng)
    found = fit_calibration(raw, errors_of(raw, rng))
    for mine, true in ((found.intermat, TRUE.intermat), (found.lean, TRUE.lean)):
        np.testing.assert_allclose(mine.powers, true.powers, atol=0.15)
    assert found.correlation == pytest.approx(0.5, abs=0.1)  # Monte Carlo error 0.024
    others = drawn(4_000, rng)
    inside = np.abs(errors_of(others, rng)) <= 1.96 * sds(others, found)
    # Monte Carlo error 0.35 points of judging and 0.7 of fitting.
    assert (np.abs(inside.mean(axis=0) - 0.95) < 0.025).all()


def test_a_mean_error_is_part_of_the_sd_and_stated() -> None:
    rng = np.random.default_rng(3)
    raw = drawn(600, rng)
    errors = errors_of(raw, rng, mean=1.5)
    found = fit_calibration(raw, errors)
    assert found.mean_error[0] == pytest.approx(errors[:, 0].mean())
    assert found.mean_error[1] == pytest.approx(np.mean(errors[:, 1] / [one.lean_cm3 for one in raw]))
    others = drawn(4_000, rng)
    inside = np.abs(errors_of(others, rng, mean=1.5)) <= 1.96 * sds(others, found)
    assert (np.abs(inside.mean(axis=0) - 0.95) < 0.03).all()  # Monte Carlo error 1 point


def test_the_factor_is_a_quantile_in_closed_form() -> None:
    middle = (np.arange(2_000) + 0.5) / 2_000
    normal = stats.norm.ppf(middle)
    assert interval_factor(normal, 0.95) == pytest.approx(1, rel=2e-3)
    assert interval_factor(normal, 0.80) == pytest.approx(1, rel=2e-3)
    assert interval_factor(-3 * normal, 0.95) == pytest.approx(3, rel=2e-3)
    flat = 2 * middle - 1
    assert interval_factor(flat, 0.95) == pytest.approx(0.95 / 1.959964, rel=0.02)  # the family nearly holds it
    # Far from the family: errors with a mean of two SDs, and long tails. Coverage stays within a point.
    assert stats.foldnorm.cdf(1.959964 * interval_factor(normal + 2, 0.95), 2) == pytest.approx(0.95, abs=0.01)
    tails = interval_factor(stats.t.ppf(middle, 4), 0.95)
    assert 2 * stats.t.cdf(1.959964 * tails, 4) - 1 == pytest.approx(0.95, abs=0.01)


def test_units_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    raw = drawn(80, rng)
    errors = errors_of(raw, rng)
    plain = sds(raw, fit_calibration(raw, errors))
    np.testing.assert_allclose(sds(raw, fit_calibration(raw, errors * [10, -0.1])), plain * [10, 0.1], rtol=1e-3)
    finer = [replace(one, border=one.border * 25.4, lean_cm3=one.lean_cm3 / 1000) for one in raw]
    np.testing.assert_allclose(sds(finer, fit_calibration(finer, errors)), plain, rtol=1e-3)
    assert fit_calibration(raw, errors * [1, -1]).correlation == pytest.approx(
        -fit_calibration(raw, errors).correlation
    )


def test_more_doubt_never_gives_a_smaller_sd() -> None:
    rng = np.random.default_rng(5)
    raw = drawn(200, rng)
    upside_down = np.array([rng.normal(size=2) / one.border for one in raw])
    found = fit_calibration(raw, upside_down)
    assert min(*found.intermat.powers[:2], *found.lean.powers[:2]) >= 0
    beyond = [replace(one, border=one.border * 100, views=one.views * 100) for one in raw]
    assert (sds(beyond, found) >= sds(raw, found)).all()


def test_each_side_has_its_factor_and_scans_share_their_weight() -> None:
    rng = np.random.default_rng(6)
    both, left = drawn(300, rng), drawn(300, rng, "left")
    errors = np.concatenate([errors_of(both, rng), 2 * errors_of(left, rng)])
    found = fit_calibration([*both, *left], errors, scan=[*range(300), *range(300)])
    for scale in (found.intermat, found.lean):
        # Monte Carlo error of each factor 5 %.
        assert scale.factor["left"] / scale.factor["both"] == pytest.approx(2, rel=0.25)
        assert scale.factor["right"] == scale.factor["left"]  # never seen: as unsure as the worst
    # A scan whose row is there twice counts once.
    weight = np.ones(300)
    signs = np.array([one.signs[0] for one in both])
    once = fit_scale(signs, errors[:300, 0], weight)
    twice = fit_scale(np.repeat(signs, 2, axis=0), np.repeat(errors[:300, 0], 2), np.full(600, 0.5))
    np.testing.assert_allclose(twice.sd(signs), once.sd(signs), rtol=1e-3)


def test_covariances_are_positive_definite_also_beyond_the_fit() -> None:
    rng = np.random.default_rng(7)
    raw = drawn(100, rng)
    found = fit_calibration(raw, errors_of(raw, rng) @ [[1, 1], [0, 0.01]])  # nearly one and the same error
    assert abs(found.correlation) < 1
    zero = RawSpread("both", np.zeros(2), np.zeros(2), 0.0, 0.0)
    far = RawSpread("left", np.full(2, 1e4), np.full(2, 1e4), 100.0, 1e5)
    for one in [*raw, zero, far]:
        assert (np.linalg.eigvalsh(one.covariance(found)) > 0).all()
    # A sign of nothing counts as the smallest of the fit, fat as the most of it.
    least = RawSpread("both", *np.array([found.intermat.least[:2], found.lean.least[:2]]).T, *found.lean.least[2:])
    np.testing.assert_allclose(zero.covariance(found), least.covariance(found))
    np.testing.assert_allclose(
        far.covariance(found), replace(far, intermat_percent=found.lean.most[2]).covariance(found)
    )


def test_what_makes_no_calibration_is_refused() -> None:
    raw = drawn(30, np.random.default_rng(8))
    with pytest.raises(InvalidValueError, match="at least 20"):
        fit_calibration(raw[:19], np.zeros((19, 2)))
    with pytest.raises(InvalidValueError, match="finite"):
        fit_calibration(raw, np.full((30, 2), np.nan))
    with pytest.raises(InvalidValueError, match="shape"):
        fit_calibration(raw, np.zeros((29, 2)))
