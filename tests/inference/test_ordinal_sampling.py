"""NUTS of ordered outcomes against importance sampling of the same density, which shares no sampler with it."""

import numpy as np
import pytest
from scipy import stats

from muscle_bayes.inference.ordinal_coordinates import OrdinalCoordinates, standardise_ordinal
from muscle_bayes.inference.ordinal_density import OrdinalPosterior, thresholds_from
from muscle_bayes.inference.ordinal_problem import OrdinalProblem
from muscle_bayes.inference.ordinal_sampling import ordinal_nuts

array_stats = pytest.importorskip("arviz_stats.base").array_stats


def make_problem(seed: int, sites: int) -> OrdinalProblem:
    """Three hundred people, five categories of which the last but one is empty, few sites."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 2))
    X -= X.mean(axis=0)
    site = rng.integers(sites, size=300) if sites else None
    eta = X @ [0.5, -0.3] + (rng.normal(0, 0.4, sites)[site] if sites else 0)
    y = ((eta + rng.logistic(size=300))[:, None] > [-1.0, 0.5, 2.0]).sum(axis=1)
    y[y == 3] = 4
    return OrdinalProblem(y, 5, X, site, sites, np.zeros(2), np.full(2, 1.5), 1.0, 0.5)


def importance(coordinates: OrdinalCoordinates, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters (S, d) and self-normalised weights (S,) from independent t proposals in the standardised coordinates."""
    rng = np.random.default_rng(seed)
    proposal = stats.t(5, scale=1.1)
    w = proposal.rvs((draws, coordinates.dimension), random_state=rng)
    density = np.array([coordinates.log_density_and_gradient(one)[0] for one in w])
    log_weights = density - proposal.logpdf(w).sum(axis=1)
    weights = np.exp(log_weights - log_weights.max())
    parameters = [coordinates.parameters(one) for one in w]
    t = coordinates.posterior.problem.n_thresholds
    x = np.array([x for x, _ in parameters])
    x[:, :t] = thresholds_from(x[:, :t])
    if coordinates.n_sites:
        x = np.column_stack([x, [log_sd for _, log_sd in parameters]])
    return x, weights / weights.sum()


@pytest.mark.parametrize(("seed", "sites"), [(1, 0), (2, 4)])
def test_moments_agree_with_importance_sampling(seed: int, sites: int) -> None:
    """Means and variances within 4.5 joint standard errors (about 30 comparisons: passes in 99.9 %)."""
    problem = make_problem(seed, sites)
    found = ordinal_nuts(problem, draws=400, tune=200, chains=4, seed=seed)
    assert int(found.statistics["diverging"].sum()) == 0
    sampled = np.concatenate([found.thresholds, found.beta, found.effects], axis=-1)
    if sites:
        sampled = np.concatenate([sampled, np.log(found.sd)[..., None]], axis=-1)
    expected, weights = importance(standardise_ordinal(OrdinalPosterior(problem)), 8_000, seed)
    assert 1 / (weights**2).sum() > 1_000
    for k in range(sampled.shape[-1]):
        ours, theirs = sampled[..., k], expected[:, k]
        mean = weights @ theirs
        for power in (1, 2):
            a, b = (ours - mean) ** power, (theirs - mean) ** power
            reference = weights @ b
            error = np.sqrt(
                a.var() / min(array_stats.ess(a, chain_axis=0, draw_axis=1), a.size)
                + (weights**2 * (b - reference) ** 2).sum()
            )
            assert abs(a.mean() - reference) < 4.5 * error, (k, power)
