"""What known, typical, new and marginal site mean, in closed form."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit as scipy_expit
from scipy.stats import norm

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.linear_predictor import linear_predictor, new_effects
from muscle_bayes.estimands.sites import check_site, expit


def test_expit_is_scipys_and_does_not_overflow() -> None:
    x = np.array([-800.0, -30.0, -1.4, 0.0, 2.0, 800.0])
    np.testing.assert_allclose(expit(x), scipy_expit(x), atol=1e-16)
    assert expit(x.astype("float32")).dtype == np.float32


def probabilities(fit, site, index=None, persons=1):
    """Of persons whose design columns are 0."""
    X = np.zeros((persons, len(fit.recipe.columns)))
    return linear_predictor(fit, X, site=site, members=index).probabilities()


def test_known_site_adds_its_own_effect(fit) -> None:
    got = probabilities(fit, "known", np.array([0, 2]), persons=2)
    intercept = fit.coefficients()[:, :1]
    np.testing.assert_allclose(got, scipy_expit(intercept + np.array([-0.2, 0.3])))


def test_typical_site_adds_nothing(fit) -> None:
    np.testing.assert_allclose(probabilities(fit, "typical"), scipy_expit(fit.coefficients()[:, :1]))


def test_new_site_is_one_normal_draw_shared_by_all_persons_and_repeats(fit) -> None:
    effects = new_effects(fit)
    assert effects.shape == (4000, 1)
    np.testing.assert_array_equal(effects, new_effects(fit))
    # Mean and SD of 4,000 draws of N(0, 0.25): four Monte Carlo standard errors.
    assert abs(effects.mean()) < 4 * 0.25 / np.sqrt(4000)
    assert effects.std() == pytest.approx(0.25, rel=4 / np.sqrt(2 * 4000))
    got = probabilities(fit, "new", persons=2)
    np.testing.assert_allclose(got, np.broadcast_to(scipy_expit(fit.coefficients()[:, :1] + effects), (4000, 2)))


@pytest.mark.parametrize("sd", [0.0, 0.25, 1.5])
def test_marginal_site_is_the_integral_over_site_effects(make_fit, sd: float) -> None:
    fit = make_fit(site_sd=sd, draws=10)
    got = probabilities(fit, "marginal")
    for value, a in zip(got[:, 0], fit.coefficients()[:, 0], strict=True):
        assert value == pytest.approx(quad(lambda z, a=a: scipy_expit(a + sd * z) * norm.pdf(z), -8, 8)[0], abs=1e-6)


def test_sites_that_a_fit_cannot_speak_about_are_refused(fit, make_fit) -> None:
    with pytest.raises(EstimandError, match="no such choice"):
        check_site(fit, "average")
    without = make_fit(site=False)
    check_site(without, "typical")
    with pytest.raises(EstimandError, match="no site term"):
        check_site(without, "new")
