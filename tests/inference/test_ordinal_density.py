"""The fused density of the proportional-odds model against plain formulas, PyMC and Bambi."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import muscle_bayes as mb
from muscle_bayes.inference.ordinal_coordinates import standardise_ordinal
from muscle_bayes.inference.ordinal_density import (
    OrdinalLikelihood,
    OrdinalPosterior,
    free_from,
    threshold_prior,
    thresholds_from,
)
from muscle_bayes.inference.ordinal_engines import ordinal_problem
from muscle_bayes.inference.ordinal_problem import OrdinalProblem


def make_problem(n_sites: int, concentration: float = 1.0, n: int = 200) -> OrdinalProblem:
    """Six categories, the fourth of them empty."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 3))
    y = rng.integers(6, size=n)
    y[y == 3] = 4
    site = rng.integers(n_sites, size=n) if n_sites else None
    return OrdinalProblem(
        y,
        6,
        X - X.mean(axis=0),
        site,
        n_sites,
        np.array([0.1, -0.2, 0.0]),
        np.array([0.5, 1.0, 2.0]),
        concentration,
        0.4,
        -0.3,
        1.2,
    )


def location(problem: OrdinalProblem, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.5, 5 + 3 + problem.n_sites)


@pytest.mark.parametrize(("n_sites", "concentration"), [(0, 1.0), (5, 1.0), (5, 2.5), (20, 0.5)])
def test_density_is_the_sum_of_its_parts(n_sites: int, concentration: float) -> None:
    """Differences of SciPy's logistic distribution, its Dirichlet, normals and half-normal, and all Jacobians."""
    problem = make_problem(n_sites, concentration)
    x, log_sd = location(problem), -0.7
    c, beta, u = thresholds_from(x[:5]), x[5:8], x[8:]
    edges = np.concatenate([[-np.inf], c, [np.inf]])
    eta = problem.X @ beta + (u[problem.site] if n_sites else 0)
    likelihood = np.log(
        stats.logistic.cdf(edges[problem.y + 1] - eta) - stats.logistic.cdf(edges[problem.y] - eta)
    ).sum()
    shares = np.diff(stats.logistic.cdf(edges - c[2]))
    halves, jacobian = [2 * shares[:3], 2 * shares[3:]], stats.logistic.logpdf(c - c[2]) + np.log(2)
    prior = sum(stats.dirichlet.logpdf(half / half.sum(), np.full(3, concentration)) for half in halves)
    prior += stats.norm.logpdf(c[2], -0.3, 1.2) + jacobian[[0, 1, 3, 4]].sum()
    prior += stats.norm.logpdf(beta, problem.prior_mean, problem.prior_sd).sum() + x[1:5].sum()
    if n_sites:
        sd = np.exp(log_sd)
        prior += stats.norm.logpdf(u, 0, sd).sum() + stats.halfnorm.logpdf(sd, scale=0.4) + log_sd
    assert OrdinalPosterior(problem).value_and_gradient(x, log_sd)[0] == pytest.approx(likelihood + prior, rel=1e-12)


@pytest.mark.parametrize(("n_sites", "concentration"), [(0, 2.5), (5, 1.0), (20, 2.5)])
def test_gradient_and_information_are_derivatives(n_sites: int, concentration: float) -> None:
    posterior = OrdinalPosterior(make_problem(n_sites, concentration))
    x, log_sd, h = location(posterior.problem), -0.7, 1e-6
    up, down = (
        [posterior.value_and_gradient(x + sign * step, log_sd) for step in np.eye(len(x)) * h] for sign in (1, -1)
    )
    _, gradient, slope = posterior.value_and_gradient(x, log_sd)
    np.testing.assert_allclose(gradient, [(a[0] - b[0]) / (2 * h) for a, b in zip(up, down, strict=True)], atol=1e-5)
    hessian = np.array([(b[1] - a[1]) / (2 * h) for a, b in zip(up, down, strict=True)])
    np.testing.assert_allclose(posterior.information(x, log_sd), hessian, atol=1e-4)
    beside = [posterior.value_and_gradient(x, log_sd + s)[0] for s in (h, -h)]
    assert slope == pytest.approx((beside[0] - beside[1]) / (2 * h), abs=1e-5)


def test_tails_keep_their_digits() -> None:
    """Far out a difference of distribution functions is 0 and its logarithm minus infinity; the density stays the asymptote."""
    problem = OrdinalProblem([1, 1], 3, [[1.0], [-1.0]], None, 0, [0.0], [1.0])
    c = np.array([-1.0, 0.5])
    found = OrdinalLikelihood(problem).rows(c, np.array([800.0]))
    # P = F(a) - F(b) is exp(b or -a, the nearer one) (1 - exp(-gap)) beyond the thresholds.
    assert found.value == pytest.approx(2 * np.log(-np.expm1(-1.5)) - (800 - 0.5) - (800 - 1.0), rel=1e-13)
    np.testing.assert_allclose(found.eta, [-1.0, 1.0], atol=1e-12)


