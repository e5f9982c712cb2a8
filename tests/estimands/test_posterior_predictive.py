"""Posterior predictive check against the binomial distribution, and its sensitivity to a wrong model."""

import numpy as np
import pytest
from scipy.stats import binom

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import posterior_predictive

DRAWS = 4000


@pytest.fixture(scope="module")
def constant(make_fit):
    """Everyone has the same known probability, so that the replicated count of a group of n is Binomial(n, p)."""
    return make_fit(interaction=False, site=False, slopes=np.zeros(7), sd=0.0)


def test_replicates_are_binomial_where_the_probability_is_known(constant) -> None:
    frame = posterior_predictive(constant, by=["sex"], draws=DRAWS)
    p = 1 / (1 + np.exp(1.4))
    for _, row in frame.iterrows():
        n, observed = row["n"], row["events"]
        sd = np.sqrt(p * (1 - p) / n)
        # Monte Carlo: four standard errors of a median and of a tail quantile of 4,000 draws, and one step of 1 / n.
        assert row["estimate"] == pytest.approx(binom.median(n, p) / n, abs=4 * 1.2533 * sd / DRAWS**0.5 + 1 / n)
        for name, q in (("lower", 0.025), ("upper", 0.975)):
            assert row[name] == pytest.approx(binom.ppf(q, n, p) / n, abs=4 * 2.7 * sd / DRAWS**0.5 + 1 / n)
        exact = binom.sf(observed, n, p) + binom.pmf(observed, n, p) / 2
        assert row["p_value"] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / DRAWS) + 1e-3)


def test_observed_prevalence_and_sizes_are_those_of_the_table(fit) -> None:
    frame = posterior_predictive(fit)
    table = fit.cohort
    assert list(dict.fromkeys(frame["term"])) == ["all", "site", "sex", "age_band"]
    for column in ("site", "sex"):
        expected = table.groupby(column)["cbp"].agg(["size", "sum", "mean"])
        found = frame[frame["term"] == column].set_index("group")
        np.testing.assert_array_equal(found["n"], expected["size"])
        np.testing.assert_array_equal(found["events"], expected["sum"])
        np.testing.assert_allclose(found["observed"], expected["mean"])
    young = frame[frame["group"] == "<40"].iloc[0]
    assert young["n"] == (table["age_years"] < 40).sum()


def test_a_slope_that_is_missing_from_the_model_shows(make_fit) -> None:
    right = make_fit(interaction=False, slopes=np.array([0.6, 0, 0, 0, 0, 0, 0.0]), sd=0.0, n=4000)
    wrong = make_fit(interaction=False, slopes=np.zeros(7), sd=0.0, n=4000)
    wrong.cohort = right.cohort
    tenths = posterior_predictive(wrong, by=["intermat_percent"])
    assert tenths["outside"].iloc[[1, -1]].all()
    assert len(tenths) == 11
    # Ten tenths at 95 % each: at most three outside with 99 % probability where the model is right.
    assert posterior_predictive(right, by=["intermat_percent"])["outside"].sum() <= 3


def test_refusals(fit) -> None:
    with pytest.raises(EstimandError, match="no such column"):
        posterior_predictive(fit, by=["shoe_size"])
    with pytest.raises(EstimandError, match="marginal"):
        posterior_predictive(fit, site="marginal")
    with pytest.raises(EstimandError, match="no column 'cbp'"):
        posterior_predictive(fit, cohort=fit.cohort.drop(columns="cbp"))
