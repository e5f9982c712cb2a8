"""Many small groups: each group's effect is integrated out by adaptive Gauss-Hermite quadrature, for many draws at once.

With few rows a group the joint posterior of hundreds of effects is too far from Gaussian for importance sampling, but
each effect is one-dimensional and log-concave given coefficients and SD (Naylor and Smith 1982, Applied Statistics
31:214; Pinheiro and Bates 1995, JCGS 4:12). Centre and scale of the quadrature come from two Newton steps, which need
not have converged: the number of nodes is checked instead.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from muscle_bayes.inference.density import softplus_and_probability
from muscle_bayes.inference.problem import LogitProblem

BLOCK_ELEMENTS = 2e5  # rows x draws of one block
NEWTON_STEPS = 3
LARGEST_STEP = 2.0  # of one Newton step, in SDs of the effects
FREEDOM = 5.0  # of the t proposals for group effects
UPDATES = 15  # Metropolis updates of each group effect


class GroupedRows:
    """Rows sorted by the groups of a single scalar term.

    Parameters
    ----------
    problem : LogitProblem
        With exactly one group term.
    """

    def __init__(self, problem: LogitProblem) -> None:
        term = problem.groups[0]
        order = np.argsort(term.index, kind="stable")
        self.present, self.starts = np.unique(term.index[order], return_index=True)
        self.row = np.repeat(np.arange(len(self.present)), np.diff([*self.starts, problem.n]))
        self.X, self.y = problem.X[order], problem.y[order]
        self.z = None if term.slope is None else term.slope[order]
        self.n_levels = term.n_levels

    def log_likelihood(
        self, beta: np.ndarray, log_sd: np.ndarray, start: np.ndarray, nodes: int, threads: int = 1
    ) -> np.ndarray:
        """Log-likelihood with the effects integrated out.

        Parameters
        ----------
        beta : (S, q)
            Coefficients.
        log_sd : (S,)
            Log SDs.
        start : (S, J)
            Where to look for each effect's mode, in SDs.
        nodes : int
            Quadrature nodes.
        threads : int
            Threads over blocks of draws.

        Returns
        -------
        (S,) float
            Log-likelihoods.
        """
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
        log_weights = np.log(weights / weights.sum())

        def block(rows: slice) -> np.ndarray:
            predictor, sd = self._predictor(beta[rows]), np.exp(log_sd[rows])
            centre, spread = self._mode(predictor, sd, start[rows].T)
            terms = np.stack(
                [
                    self._log_conditional(predictor, sd, centre + spread * point) + 0.5 * point**2 + log_weight
                    for point, log_weight in zip(points, log_weights, strict=True)
                ]
            )
            largest = terms.max(axis=0)
            return (largest + np.log(np.exp(terms - largest).sum(axis=0)) + np.log(spread)).sum(axis=0)

        return np.concatenate(self._over_blocks(block, len(beta), threads))

    def draw_effects(
        self, beta: np.ndarray, log_sd: np.ndarray, start: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw every group effect from its conditional distribution given coefficients and SD.

        Independence Metropolis updates with a t proposal at the conditional mode: the target is log-concave with
        Gaussian tails, so that the ratio of target to proposal is bounded by some M, and after k updates the distance
        to the target is at most (1 - 1/M)^k.

        Parameters
        ----------
        beta, log_sd, start : (S, q), (S,), (S, J)
            As in `log_likelihood`.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        (S, n_levels) float
            Effects; those of levels without rows follow their prior.
        """
        effects = rng.standard_normal((len(beta), self.n_levels))

        def block(rows: slice) -> np.ndarray:
            predictor, sd = self._predictor(beta[rows]), np.exp(log_sd[rows])
            centre, spread = self._mode(predictor, sd, start[rows].T)

            def propose() -> tuple[np.ndarray, np.ndarray]:
                t = rng.standard_t(FREEDOM, size=centre.shape)
                log_proposal = -0.5 * (FREEDOM + 1) * np.log1p(t**2 / FREEDOM)
                u = centre + 1.1 * spread * t
                return u, self._log_conditional(predictor, sd, u) - log_proposal

            current, weight = propose()
            for _ in range(UPDATES):
                proposed, other = propose()
                accept = np.log(rng.uniform(size=centre.shape)) < other - weight
                current, weight = np.where(accept, proposed, current), np.where(accept, other, weight)
            return current.T

        effects[:, self.present] = np.concatenate(self._over_blocks(block, len(beta), 1))
        return effects * np.exp(log_sd)[:, None]

    def _over_blocks(self, block: Callable[[slice], np.ndarray], draws: int, threads: int) -> list[np.ndarray]:
        size = max(1, int(BLOCK_ELEMENTS / len(self.y)))
        rows = [slice(s, min(s + size, draws)) for s in range(0, draws, size)]
        with threadpool_limits(1, user_api="blas"):
            if threads > 1:
                with ThreadPoolExecutor(threads) as pool:
                    return list(pool.map(block, rows))
            return [block(part) for part in rows]

    def _predictor(self, beta: np.ndarray) -> np.ndarray:
        return self.X @ np.ascontiguousarray(beta.T)

    def _eta(self, predictor: np.ndarray, sd: np.ndarray, u: np.ndarray) -> np.ndarray:
        effects = (u * sd)[self.row]
        if self.z is not None:
            effects *= self.z[:, None]
        effects += predictor
        return effects

    def _log_conditional(self, predictor: np.ndarray, sd: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Log p(y_j | u_j) - u_j^2 / 2 of every group and draw: (J, m)."""
        eta = self._eta(predictor, sd, u)
        softplus = np.log1p(np.exp(-np.abs(eta)))
        softplus += np.maximum(eta, 0)
        eta *= self.y[:, None]
        eta -= softplus
        return np.add.reduceat(eta, self.starts, axis=0) - 0.5 * u**2

    def _mode(self, predictor: np.ndarray, sd: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional modes of the standardised effects (J, m) and the spread of a Gaussian there."""
        u = start
        for _ in range(NEWTON_STEPS):
            probability = softplus_and_probability(self._eta(predictor, sd, u))[1]
            weight = probability * (1 - probability)
            residual = self.y[:, None] - probability
            if self.z is not None:
                residual *= self.z[:, None]
                weight *= self.z[:, None] ** 2
            score = np.add.reduceat(residual, self.starts, axis=0) * sd - u
            information = 1 + np.add.reduceat(weight, self.starts, axis=0) * sd**2
            u = u + np.clip(score / information, -LARGEST_STEP, LARGEST_STEP)
        return u, 1 / np.sqrt(information)