def test_thresholds_and_their_logarithmic_gaps_are_one_to_one() -> None:
    c = np.array([-2.0, -1.9, 0.3, 4.0])
    np.testing.assert_allclose(thresholds_from(free_from(c)), c, rtol=1e-14)


@pytest.mark.parametrize("categories", [2, 3, 5, 11])
def test_prior_of_distances_does_not_know_where_thresholds_lie(categories: int) -> None:
    """Shifted, only the normal middle threshold changes; with two categories there is nothing else.

    Concentrations large and small, and a gap of which a threshold has no digit.
    """
    free = np.array([-1.0, -0.7, 0.2, -80.0, -0.4, 0.1, -1.0, -0.2, 0.5, -0.3])[: categories - 1]
    m = categories // 2 - 1
    for concentration in (5.0, 1 / categories):
        differences = []
        for shift in (0.0, 3.0):
            moved = free + shift * np.eye(len(free))[0]
            value, gradient, information = threshold_prior(moved, concentration, -0.2, 1.3)
            assert np.isfinite(gradient).all()
            assert np.isfinite(information).all()
            differences.append(value - stats.norm.logpdf(thresholds_from(moved)[m], -0.2, 1.3))
        assert differences[0] == pytest.approx(differences[1], abs=1e-10)
        if categories == 2:
            assert differences[0] == pytest.approx(0, abs=1e-10)


def test_coordinates_carry_density_and_gradient_over() -> None:
    posterior = OrdinalPosterior(make_problem(5))
    coordinates = standardise_ordinal(posterior)
    h, steps = 1e-5, np.eye(coordinates.dimension) * 1e-5

    def offset(w: np.ndarray) -> float:
        def stacked(v: np.ndarray) -> np.ndarray:
            return np.append(*coordinates.parameters(v))

        jacobian = np.array([(stacked(w + s) - stacked(w - s)) / (2 * h) for s in steps])
        density = posterior.value_and_gradient(*coordinates.parameters(w))[0]
        return coordinates.log_density_and_gradient(w)[0] - density - np.linalg.slogdet(jacobian)[1]

    points = np.random.default_rng(3).normal(size=(2, coordinates.dimension))
    for w in points:
        numeric = [
            (coordinates.log_density_and_gradient(w + s)[0] - coordinates.log_density_and_gradient(w - s)[0]) / (2 * h)
            for s in steps
        ]
        np.testing.assert_allclose(coordinates.log_density_and_gradient(w)[1], numeric, atol=2e-5)
    assert offset(points[0]) == pytest.approx(offset(points[1]), abs=1e-6)


def test_density_is_that_of_pymc_and_of_bambi(small_table: pd.DataFrame) -> None:
    """The same joint density at two points, to 1e-9.

    PyMC has the shares of either half of the categories as its variables, ours has thresholds: the Jacobian between them is twice
    the logistic density.
    """
    pytensor = pytest.importorskip("pytensor")
    model = mb.load_model("pain_ordinal")
    design = model.design(small_table.head(300))
    problem = ordinal_problem(model, design)
    posterior = OrdinalPosterior(problem)
    graph = model.to_pymc(small_table.head(300))
    theirs = model.to_bambi(small_table.head(300))
    theirs.build()
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        pymc_logp = graph.compile_logp(jacobian=False)
        bambi_logp = theirs.backend.model.compile_logp(jacobian=False)
    differences = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        c = problem.start() + rng.normal(0, 0.05)
        beta, z, sd = rng.normal(0, 0.3, problem.p), rng.normal(size=problem.n_sites), 0.3
        x = np.concatenate([free_from(c), beta, sd * z])
        # Ours without the Jacobians of the log gaps and of the log SD.
        ours = posterior.value_and_gradient(x, np.log(sd))[0] - free_from(c)[1:].sum() - np.log(sd)
        point = {"1|site_sigma_log__": np.log(sd), "1|site_offset": z}
        for term in dict.fromkeys(column.term for column in design.recipe.columns):
            at = [i for i, column in enumerate(design.recipe.columns) if column.term == term]
            point[term] = beta[at] if design.recipe.columns[at[0]].level else beta[at[0]]
        shares = np.diff(np.concatenate([[0], stats.logistic.cdf(c - c[4]), [1]]))
        simplex = [np.log(half[:-1]) - np.log(half).mean() for half in (shares[:5], shares[5:])]
        point |= {"middle_threshold": c[4]}
        both = {"share_below_simplex__": simplex[0], "share_above_simplex__": simplex[1]}
        # Offsets have a standard normal prior: between them and the effects lies the SD once a site.
        jacobian = np.delete(np.log(2) + stats.logistic.logpdf(c - c[4]), 4).sum()
        expected = ours - jacobian + problem.n_sites * np.log(sd)
        assert pymc_logp({**point, **both}) == pytest.approx(expected, rel=1e-9)
        del point["middle_threshold"]
        raw = c + design.recipe.centre @ beta
        bambi_point = {**point, "threshold_ordered__": free_from(raw)}
        differences.append(bambi_logp(bambi_point) - ours - problem.n_sites * np.log(sd))
    np.testing.assert_allclose(differences, 0, atol=1e-6)
