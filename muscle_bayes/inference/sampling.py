"""NUTS for logistic mixed models: our own density in standardised coordinates, nutpie's sampler."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from muscle_bayes.inference.coordinates import positions_to_parameters, standardise
from muscle_bayes.inference.density import LogitLikelihood, available_threads
from muscle_bayes.inference.problem import LogitProblem

TARGET_ACCEPT = 0.9


@dataclass(frozen=True)
class NutsPosterior:
    """Posterior draws of a logistic mixed model from NUTS.

    Parameters
    ----------
    beta : (chains, draws, q)
        Coefficients of the centred design.
    effects : list of (chains, draws, n_levels)
        Effects of every group term.
    sd : (chains, draws, T)
        Group SDs.
    statistics : dict of str to (chains, draws)
        Sampler statistics under ArviZ's names: ``diverging``, ``energy``, ``tree_depth``, ``n_steps``, ``step_size``,
        ``acceptance_rate``, ``lp`` (log density of the standardised coordinates).
    """

    beta: np.ndarray
    effects: list[np.ndarray]
    sd: np.ndarray
    statistics: dict[str, np.ndarray]

    @property
    def divergences(self) -> int:
        """Number of divergent transitions after tuning."""
        return int(self.statistics["diverging"].sum())


def nuts_posterior(
    problem: LogitProblem,
    draws: int = 1000,
    tune: int = 300,
    chains: int = 4,
    seed: int = 1,
    *,
    target_accept: float = TARGET_ACCEPT,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> NutsPosterior:
    """Sample the posterior by NUTS in coordinates where it is close to a standard normal.

    Parameters
    ----------
    problem : LogitProblem
        Data and priors.
    draws, tune : int
        Kept and tuning draws of every chain. The coordinates do most of the tuning, so that few are needed.
    chains : int
        Number of chains.
    seed : int
        Seed of the sampler.
    target_accept : float
        Acceptance rate to which the step size is adapted.
    threads : int, optional
        Chains at a time; default: the cores of this process, at most 4.
    progress : callable, optional
        Handed to nutpie as its progress callback.

    Returns
    -------
    NutsPosterior
        Draws and sampler statistics.
    """
    likelihood = LogitLikelihood(problem)
    coordinates = standardise(likelihood)

    def make_density() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        work = likelihood.workspace()
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
        progress=progress,
    )
    x, log_sd = positions_to_parameters(coordinates, positions.reshape(-1, coordinates.dimension))
    shape = positions.shape[:2]
    x = x.reshape(*shape, -1)
    return NutsPosterior(
        beta=x[..., : problem.q],
        effects=problem.split_effects(x[..., problem.q :]),
        sd=np.exp(log_sd).reshape(*shape, -1),
        statistics=statistics,
    )


def sample_positions(
    make_density: Callable[[], Callable[[np.ndarray], tuple[float, np.ndarray]]],
    dimension: int,
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    target_accept: float = TARGET_ACCEPT,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sample a density that is close to a standard normal by nutpie's NUTS.

    Parameters
    ----------
    make_density : callable
        Returns, once for every chain, the function from a position (dimension,) to log density and gradient.
    dimension : int
        Length of a position.
    draws, tune, chains, seed, target_accept, threads, progress
        As in `nuts_posterior`.

    Returns
    -------
    positions : (chains, draws, dimension)
        Draws.
    statistics : dict of str to (chains, draws)
        As in `NutsPosterior`.
    """
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    threads = threads or available_threads()

    def make_logp() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        density = make_density()

        def log_density(position: np.ndarray) -> tuple[float, np.ndarray]:
            # A trajectory gone astray in tuning may overflow; what is not finite ends it as a divergence.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                return density(position)

        return log_density

    def make_expand(seed1: int, seed2: int, chain: int) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        return lambda position: {"position": np.array(position)}

    def initial_point(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(dimension)

    model = from_pyfunc(
        dimension,
        make_logp,
        make_expand,
        [np.dtype(np.float64)],
        [(dimension,)],
        ["position"],
        make_initial_point_fn=initial_point,
    )
    options: dict[str, Any] = {} if progress is None else {"progress_callback": progress}
    with threadpool_limits(1, user_api="blas"):
        trace = nutpie.sample(
            model,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=min(threads, chains),
            seed=seed,
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=False,
            **options,
        )
    return trace["posterior"]["position"].values, _statistics(trace["sample_stats"])


def _statistics(stats: Any) -> dict[str, np.ndarray]:
    """Sampler statistics under the names that ArviZ uses."""
    names = {
        "diverging": "diverging",
        "energy": "energy",
        "tree_depth": "depth",
        "n_steps": "n_steps",
        "step_size": "step_size",
        "acceptance_rate": "mean_tree_accept",
        "lp": "logp",
    }
    return {ours: np.asarray(stats[theirs].values) for ours, theirs in names.items() if theirs in stats}
