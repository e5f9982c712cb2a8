"""The c-statistic against SciPy's Mann-Whitney test, the Brier score against its definition."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import mannwhitneyu, norm

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import discrimination
from muscle_bayes.estimands.discrimination import c_statistic


@pytest.mark.parametrize("ties", [False, True])
def test_c_statistic_is_mann_whitney(ties: bool) -> None:
    rng = np.random.default_rng(1)
    y = rng.binomial(1, 0.3, 500).astype(float)
    score = rng.normal(size=500) + 0.7 * y
    score = np.round(score) if ties else score
    u = mannwhitneyu(score[y == 1], score[y == 0]).statistic
    assert c_statistic(score, y) == pytest.approx(u / (y.sum() * (1 - y).sum()), rel=1e-12)
    # A weight of 2 is a person who is there twice.
    weights = rng.integers(1, 4, 500).astype(float)
    twice, again = np.repeat(score, weights.astype(int)), np.repeat(y, weights.astype(int))
    u = mannwhitneyu(twice[again == 1], twice[again == 0]).statistic
    assert c_statistic(score, y, weights) == pytest.approx(u / (again.sum() * (1 - again).sum()), rel=1e-12)


def test_without_parameter_uncertainty_both_scores_are_plain(make_fit) -> None:
    fit = make_fit(sd=0.0, n=1500)
    frame = discrimination(fit, draws=200)
    persons, y = fit.cohort, fit.cohort["cbp"].to_numpy()
    eta = (
        fit.mean[0]
        + fit.recipe.matrix(persons) @ fit.mean[1:]
        + np.array([-0.2, 0.05, 0.3])[fit.recipe.site_index(persons)]
    )
    u = mannwhitneyu(eta[y == 1], eta[y == 0]).statistic / (y.sum() * (1 - y).sum())
    brier = np.mean((expit(eta) - y) ** 2)
    for name in ("estimate", "lower", "upper"):
        assert frame.loc[0, name] == pytest.approx(u, rel=1e-9)
        assert frame.loc[1, name] == pytest.approx(brier, rel=1e-9)
        assert frame.loc[2, name] == pytest.approx(1 - brier / y.var(), rel=1e-9)


def test_persons_like_these_spread_as_the_sampling_error_says(make_fit) -> None:
    fit = make_fit(sd=0.0, n=1500)
    frame = discrimination(fit, draws=1000)
    persons, y = fit.cohort, fit.cohort["cbp"].to_numpy()
    eta = (
        fit.mean[0]
        + fit.recipe.matrix(persons) @ fit.mean[1:]
        + np.array([-0.2, 0.05, 0.3])[fit.recipe.site_index(persons)]
    )
    # DeLong, DeLong & Clarke-Pearson 1988: variance from each person's share of concordant pairs.
    a, b = eta[y == 1], eta[y == 0]
    concordant = (a[:, None] > b[None, :]).astype(float)
    se = np.sqrt(concordant.mean(axis=1).var(ddof=1) / len(a) + concordant.mean(axis=0).var(ddof=1) / len(b))
    width = frame.loc[3, "upper"] - frame.loc[3, "lower"]
    # Quantiles of 1,000 draws: the width has a standard error of 3 %.
    assert width == pytest.approx(2 * norm.ppf(0.975) * se, rel=0.13)


def test_all_outcomes_equal_is_refused(make_fit) -> None:
    fit = make_fit(n=500)
    with pytest.raises(EstimandError, match="every outcome is the same"):
        discrimination(fit, cohort=fit.cohort.assign(cbp=0))
