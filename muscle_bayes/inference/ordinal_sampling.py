"""NUTS for proportional-odds mixed models: our own density in standardised coordinates, nutpie's sampler."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from muscle_bayes.inference.ordinal_coordinates import standardise_ordinal
from muscle_bayes.inference.ordinal_density import OrdinalPosterior, thresholds_from
from muscle_bayes.inference.ordinal_problem import OrdinalProblem
from muscle_bayes.inference.sampling import TARGET_ACCEPT, sample_positions


@dataclass(frozen=True)
class OrdinalDraws:
    """Posterior draws of a proportional-odds mixed model.

    Parameters
    ----------
    thresholds : (chains, draws, K - 1)
        Of the centred design.
    beta : (chains, draws, p)
        Coefficients.
    effects : (chains, draws, J)
        Site effects; J is 0 without a site term.
    sd : (chains, draws)
        Site SD; 0 without a site term.
    statistics : dict of str to (chains, draws)
        Sampler statistics under ArviZ's names.
    """

    thresholds: np.ndarray
    beta: np.ndarray
    effects: np.ndarray
    sd: np.ndarray
    statistics: dict[str, np.ndarray]


def ordinal_nuts(
    problem: OrdinalProblem,
    draws: int = 1000,
    tune: int = 300,
    chains: int = 4,
    seed: int = 1,
    *,
    target_accept: float = TARGET_ACCEPT,
    threads: int | None = None,
) -> OrdinalDraws:
    """Sample the posterior by NUTS in coordinates where it is close to a standard normal.

    Parameters
    ----------
    problem : OrdinalProblem
        Data and priors.
    draws, tune, chains, seed, target_accept, threads
        As in `sampling.nuts_posterior`.

    Returns
    -------
    OrdinalDraws
        Draws and sampler statistics.
    """
    posterior = OrdinalPosterior(problem)
    coordinates = standardise_ordinal(posterior)

    def make_density() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        work = posterior.likelihood.workspace()
        return lambda position: coordinates.log_density_and_gradient(position, work)

    positions, statistics = sample_positions(
        make_density,
        coordinates.dimension,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        target_accept=target_accept,
        threads=threads,
    )
    shape, t, p = positions.shape[:2], problem.n_thresholds, problem.p
    x = np.empty((positions[..., 0].size, t + p + problem.n_sites))
    log_sd = np.empty(len(x))
    for row, position in enumerate(positions.reshape(-1, coordinates.dimension)):
        x[row], log_sd[row] = coordinates.parameters(position)
    x = x.reshape(*shape, -1)
    sd = np.exp(log_sd) if problem.n_sites else np.zeros(len(log_sd))
    return OrdinalDraws(thresholds_from(x[..., :t]), x[..., t : t + p], x[..., t + p :], sd.reshape(shape), statistics)
