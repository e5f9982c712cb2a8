"""Maximum likelihood against lme4 (fixtures and the R script that made them lie in tests/fixtures/lme4)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.marginal_likelihood import MarginalLikelihood
from muscle_bayes.inference.maximum_likelihood import maximum_likelihood
from muscle_bayes.inference.problem import GroupTerm, LogitProblem
from muscle_bayes.inference.profile_likelihood import profile_interval

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "lme4"
SHAPES: dict[str, tuple[list[str], list[tuple[str, str | None]]]] = {
    "many_small_groups": (["x1", "x2"], [("g", None)]),
    "few_large_groups": (["x1", "x2", "x3"], [("g", None)]),
    "crossed": (["x1"], [("g", None), ("h", None)]),
    "random_slope": (["x1", "x2"], [("g", None), ("g", "x1")]),
    "singular": (["x1"], [("g", None)]),
}
FITS = [(name, k) for name in SHAPES for k in range({"many_small_groups": 3, "random_slope": 2}.get(name, 1))]


def load(name: str) -> LogitProblem:
    """The data as lme4 saw them: its intercept is that of the uncentred design."""
    data = np.genfromtxt(FIXTURES / f"{name}.csv", delimiter=",", names=True)
    columns, groups = SHAPES[name]
    X = np.column_stack([np.ones(len(data)), *(data[c] for c in columns)])
    terms = []
    for group, slope in groups:
        index = data[group].astype(int)
        terms.append(GroupTerm(group + (slope or ""), index, index.max() + 1, None if slope is None else data[slope]))
    q = X.shape[1]
    return LogitProblem(data["y"], X, tuple(terms), np.zeros(q), np.ones(q), np.ones(len(terms)))


def reference(name: str, k: int) -> dict[str, Any]:
    return json.loads((FIXTURES / f"{name}.json").read_text())["fits"][k]


@pytest.mark.parametrize(("name", "k"), FITS)
def test_estimates_equal_those_of_lme4(name: str, k: int) -> None:
    expected = reference(name, k)
    problem = load(name)
    correlated = "(1 + x1 | g)" in expected["formula"]
    fit = maximum_likelihood(problem, expected["nAGQ"], correlated=correlated)
    se = np.array(expected["se"])
    sd = np.atleast_1d(expected["sd"])
    assert fit.converged
    np.testing.assert_allclose((fit.coefficients - expected["coefficients"]) / se, 0, atol=0.005)
    np.testing.assert_allclose(fit.se, se, rtol=1e-3)
    np.testing.assert_allclose(fit.sd, sd[: problem.n_terms], atol=1e-3)
    assert fit.deviance <= expected["deviance"] + 1e-3
    assert fit.deviance == pytest.approx(expected["deviance"], abs=1e-3)
    if correlated:
        assert fit.correlation[0, 1] == pytest.approx(sd[2], abs=1e-3)
    for t, term in enumerate(problem.groups):
        group = SHAPES[name][1][t][0]
        column = [g for g, _ in SHAPES[name][1][:t]].count(group)
        modes = np.array(expected["effects"][group])[:, column]
        np.testing.assert_allclose(fit.effects[t], modes, atol=2e-3, err_msg=term.name)


@pytest.mark.parametrize("name", ["many_small_groups", "few_large_groups"])
def test_profile_intervals_equal_those_of_lme4(name: str) -> None:
    """lme4 interpolates its profile by splines, which costs it about 0.005 standard errors."""
    expected = reference(name, 0)
    problem = load(name)
    fit = maximum_likelihood(problem, test_sd=False)
    theirs = np.column_stack([expected["profile"]["lower"], expected["profile"]["upper"]])
    ours = [profile_interval(problem, fit, group=0)]
    ours += [profile_interval(problem, fit, coefficient=k) for k in range(problem.q)]
    spread = np.array([0.1, *expected["se"]])[:, None]
    np.testing.assert_allclose((np.array(ours) - theirs) / spread, 0, atol=0.01)
    if name == "few_large_groups":
        assert ours[0][0] == 0.0


def test_singular_fit_is_said_and_has_no_wald_interval() -> None:
    problem = load("singular")
    fit = maximum_likelihood(problem)
    assert fit.singular.tolist() == [True]
    assert fit.sd[0] == 0
    assert np.isnan(fit.sd_se[0])
    assert "Singular fit" in fit.message
    assert fit.sd_p_value[0] == 1
    lower, upper = profile_interval(problem, fit, group=0)
    assert lower == 0
    # At the upper limit the deviance has risen by the chi-square quantile: checked by a fit with that SD held.
    likelihood = MarginalLikelihood(problem)
    from scipy.optimize import minimize

    held = minimize(lambda beta: -2 * likelihood.value(np.array([upper, *beta])), fit.coefficients, tol=1e-10)
    assert held.fun - fit.deviance == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-3)


def test_half_half_mixture_test_uses_the_fit_without_the_term() -> None:
    import statsmodels.api as sm

    problem = load("few_large_groups")
    fit = maximum_likelihood(problem)
    null = sm.GLM(problem.y, problem.X, family=sm.families.Binomial()).fit()
    statistic = -2 * null.llf - fit.deviance
    assert fit.sd_p_value[0] == pytest.approx(0.5 * stats.chi2.sf(statistic, 1), abs=1e-6)


def test_quadrature_with_many_nodes_is_the_integral() -> None:
    rng = np.random.default_rng(1)
    index = np.repeat(np.arange(4), 3)
    X = np.column_stack([np.ones(12), rng.normal(size=12)])
    y = (rng.uniform(size=12) < 0.5).astype(float)
    problem = LogitProblem(y, X, (GroupTerm("g", index, 4),), np.zeros(2), np.ones(2), np.ones(1))
    sd, beta = 1.3, np.array([-0.2, 0.7])
    expected = 0.0
    for j in range(4):
        rows = index == j
        eta = X[rows] @ beta

        def integrand(b: float, eta: np.ndarray = eta, y: np.ndarray = y[rows]) -> float:
            return float(np.exp((y * (eta + b) - np.logaddexp(0, eta + b)).sum()) * stats.norm.pdf(b, 0, sd))

        expected += np.log(integrate.quad(integrand, -12, 12, epsabs=1e-13)[0])
    value = MarginalLikelihood(problem, n_agq=31).value(np.array([sd, *beta]))
    assert value == pytest.approx(expected, abs=1e-6)


def test_no_group_term_is_plain_logistic_regression() -> None:
    import statsmodels.api as sm

    problem = load("few_large_groups")
    plain = LogitProblem(problem.y, problem.X, (), problem.prior_mean, problem.prior_sd, np.empty(0))
    fit = maximum_likelihood(plain)
    theirs = sm.GLM(problem.y, problem.X, family=sm.families.Binomial()).fit()
    np.testing.assert_allclose(fit.coefficients, theirs.params, atol=1e-6)
    np.testing.assert_allclose(fit.se, theirs.bse, rtol=1e-5)


@pytest.mark.parametrize(("name", "correlated"), [("crossed", False), ("random_slope", True)])
def test_gradient_is_the_difference_of_the_value(name: str, correlated: bool) -> None:
    likelihood = MarginalLikelihood(load(name), correlated)
    point = np.concatenate([np.linspace(0.3, 0.9, likelihood.n_theta), np.linspace(-0.5, 0.5, likelihood.problem.q)])
    gradient = likelihood.value_and_gradient(point)[1]
    numeric = [(likelihood.value(point + s) - likelihood.value(point - s)) / 2e-5 for s in np.eye(len(point)) * 1e-5]
    np.testing.assert_allclose(gradient, numeric, atol=5e-5)


def test_units_of_a_column_do_not_matter() -> None:
    problem = load("few_large_groups")
    scale = np.array([1, 1e5, 1e-4, 1])
    other = LogitProblem(
        problem.y, problem.X * scale, problem.groups, problem.prior_mean, problem.prior_sd, problem.sd_scale
    )
    first, second = maximum_likelihood(problem, test_sd=False), maximum_likelihood(other, test_sd=False)
    assert second.converged
    np.testing.assert_allclose(second.coefficients * scale, first.coefficients, atol=1e-6)
    np.testing.assert_allclose(second.se * scale, first.se, rtol=1e-4)


def test_what_has_no_maximum_is_refused_or_said() -> None:
    problem = load("few_large_groups")
    q = problem.q + 1
    twice = np.column_stack([problem.X, problem.X[:, 1]])
    with pytest.raises(InvalidValueError, match="linear combinations"):
        maximum_likelihood(LogitProblem(problem.y, twice, problem.groups, np.zeros(q), np.ones(q), problem.sd_scale))
    constant = LogitProblem(
        np.zeros(problem.n), problem.X, problem.groups, problem.prior_mean, problem.prior_sd, problem.sd_scale
    )
    with pytest.raises(InvalidValueError, match="same in every row"):
        maximum_likelihood(constant)
    rare = (problem.y == 1) & (np.arange(problem.n) % 40 == 0)  # a covariate that only cases have: separation
    separated = np.column_stack([problem.X, rare])
    fit = maximum_likelihood(
        LogitProblem(problem.y, separated, problem.groups, np.zeros(q), np.ones(q), problem.sd_scale), test_sd=False
    )
    assert not fit.converged
    assert "separation" in fit.message
    with pytest.raises(InvalidValueError, match="n_agq"):
        maximum_likelihood(load("crossed"), n_agq=5)
