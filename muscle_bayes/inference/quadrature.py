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
NEWTON_STEPS = 3  # before quadrature
CONVERGED = 1e-4  # Newton step, in SDs of the effects, at which a mode is found
LARGEST_STEP = 2.0  # of one Newton step, in SDs of the effects
DRAWING_STEPS = 25  # most safeguarded Newton steps before effects are drawn
UPDATES = 16  # Metropolis updates of each group effect


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
        self, beta: np.ndarray, log_sd: np.ndarray, start: np.ndarray, rng: np.random.Generator, threads: int = 1
    ) -> tuple[np.ndarray, float]:
        """Draw every group effect from its conditional distribution given coefficients and SD.

        Independence Metropolis updates from an envelope of the log-concave density: flat between a point on either
        side of the mode, exponential beyond (Devroye 1986, Non-Uniform Random Variate Generation, chapter VII.2).
        Where the points lie one unit below the mode, the envelope holds at most 2.2 times the target's mass, so that
        after k updates the distance to the target is at most 0.54^k, whatever the group's data.

        Parameters
        ----------
        beta, log_sd, start : (S, q), (S,), (S, J)
            As in `log_likelihood`.
        rng : numpy.random.Generator
            Source of randomness.
        threads : int
            Threads over blocks of draws; the draws do not depend on their number.

        Returns
        -------
        effects : (S, n_levels) float
            Effects; those of levels without rows follow their prior.
        excess : float
            Largest log ratio of target to envelope that was seen: above 0 (and rounding) an envelope did not hold.
        """
        effects = rng.standard_normal((len(beta), self.n_levels))
        excess: list[float] = []
        parts = self._parts(len(beta))
        streams = dict(zip((part.start for part in parts), rng.spawn(len(parts)), strict=True))

        def block(rows: slice) -> np.ndarray:
            stream = streams[rows.start]
            predictor, sd = self._predictor(beta[rows]), np.exp(log_sd[rows])
            mode, spread = self._mode(predictor, sd, start[rows].T, DRAWING_STEPS)
            envelope = Envelope(lambda u: self._log_conditional(predictor, sd, u), mode, spread)
            current, weight = envelope.draw(stream)
            excess.append(float(weight.max()))
            for _ in range(UPDATES):
                proposed, other = envelope.draw(stream)
                excess.append(float(other.max()))
                accept = np.log(stream.uniform(size=current.shape)) < other - weight
                current, weight = np.where(accept, proposed, current), np.where(accept, other, weight)
            return current.T

        effects[:, self.present] = np.concatenate(self._over_blocks(block, len(beta), threads))
        return effects * np.exp(log_sd)[:, None], max(excess)

    def _parts(self, draws: int) -> list[slice]:
        size = max(1, int(BLOCK_ELEMENTS / len(self.y)))
        return [slice(s, min(s + size, draws)) for s in range(0, draws, size)]

    def _over_blocks(self, block: Callable[[slice], np.ndarray], draws: int, threads: int) -> list[np.ndarray]:
        rows = self._parts(draws)
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

    def _mode(
        self, predictor: np.ndarray, sd: np.ndarray, start: np.ndarray, steps: int = NEWTON_STEPS
    ) -> tuple[np.ndarray, np.ndarray]:
        """Conditional modes of the standardised effects (J, m) and the spread of a Gaussian there.

        The score falls everywhere, so that its sign brackets the mode: a Newton step out of the bracket becomes a
        bisection.
        """
        u, low, high = start, np.full_like(start, -np.inf), np.full_like(start, np.inf)
        for _ in range(steps):
            probability = softplus_and_probability(self._eta(predictor, sd, u))[1]
            weight = probability * (1 - probability)
            residual = self.y[:, None] - probability
            if self.z is not None:
                residual *= self.z[:, None]
                weight *= self.z[:, None] ** 2
            score = np.add.reduceat(residual, self.starts, axis=0) * sd - u
            information = 1 + np.add.reduceat(weight, self.starts, axis=0) * sd**2
            low, high = np.where(score > 0, u, low), np.where(score > 0, high, u)
            step = np.clip(score / information, -LARGEST_STEP, LARGEST_STEP)
            proposed = u + step
            # A step of rounding size may end on the bracket: that is convergence, no reason to bisect.
            outside = ((proposed <= low) | (proposed >= high)) & np.isfinite(high - low) & (np.abs(step) > CONVERGED)
            if outside.any():
                proposed = np.where(outside, (low + high) / 2, proposed)
            u = proposed
            if np.abs(step).max() < CONVERGED:
                break
        return u, 1 / np.sqrt(information)


class Envelope:
    """Envelope of log-concave densities around a point near their mode.

    Parameters
    ----------
    log_density : callable
        Log densities of points of the same shape as `centre`; curvature at least 1 everywhere (a standard normal
        prior).
    centre, spread : arrays
        A point near each mode, and a guess of the distance at which the density falls by a unit.
    """

    def __init__(self, log_density: Callable[[np.ndarray], np.ndarray], centre: np.ndarray, spread: np.ndarray) -> None:
        self.log_density, self.centre = log_density, centre
        self.top = log_density(centre)
        small = 1e-4 * spread
        slope = (log_density(centre + small) - log_density(centre - small)) / (2 * small)
        self.excess = 0.5 * slope**2  # the mode is at most this much higher, as the curvature is at least 1
        self.left, self.left_drop = self._side(-1.5 * spread)
        self.right, self.right_drop = self._side(1.5 * spread)
        middle = (self.left + self.right) * np.exp(self.excess)
        left = self.left / self.left_drop * np.exp(-self.left_drop)
        right = self.right / self.right_drop * np.exp(-self.right_drop)
        total = middle + left + right
        self.to_left, self.to_middle = left / total, (left + middle) / total

    def _side(self, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance to one side, and the drop of the log density there, which is brought near 1."""
        for _ in range(12):
            drop = self.top - self.log_density(self.centre + offset)
            off = (drop < 0.4) | (drop > 2.5)
            if not off.any():
                break
            # Between a line and a parabola: a root in between never overshoots by much.
            factor = np.clip(np.maximum(drop, 1e-3) ** -0.6, 0.1, 4)
            offset = np.where(off, offset * factor, offset)
        drop = self.top - self.log_density(self.centre + offset)
        return np.abs(offset), np.maximum(drop, 1e-3)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw from the envelope; also the log ratio of target to envelope, at most 0."""
        piece, place = rng.uniform(size=self.centre.shape), rng.uniform(size=self.centre.shape)
        beyond = -np.log(place)
        offset = place * (self.left + self.right) - self.left
        height = self.excess.copy()
        to_left, to_right = piece < self.to_left, piece >= self.to_middle
        far = self.left * (1 + beyond / self.left_drop)
        offset, height = np.where(to_left, -far, offset), np.where(to_left, -self.left_drop - beyond, height)
        far = self.right * (1 + beyond / self.right_drop)
        offset, height = np.where(to_right, far, offset), np.where(to_right, -self.right_drop - beyond, height)
        u = self.centre + offset
        return u, self.log_density(u) - self.top - height
