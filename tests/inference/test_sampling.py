"""NUTS in standardised coordinates: the map is one-to-one with the stated Jacobian, and the draws have the right
moments."""

import numpy as np
import pytest

from muscle_bayes.inference.coordinates import standardise
from muscle_bayes.inference.density import LogitLikelihood, log_density_and_gradient
from muscle_bayes.inference.laplace import laplace_posterior
from muscle_bayes.inference.problem import GroupTerm, LogitProblem
from muscle_bayes.inference.sampling import nuts_posterior

array_stats = pytest.importorskip("arviz_stats.base").array_stats


def make_problem(seed: int, n: int, levels: tuple[int, ...], site_sd: float = 0.5) -> LogitProblem:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    X[:, 1:] -= X[:, 1:].mean(axis=0)
    eta = X @ [-1.0, 0.4, -0.3]
    groups = []
    for t, n_levels in enumerate(levels):
        index = rng.integers(n_levels, size=n)
        slope = X[:, 1].copy() if t == 1 else None
        eta = eta + rng.normal(0, site_sd, n_levels)[index] * (1 if slope is None else slope)
        groups.append(GroupTerm(f"g{t}", index, n_levels, slope))
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(float)
    return LogitProblem(y, X, tuple(groups), np.zeros(3), np.full(3, 1.5), np.full(len(levels), 0.5))


@pytest.mark.parametrize("levels", [(), (5,), (6, 4), (30,), (520,)])
def test_coordinates_carry_density_and_gradient_over(levels: tuple[int, ...]) -> None:
    problem = make_problem(1, 400, levels)
    coordinates = standardise(LogitLikelihood(problem))
    rng = np.random.default_rng(2)
    h = 1e-5
    steps = np.eye(coordinates.dimension) * h

    def stacked(w: np.ndarray) -> np.ndarray:
        return np.concatenate(coordinates.model_parameters(w))

    def offset(w: np.ndarray) -> float:
        """Density of the coordinates less the density of the parameters, less the numerical Jacobian."""
        jacobian = np.array([(stacked(w + s) - stacked(w - s)) / (2 * h) for s in steps])
        density = log_density_and_gradient(coordinates.likelihood, *coordinates.model_parameters(w))[0]
        return coordinates.log_density_and_gradient(w)[0] - density - np.linalg.slogdet(jacobian)[1]

    points = rng.normal(size=(2, coordinates.dimension))
    for w in points:
        gradient = coordinates.log_density_and_gradient(w)[1]
        numeric = [
            (coordinates.log_density_and_gradient(w + s)[0] - coordinates.log_density_and_gradient(w - s)[0]) / (2 * h)
            for s in steps
        ]
        np.testing.assert_allclose(gradient, numeric, atol=2e-5)
    assert offset(points[0]) == pytest.approx(offset(points[1]), abs=1e-6)


@pytest.mark.parametrize(("seed", "levels"), [(1, (5,)), (2, (8,))])
def test_draws_agree_with_importance_sampling(seed: int, levels: tuple[int, ...]) -> None:
    """Means and SDs of all parameters within 4.5 joint standard errors (about 30 comparisons: passes in 99.9 %)."""
    problem = make_problem(seed, 500, levels)
    nuts = nuts_posterior(problem, draws=500, tune=300, chains=4, seed=seed)
    reference = laplace_posterior(problem, draws=20_000, seed=seed)
    assert reference.certificate.passed
    assert nuts.divergences == 0
    assert nuts.statistics["diverging"].shape == (4, 500)
    assert nuts.beta.shape == (4, 500, 3)
    assert nuts.effects[0].shape == (4, 500, levels[0])
    assert nuts.sd.shape == (4, 500, 1)
    sampled = np.concatenate([nuts.beta, nuts.effects[0], np.log(nuts.sd)], axis=-1)
    expected = np.concatenate([reference.beta, reference.effects[0], np.log(reference.sd)], axis=-1)
    for k in range(sampled.shape[-1]):
        ours, theirs = sampled[..., k], expected[:, k]
        assert array_stats.rhat(ours, chain_axis=0, draw_axis=1) < 1.02
        for power in (1, 2):
            a, b = (ours - theirs.mean()) ** power, (theirs - theirs.mean()) ** power
            ess = min(array_stats.ess(a, chain_axis=0, draw_axis=1), 2000)
            error = np.sqrt(a.var() / ess + b.var() / reference.ess)
            assert abs(a.mean() - b.mean()) < 4.5 * error


def test_a_trajectory_gone_astray_ends_as_a_divergence() -> None:
    """Few rows and a first step size far too large: positions overflow in tuning, without a warning or an error."""
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(12), rng.normal(size=12)])
    X[:, 1] -= X[:, 1].mean()
    y = (np.arange(12) < 3).astype(float)
    group = GroupTerm("g", np.arange(12) % 6, 6)
    problem = LogitProblem(y, X, (group,), np.zeros(2), np.full(2, 8.0), np.array([2.5]))
    for seed in range(1, 5):
        fit = nuts_posterior(problem, draws=50, tune=60, chains=2, seed=seed)
        assert np.isfinite(fit.beta).all()
        assert (fit.sd > 0).all()
