"""Effects integrated out and drawn one group at a time, against numerical integrals, corners of the parameter space included."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from muscle_bayes.inference.marginal_likelihood import MarginalLikelihood
from muscle_bayes.inference.problem import GroupTerm, LogitProblem
from muscle_bayes.inference.quadrature import GroupedRows

CORNERS = list(itertools.product((0.05, 1.0, 8.0), (1, 5, 200), (0.0, 0.5, 1.0), (-4.0, 1.0)))


def one_group(n: int, cases: int) -> LogitProblem:
    y = (np.arange(n) < cases).astype(float)
    term = GroupTerm("g", np.zeros(n, dtype=int), 1)
    return LogitProblem(y, np.ones((n, 1)), (term,), np.zeros(1), np.ones(1), np.ones(1))


@pytest.mark.parametrize(("sd", "n", "share", "intercept"), CORNERS)
def test_effects_are_drawn_from_their_conditional(sd: float, n: int, share: float, intercept: float) -> None:
    """Kolmogorov-Smirnov against the numerically integrated distribution function.

    54 tests of 4,000 draws each at p > 1e-5: passes in 99.9 %.
    """
    cases = round(share * n)
    rows = GroupedRows(one_group(n, cases))
    rng = np.random.default_rng(1)
    draws = 4000
    start = rng.uniform(-2, 2, size=(draws, 1))
    effects, excess = rows.draw_effects(np.full((draws, 1), intercept), np.full(draws, np.log(sd)), start, rng)
    assert excess < 1e-6
    u = effects[:, 0]
    grid = np.linspace(-15, 15, 600_001)
    eta = intercept + sd * grid
    log_density = cases * eta - n * np.logaddexp(0, eta) - 0.5 * grid**2
    cumulative = np.cumsum(np.exp(log_density - log_density.max()))
    cumulative /= cumulative[-1]
    assert stats.kstest(np.interp(u / sd, grid, cumulative), "uniform").pvalue > 1e-5


@pytest.mark.parametrize(("sd", "cases"), [(0.05, 2), (1.0, 0), (1.0, 3), (4.0, 5)])
def test_likelihood_is_the_integral(sd: float, cases: int) -> None:
    n, intercept = 5, -0.7
    rows = GroupedRows(one_group(n, cases))
    expected = integrate.quad(
        lambda u: np.exp(cases * (intercept + sd * u) - n * np.logaddexp(0, intercept + sd * u)) * stats.norm.pdf(u),
        -9,
        9,
        points=[-2, 0, 2],
        epsabs=1e-14,
    )[0]
    value = rows.log_likelihood(np.full((1, 1), intercept), np.array([np.log(sd)]), np.zeros((1, 1)), 63)
    assert value[0] == pytest.approx(np.log(expected), abs=2e-6)


def test_likelihood_of_many_groups_equals_that_of_the_maximum_likelihood_engine() -> None:
    rng = np.random.default_rng(2)
    n, levels = 120, 30
    index = rng.integers(levels - 1, size=n)
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    z = rng.normal(size=n)
    y = (rng.uniform(size=n) < 0.4).astype(float)
    problem = LogitProblem(y, X, (GroupTerm("g", index, levels, z),), np.zeros(2), np.ones(2), np.ones(1))
    beta = rng.normal(0, 0.5, size=(50, 2))
    sd = rng.uniform(0.1, 2, size=50)
    rows = GroupedRows(problem)
    start = np.zeros((50, len(rows.present)))
    values = rows.log_likelihood(beta, np.log(sd), start, 41, threads=2)
    reference = MarginalLikelihood(problem, n_agq=41)
    expected = [reference.value(np.array([s, *b])) for s, b in zip(sd, beta, strict=True)]
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_a_level_without_rows_follows_its_prior() -> None:
    problem = one_group(6, 3)
    index = np.zeros(6, dtype=int)
    problem = LogitProblem(
        problem.y, problem.X, (GroupTerm("g", index, 3),), problem.prior_mean, problem.prior_sd, problem.sd_scale
    )
    rows = GroupedRows(problem)
    zeros = np.zeros((4000, 1))
    draws, _ = rows.draw_effects(zeros, np.full(4000, np.log(0.7)), zeros, np.random.default_rng(1))
    for level in (1, 2):
        assert stats.kstest(draws[:, level] / 0.7, "norm").pvalue > 1e-4
