"""The fused log-density against PyMC's compiled one, finite differences and plain formulas."""

import numpy as np
import pytest
from scipy import stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.density import LogitLikelihood, log_density_and_gradient, log_prior
from muscle_bayes.inference.problem import GroupTerm, LogitProblem


def make_problem(seed: int, n: int = 300, levels: tuple[int, ...] = (5,), slopes: bool = False) -> LogitProblem:
    rng = np.random.default_rng(seed)
    q = 4
    X = np.column_stack([np.ones(n), rng.normal(size=(n, q - 1))])
    X[:, 1:] -= X[:, 1:].mean(axis=0)
    groups = []
    for t, n_levels in enumerate(levels):
        slope = X[:, 1].copy() if slopes and t else None
        groups.append(GroupTerm(f"g{t}", rng.integers(n_levels, size=n), n_levels, slope))
    y = (rng.uniform(size=n) < 0.3).astype(float)
    return LogitProblem(
        y, X, tuple(groups), rng.normal(size=q), rng.uniform(0.5, 2, q), rng.uniform(0.3, 1, len(levels))
    )


SHAPES = [(1, (5,), False), (2, (5, 4), True), (3, (40,), False), (4, (30, 7), True)]


def point(problem: LogitProblem, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=problem.q + problem.n_effects), rng.normal(-0.5, 0.7, size=problem.n_terms)


@pytest.mark.parametrize(("seed", "levels", "slopes"), SHAPES[1:3])
def test_value_and_gradient_equal_those_of_pymc(seed: int, levels: tuple[int, ...], slopes: bool) -> None:
    pm = pytest.importorskip("pymc")
    problem = make_problem(seed, levels=levels, slopes=slopes)
    with pm.Model() as model:
        beta = pm.Normal("beta", problem.prior_mean, problem.prior_sd, shape=problem.q)
        eta = pm.math.dot(problem.X, beta)
        for t, term in enumerate(problem.groups):
            sd = pm.HalfNormal(f"sd{t}", problem.sd_scale[t])
            u = pm.Normal(f"u{t}", 0, sd, shape=term.n_levels)
            eta = eta + u[term.index] * (1.0 if term.slope is None else term.slope)
        pm.Bernoulli("y", logit_p=eta, observed=problem.y)
    logp = model.compile_logp(mode="FAST_COMPILE")
    dlogp = model.compile_dlogp(mode="FAST_COMPILE")
    likelihood = LogitLikelihood(problem)
    for draw in range(3):
        x, log_sd = point(problem, draw)
        named = {"beta": x[: problem.q]}
        for t, u in enumerate(problem.split_effects(x[problem.q :])):
            named |= {f"u{t}": u, f"sd{t}_log__": log_sd[t]}
        value, gradient, gradient_log_sd = log_density_and_gradient(likelihood, x, log_sd)
        assert value == pytest.approx(float(logp(named)), rel=1e-10)
        effects = problem.split_effects(gradient[problem.q :])
        own = {"beta": gradient[: problem.q]}
        for t, u in enumerate(effects):
            own |= {f"u{t}": u, f"sd{t}_log__": gradient_log_sd[t : t + 1]}
        ours = np.concatenate([own[v.name] for v in model.value_vars])
        np.testing.assert_allclose(ours, dlogp(named), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("seed", "levels", "slopes"), SHAPES)
