"""A prior stated as a range of odds ratios has that range, by SciPy's normal quantiles."""

import numpy as np
import pytest
from scipy import stats

from muscle_bayes.errors import ModelFileError
from muscle_bayes.specification import Model, load_model
from muscle_bayes.specification.priors import DEFAULT_INTERCEPT, HalfNormalPrior, OddsRatioPrior, PrevalencePrior


@pytest.mark.parametrize(
    ("lower", "upper", "per"), [(0.2, 5.0, 2.0), (0.67, 1.5, 2.0), (1.1, 3.0, 1.0), (0.5, 2.0, 10.0)]
)
def test_odds_ratio_range(lower: float, upper: float, per: float) -> None:
    prior = OddsRatioPrior(or_95=(lower, upper), per=per, reason="test")
    quantiles = np.exp(per * stats.norm(prior.mean, prior.sd).ppf([0.025, 0.975]))
    np.testing.assert_allclose(quantiles, [lower, upper], rtol=1e-12)


def test_prevalence_range() -> None:
    prior = PrevalencePrior(prevalence_95=(0.1, 0.4), reason="test")
    log_odds = stats.norm(prior.mean, prior.sd).ppf([0.025, 0.975])
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), [0.1, 0.4], rtol=1e-12)


def test_main_model_states_exposures_per_two_z() -> None:
    priors = load_model("cbp_interaction").normal_priors()
    for name in ("intermat_z", "lmm_z"):
        np.testing.assert_allclose(
            np.exp(2 * stats.norm(priors[name].mean, priors[name].sd).ppf([0.025, 0.975])), [0.2, 5], rtol=1e-12
        )
    sceptical = load_model("cbp_main").with_priors("sceptical").normal_priors()["lmm_z"]
    np.testing.assert_allclose(np.exp(2 * stats.norm(sceptical.mean, sceptical.sd).ppf(0.975)), 1.5, rtol=1e-12)
    assert priors["intercept"].sd == DEFAULT_INTERCEPT.sd


def test_reason_for_the_site_prior_is_true() -> None:
    """95 % of half-normal(0.5) lie below 0.98, where +-1 SD means a sevenfold difference in odds."""
    upper = stats.halfnorm(scale=load_model("cbp_main").priors.site_sd.half_normal).ppf(0.95)
    assert round(upper, 2) == 0.98
    assert round(np.exp(2 * upper)) == 7


@pytest.mark.parametrize("values", [(0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (-1.0, 2.0)])
def test_refuses_a_range_that_is_none(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="or_95"):
        OddsRatioPrior(or_95=values, reason="test")


def test_refuses_a_scale_of_zero_and_an_unknown_set() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        HalfNormalPrior(half_normal=0, reason="test")
    with pytest.raises(ModelFileError, match="'weak', 'sceptical' or 'published'"):
        Model(formula="y ~ x").with_priors("flat")
