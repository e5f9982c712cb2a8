"""Gaussian approximations of coefficients and effects given the group SDs, from expansions at design points.

At a design point (a value of the log SDs) Newton's method finds the conditional mode and the likelihood is expanded
there to second order. At any other value of the log SDs the nearest expansion is combined with the priors, whose
dependence on the SDs is exact: one linear solve of size d gives mean, precision and marginal density (Rue, Martino
and Chopin 2009, section 3). The approximation need not be good everywhere: it shapes a proposal, and the weights
correct it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from muscle_bayes.inference.density import LOG_2PI, LogitLikelihood, log_prior, log_prior_log_sd
from muscle_bayes.inference.problem import LogitProblem

BLOCK_BYTES = 32e6  # of the stacked precision matrices


@dataclass(frozen=True)
class Expansion:
    """The likelihood to second order at one location.

    Parameters
    ----------
    x : (d,)
        Location.
    value : float
        Log-likelihood there.
    gradient : (d,)
        Its gradient.
    information : (d, d)
        Its negative Hessian.
    """

    x: np.ndarray
    value: float
    gradient: np.ndarray
    information: np.ndarray


def prior_precision(problem: LogitProblem, log_sd: np.ndarray) -> np.ndarray:
    """Prior precisions of coefficients and effects given the log SDs (..., T): (..., q + n_effects)."""
    coefficients = np.broadcast_to(problem.prior_sd**-2, (*log_sd.shape[:-1], problem.q))
    return np.concatenate([coefficients, np.exp(-2 * log_sd[..., problem.effect_term])], axis=-1)


def prior_location(problem: LogitProblem) -> np.ndarray:
    """Prior means of coefficients and effects: (q + n_effects,)."""
    return np.concatenate([problem.prior_mean, np.zeros(problem.n_effects)])


def conditional_mode(
    likelihood: LogitLikelihood, log_sd: np.ndarray, start: np.ndarray, tolerance: float = 1e-3, steps: int = 100
) -> Expansion:
    """Mode of the coefficients and effects given the SDs, by damped Newton steps.

    Parameters
    ----------
    likelihood : LogitLikelihood
        Data and priors.
    log_sd : (T,)
        Log SDs.
    start : (d,)
        Where to start.
    tolerance : float
        Newton decrement (a distance in posterior SDs) at which to stop. Loose by default: the expansion carries
        the remaining gradient along.
    steps : int
        Most Newton steps.

    Returns
    -------
    Expansion
        Of the likelihood, at the last location.
    """
    problem = likelihood.problem
    precision, location = prior_precision(problem, log_sd), prior_location(problem)

    def objective(x: np.ndarray, value: float) -> float:
        return value - 0.5 * float((precision * (x - location) ** 2).sum())

    x = start
    value, gradient, information = likelihood.derivatives(x)
    for _ in range(steps):
        total = gradient - precision * (x - location)
        step = cho_solve(cho_factor(information + np.diag(precision), lower=True), total)
        decrement2 = float(total @ step)
        if decrement2 < tolerance**2:
            break
        current, size = objective(x, value), 1.0
        while True:
            proposed = x + size * step
            value, gradient, information = likelihood.derivatives(proposed)
            # Concave objective: a step that gains a quarter of what its slope promises is always found.
            if objective(proposed, value) >= current + 0.25 * size * decrement2 - 1e-9 * abs(current) or size < 1e-6:
                break
            size /= 2
        x = proposed
    return Expansion(x, value, gradient, information)


class ExpandedConditional:
    """p(beta, u | y, SDs), approximated from the nearest of several expansions.

    Parameters
    ----------
    likelihood : LogitLikelihood
        Data and priors.
    """

    def __init__(self, likelihood: LogitLikelihood) -> None:
        self.likelihood = likelihood
        self.problem = likelihood.problem
        self.points = np.empty((0, self.problem.n_terms))
        self.expansions: list[Expansion] = []

    @property
    def dimension(self) -> int:
        """Number of coefficients and effects d."""
        return self.problem.q + self.problem.n_effects

    def add(self, points: np.ndarray) -> None:
        """Expand at further design points (K, T), each started from the nearest one before it."""
        distance = np.full(len(points), np.inf)
        for point in self.points:
            distance = np.minimum(distance, np.abs(points - point).sum(axis=1))
        left = np.ones(len(points), dtype=bool)
        for _ in range(len(points)):
            chosen = int(np.flatnonzero(left)[distance[left].argmin()])
            left[chosen], log_sd = False, points[chosen]
            if self.expansions:
                start = self.gaussians(log_sd[None])[0][0]
            else:
                start = prior_location(self.problem)
                start[0] = self._crude_intercept()
            self.expansions.append(conditional_mode(self.likelihood, log_sd, start))
            self.points = np.vstack([self.points, log_sd])
            distance = np.minimum(distance, np.abs(points - log_sd).sum(axis=1))

    def _crude_intercept(self) -> float:
        share = (self.problem.y.sum() + 0.5) / (self.problem.n + 1)
        return float(np.log(share / (1 - share)))

    def gaussians(self, log_sd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gaussian approximations at log SDs (m, T).

        Returns
        -------
        mean : (m, d)
            Conditional means.
        factor : (m, d, d)
            Lower Cholesky factors of the conditional precisions.
        log_marginal : (m,)
            Approximate log p(y, log sd).
        """
        m, d = len(log_sd), self.dimension
        mean, factor, log_marginal = np.empty((m, d)), np.empty((m, d, d)), np.empty(m)
        nearest = self._nearest(log_sd)
        location = prior_location(self.problem)
        for k in np.unique(nearest):
            at, rows = self.expansions[k], np.flatnonzero(nearest == k)
            precision = prior_precision(self.problem, log_sd[rows])
            posterior = np.repeat(at.information[None], len(rows), axis=0)
            posterior[:, np.arange(d), np.arange(d)] += precision
            lower = np.linalg.cholesky(posterior)
            residual = at.gradient - precision * (at.x - location)
            half = solve_lower(lower, residual)
            mean[rows] = at.x + solve_lower_transposed(lower, half)
            factor[rows] = lower
            at_x = np.broadcast_to(at.x, (len(rows), d))
            log_marginal[rows] = (
                at.value
                + log_prior(self.problem, at_x, log_sd[rows])
                + 0.5 * (half**2).sum(axis=1)
                - np.log(lower[:, np.arange(d), np.arange(d)]).sum(axis=1)
                + 0.5 * d * LOG_2PI
            )
        return mean, factor, log_marginal

    def log_marginal(self, log_sd: np.ndarray) -> np.ndarray:
        """Approximate log p(y, log sd) at log SDs (m, T), in blocks: (m,)."""
        block = max(1, int(BLOCK_BYTES / (8 * self.dimension**2)))
        parts = [self.gaussians(log_sd[s : s + block])[2] for s in range(0, len(log_sd), block)]
        return np.concatenate(parts)

    def log_target(self, x: np.ndarray, log_sd: np.ndarray, threads: int = 1) -> np.ndarray:
        """Log p(y, x, log sd) of draws x (S, d) and log_sd (S, T): (S,)."""
        return self.likelihood.values(x, threads) + log_prior(self.problem, x, log_sd)

    def log_prior_log_sd(self, log_sd: np.ndarray) -> np.ndarray:
        """Log prior density of the log SDs (m, T): (m,)."""
        return log_prior_log_sd(self.problem, log_sd)

    def _nearest(self, log_sd: np.ndarray) -> np.ndarray:
        if not self.problem.n_terms:
            return np.zeros(len(log_sd), dtype=int)
        block = max(1, int(4e6 / len(self.points)))
        squares = 0.5 * (self.points**2).sum(axis=1)
        parts = [log_sd[s : s + block] @ self.points.T - squares for s in range(0, len(log_sd), block)]
        return np.concatenate([part.argmax(axis=1) for part in parts])


def solve_lower(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L x = b for stacks of lower triangles L (m, d, d) and right sides b (m, d): (m, d)."""
    x = np.empty_like(right)
    for i in range(right.shape[1]):
        x[:, i] = (right[:, i] - np.einsum("mj,mj->m", lower[:, i, :i], x[:, :i])) / lower[:, i, i]
    return x


def solve_lower_transposed(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L' x = b for stacks of lower triangles L (m, d, d) and right sides b (m, d): (m, d)."""
    x = np.empty_like(right)
    for i in range(right.shape[1] - 1, -1, -1):
        x[:, i] = (right[:, i] - np.einsum("mj,mj->m", lower[:, i + 1 :, i], x[:, i + 1 :])) / lower[:, i, i]
    return x