def test_gradient_and_hessian_are_differences_of_the_value(seed: int, levels: tuple[int, ...], slopes: bool) -> None:
    problem = make_problem(seed, levels=levels, slopes=slopes)
    likelihood = LogitLikelihood(problem)
    x, log_sd = point(problem, seed)
    _, gradient, gradient_log_sd = log_density_and_gradient(likelihood, x, log_sd)
    h = 1e-5

    def value(x: np.ndarray, log_sd: np.ndarray) -> float:
        return log_density_and_gradient(likelihood, x, log_sd)[0]

    for k, step in enumerate(np.eye(len(x)) * h):
        assert gradient[k] == pytest.approx((value(x + step, log_sd) - value(x - step, log_sd)) / (2 * h), abs=2e-5)
    for k, step in enumerate(np.eye(problem.n_terms) * h):
        difference = (value(x, log_sd + step) - value(x, log_sd - step)) / (2 * h)
        assert gradient_log_sd[k] == pytest.approx(difference, abs=1e-6 * max(1, abs(difference)))
    information = likelihood.derivatives(x)[2]
    columns = [
        (likelihood.value_and_gradient(x - step)[1] - likelihood.value_and_gradient(x + step)[1]) / (2 * h)
        for step in np.eye(len(x)) * h
    ]
    np.testing.assert_allclose(information, np.array(columns), atol=1e-5)


@pytest.mark.parametrize(("seed", "levels", "slopes"), SHAPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_many_draws_at_once_equal_the_bernoulli_mass(
    seed: int, levels: tuple[int, ...], slopes: bool, threads: int
) -> None:
    problem = make_problem(seed, n=1001, levels=levels, slopes=slopes)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, problem.q + problem.n_effects))
    values = LogitLikelihood(problem).values(x, threads)
    for s in range(0, 600, 97):
        eta = problem.X @ x[s, : problem.q]
        for term, u in zip(problem.groups, problem.split_effects(x[s, problem.q :]), strict=True):
            eta += u[term.index] * (1 if term.slope is None else term.slope)
        expected = stats.bernoulli.logpmf(problem.y, 1 / (1 + np.exp(-eta))).sum()
        assert values[s] == pytest.approx(expected, rel=1e-11)


def test_extreme_predictors_stay_finite_and_right() -> None:
    problem = make_problem(1, n=64)
    likelihood = LogitLikelihood(problem)
    x = np.zeros((2, problem.q + problem.n_effects))
    x[0, 0], x[1, 0] = 800.0, -800.0
    zeros, ones = int((problem.y == 0).sum()), int(problem.y.sum())
    np.testing.assert_allclose(likelihood.values(x), [-800.0 * zeros, -800.0 * ones])
    for row in x:
        value, gradient, information = likelihood.derivatives(row)
        assert np.isfinite(gradient).all()
        assert np.isfinite(information).all()
        assert value == pytest.approx(likelihood.values(row[None])[0])


def test_priors_are_those_of_scipy() -> None:
    problem = make_problem(2, levels=(5, 4))
    x, log_sd = point(problem, 3)
    expected = stats.norm.logpdf(x[: problem.q], problem.prior_mean, problem.prior_sd).sum()
    for t, u in enumerate(problem.split_effects(x[problem.q :])):
        sd = np.exp(log_sd[t])
        expected += stats.norm.logpdf(u, 0, sd).sum()
        expected += stats.halfnorm.logpdf(sd, scale=problem.sd_scale[t]) + log_sd[t]
    assert log_prior(problem, x, log_sd) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"y": np.full(20, 0.5)}, "y"),
        ({"X": np.zeros((20, 2))}, "X"),
        ({"prior_sd": np.array([1.0, 0.0])}, "prior_sd"),
        ({"sd_scale": np.array([])}, "sd_scale"),
    ],
)
def test_a_problem_that_makes_no_sense_is_refused(change: dict[str, np.ndarray], where: str) -> None:
    X = np.column_stack([np.ones(20), np.linspace(-1, 1, 20)])
    good = {"y": np.tile([0.0, 1.0], 10), "X": X, "prior_mean": np.zeros(2), "prior_sd": np.ones(2)}
    good |= {"sd_scale": np.array([0.5])}
    group = GroupTerm("1|site", np.arange(20) % 4, 4)
    LogitProblem(groups=(group,), **good)
    with pytest.raises(InvalidValueError, match=where):
        LogitProblem(groups=(group,), **(good | change))
