"""Power scaling against ArviZ, against two normals whose distance is an integral, and against real refits."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import integrate, stats

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.followed import followed
from muscle_bayes.estimands.power_scaling import (
    NEAR,
    diagnosis,
    log_likelihood,
    log_priors,
    power_scaling,
    power_weights,
    sensitivity_of,
)
from muscle_bayes.estimands.specifications import WIDTHS, with_priors


@pytest.fixture(scope="module")
def leaning():
    """Few persons and sceptical priors: the prior has a say."""
    cohort = mb.simulate_cohort(n=400, seed=1)
    return mb.fit("cbp_interaction", cohort, method="laplace", seed=1, priors="sceptical")


@pytest.fixture(scope="module")
def scaled(leaning):
    return power_scaling(leaning)


def test_arviz_gives_the_same_distance_of_the_same_weights_and_nearly_the_same_weights(leaning) -> None:
    prior = log_priors(leaning)["exposures"]
    for quantity in followed(leaning):
        ours = [power_weights(prior, power)[0] for power in NEAR]
        chained = quantity.draws.reshape(4, -1)
        same = array_stats.power_scale_sense(chained, *(w.reshape(4, -1) for w in ours), *NEAR)
        assert sensitivity_of(quantity.draws, prior) == pytest.approx(float(same), rel=1e-9)
        theirs = [np.exp(array_stats.power_scale_lw(prior, power)) for power in NEAR]
        whole = array_stats.power_scale_sense(chained, *((w / w.sum()).reshape(4, -1) for w in theirs), *NEAR)
        assert sensitivity_of(quantity.draws, prior) == pytest.approx(float(whole), rel=0.01)


@pytest.mark.parametrize(("shift", "spread"), [(1.5, 2.0), (0.3, 1.0), (-0.8, 5.0)])
def test_two_normals_are_as_far_apart_as_the_integral_says(shift: float, spread: float) -> None:
    # Posterior N(0, 1); the prior N(shift, spread^2) to the power a multiplies it by prior^(a - 1), a normal again.
    draws = stats.norm.ppf((np.arange(40_000) + 0.5) / 40_000)
    log_prior = stats.norm.logpdf(draws, shift, spread)
    slopes = []
    for power in NEAR:
        precision = 1 + (power - 1) / spread**2
        mean, sd = (power - 1) * shift / spread**2 / precision, precision**-0.5
        slopes.append(_distance(mean, sd, float(draws[0]), float(draws[-1])) / abs(np.log2(power)))
    assert sensitivity_of(draws, log_prior) == pytest.approx(np.mean(slopes), rel=0.01)


def _distance(mean: float, sd: float, low: float, high: float) -> float:
    """Cumulative Jensen-Shannon distance between N(0, 1) and N(mean, sd^2), by SciPy's quadrature."""

    def one_sided(sign: int) -> float:
        def p(x: float) -> float:
            return float(stats.norm.cdf(sign * x))

        def q(x: float) -> float:
            return float(stats.norm.cdf(sign * (x - mean) / sd))

        def both(x: float) -> float:
            m = (p(x) + q(x)) / 2
            return p(x) * np.log2(p(x) / m) + q(x) * np.log2(q(x) / m)

        # Differences of the areas cancel in the sum of the two directed divergences.
        value = integrate.quad(both, low, high, epsabs=1e-12)[0]
        bound = integrate.quad(lambda x: p(x) + q(x), low, high)[0]
        return float(np.sqrt(value / bound))

    return max(one_sided(1), one_sided(-1))


def test_log_densities_are_scipys(leaning) -> None:
    persons, recipe = leaning.cohort, leaning.recipe
    draws, effects = leaning.coefficients()[::500], leaning.site_effects()[::500]
    eta = draws[:, :1] + draws[:, 1:] @ recipe.matrix(persons).T + effects[:, recipe.site_index(persons)]
    expected = stats.bernoulli.logpmf(persons["cbp"].to_numpy()[None], 1 / (1 + np.exp(-eta))).sum(axis=1)
    np.testing.assert_allclose(log_likelihood(leaning)[::500], expected, atol=2e-4)

    found, priors = log_priors(leaning), leaning.model.normal_priors()
    scales = {"exposures": [], "adjustment": []}
    for j, column in enumerate(recipe.columns):
        prior = priors[column.term]
        part = stats.norm.logpdf(leaning.coefficients()[:, 1 + j], prior.mean, prior.sd)
        scales["exposures" if column.role == "exposure" else "adjustment"].append(part)
    sd = stats.halfnorm.logpdf(leaning.site_sd(), scale=leaning.model.priors.site_sd.half_normal)
    for name, expected in [*((n, np.sum(p, axis=0)) for n, p in scales.items()), ("SD between groups", sd)]:
        np.testing.assert_allclose(np.diff(found[name]), np.diff(expected), atol=1e-9)
    parts = [values for name, values in found.items() if name != "all priors"]
    np.testing.assert_allclose(found["all priors"], np.sum(parts, axis=0))


def test_doubled_priors_are_those_of_a_refit_with_their_sd_by_the_root_of_two(leaning, scaled, monkeypatch) -> None:
    monkeypatch.setitem(WIDTHS, "doubled", 2**-0.5)
    model = with_priors(leaning.model, "doubled", None)
    refit = mb.fit(model, leaning.cohort, method="laplace", seed=2)
    rows = scaled[scaled["component"] == "exposures"]
    assert rows["doubled_khat"].max() < 0.5
    checked = 0
    for (_, row), quantity in zip(rows.iterrows(), followed(refit), strict=True):
        error = np.hypot(row["mcse"], refit.mcse(quantity.draws)[0])
        # Weighted draws of the one fit, resampled draws of the other: 4 errors of their difference.
        assert row["doubled"] == pytest.approx(np.median(quantity.draws), abs=4 * error)
        checked += abs(row["doubled"] - row["estimate"]) > 8 * row["mcse"]
    # The test can tell: most estimates moved by more than what passes.
    assert checked >= 3


def test_little_data_lean_on_the_prior_and_words_say_so(scaled, small_fit) -> None:
    assert scaled.groupby(["estimand", "term"]).size().eq(6).all()
    odds = scaled[scaled["estimand"] == "odds ratio"]
    assert (odds.loc[odds["component"] == "all priors", "sensitivity"] > 0.05).all()
    assert odds["diagnosis"].str.contains("prior").all()
    # Priors of the adjustment terms decide little; what leans on the prior leans on that of the exposures.
    assert (odds.loc[odds["component"] == "adjustment", "sensitivity"] < 0.01).all()
    more = power_scaling(small_fit, ("odds ratio",))
    assert (more.loc[more["component"] == "all priors", "sensitivity"] < 0.05).all()
    assert more["diagnosis"].str.startswith("the data decide").all()
    assert len({diagnosis(p, d) for p in (0.0, 0.1) for d in (0.0, 0.1)}) == 4


def test_a_fit_without_priors_is_refused(small_table) -> None:
    with pytest.raises(EstimandError, match="no prior"):
        power_scaling(mb.fit("cbp_main", small_table, method="ml"))
