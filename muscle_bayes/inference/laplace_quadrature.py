"""Importance sampling in coefficients and SD only, with group effects integrated out (one scalar term, many small groups)."""

import numpy as np
from scipy.interpolate import CubicSpline

from muscle_bayes.inference.density import LOG_2PI, log_prior_log_sd
from muscle_bayes.inference.laplace_certificate import Criterion
from muscle_bayes.inference.marginal_likelihood import MarginalLikelihood
from muscle_bayes.inference.problem import LogitProblem
from muscle_bayes.inference.quadrature import GroupedRows

SPACING = 0.5  # of the design points in log SD
NODES = (7, 15, 31, 63)
CHECKED_DRAWS = 200
LARGEST_CHANGE = 0.02  # in log-likelihood differences when the nodes are doubled


class QuadratureConditional:
    """p(beta | y, SD) by Laplace approximations of the marginal likelihood at design points, interpolated in log SD.

    Parameters
    ----------
    problem : LogitProblem
        With one group term.
    """

    def __init__(self, problem: LogitProblem) -> None:
        self.problem = problem
        self.rows = GroupedRows(problem)
        self.marginal = MarginalLikelihood(problem)
        self.nodes = NODES[0]
        self.points = np.empty(0)
        self.modes = np.empty((0, problem.q))
        self.precisions = np.empty((0, problem.q, problem.q))
        self.effects = np.empty((0, len(self.rows.present)))
        self._interpolants: tuple[CubicSpline, np.ndarray] | None = None

    @property
    def dimension(self) -> int:
        """Number of coefficients q."""
        return self.problem.q

    def add(self, points: np.ndarray) -> None:
        """Find mode and curvature at further log SDs (K, 1)."""
        remaining = list(points[:, 0])
        while remaining:
            if len(self.points):
                distance = np.abs(np.array(remaining)[:, None] - self.points)
                place = int(distance.min(axis=1).argmin())
                near = int(distance[place].argmin())
                log_sd, start, precision = remaining.pop(place), self.modes[near], self.precisions[near]
            else:
                log_sd, start = remaining.pop(len(remaining) // 2), self._plain_fit()
                precision = self._curvature(log_sd, start)
            mode = self._climb(log_sd, start, precision)
            precision = self._curvature(log_sd, mode)
            self.points = np.append(self.points, log_sd)
            self.modes = np.vstack([self.modes, mode])
            self.precisions = np.concatenate([self.precisions, precision[None]])
            self.effects = np.vstack([self.effects, self.marginal.effects[self.rows.present]])
        order = np.argsort(self.points)
        self.points, self.modes = self.points[order], self.modes[order]
        self.precisions, self.effects = self.precisions[order], self.effects[order]
        self._interpolate()

    def _plain_fit(self) -> np.ndarray:
        """Coefficients under their priors without group effects."""
        problem = self.problem
        plain = MarginalLikelihood(
            LogitProblem(problem.y, problem.X, (), problem.prior_mean, problem.prior_sd, np.empty(0))
        )
        beta, precision = problem.prior_mean.copy(), np.diag(problem.prior_sd**-2.0)
        for _ in range(50):
            gradient = plain.value_and_gradient(beta)[1] - precision @ (beta - problem.prior_mean)
            weight = 0.25  # a bound of p(1 - p): steps never overshoot
            step = np.linalg.solve((problem.X * weight).T @ problem.X + precision, gradient)
            beta = beta + step
            if np.abs(step * np.sqrt(np.diag(precision))).max() < 1e-3 and np.abs(step @ gradient) < 1e-3:
                break
        return beta

    def _objective(self, log_sd: float, beta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.marginal.value_and_gradient(np.concatenate([[np.exp(log_sd)], beta]))
        z = (beta - self.problem.prior_mean) / self.problem.prior_sd
        return value - 0.5 * float(z @ z), gradient[1:] - z / self.problem.prior_sd

    def _climb(self, log_sd: float, start: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """Mode at one SD by steps with a neighbour's curvature."""
        beta = start
        value, gradient = self._objective(log_sd, beta)
        for _ in range(60):
            step = np.linalg.solve(precision, gradient)
            if gradient @ step < 1e-4:
                break
            size = 1.0
            while True:
                reached, slope = self._objective(log_sd, beta + size * step)
                if reached >= value or size < 1e-4:
                    break
                size /= 2
            beta, value, gradient = beta + size * step, reached, slope
        return beta

    def _curvature(self, log_sd: float, beta: np.ndarray) -> np.ndarray:
        """Negative Hessian of the log posterior in beta by differences of the gradient, made safely positive."""
        scale = 1 / np.sqrt((self.problem.X**2).sum(axis=0) / 8 + self.problem.prior_sd**-2.0)
        columns = []
        for step in np.diag(1e-3 * scale):
            up, down = self._objective(log_sd, beta + step)[1], self._objective(log_sd, beta - step)[1]
            columns.append((down - up) / (2 * step.max()))
        hessian = (np.array(columns) + np.array(columns).T) / 2
        self._objective(log_sd, beta)  # leave the effects' mode at this point
        values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
        values = np.maximum(values, 1e-6 * values[-1])
        return (vectors * values) @ vectors.T / np.outer(scale, scale)

    def _interpolate(self) -> None:
        log_sd = self.points
        value = self.rows.log_likelihood(self.modes, log_sd, self.effects, NODES[1])
        z = (self.modes - self.problem.prior_mean) / self.problem.prior_sd
        value = value - 0.5 * (z**2).sum(axis=1) - np.log(self.problem.prior_sd).sum()
        factors = np.linalg.cholesky(self.precisions)
        value -= np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)  # the 2 pi of prior and integral cancel
        self._interpolants = CubicSpline(log_sd, value), factors

    def gaussians(self, log_sd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means (m, q), lower factors of the precisions (m, q, q), log marginals (m,) at log SDs (m, 1)."""
        assert self._interpolants is not None
        spline, factors = self._interpolants
        inside = np.clip(log_sd[:, 0], self.points[0], self.points[-1])
        left, share = self._between(inside)
        mean = (1 - share)[:, None] * self.modes[left] + share[:, None] * self.modes[left + 1]
        factor = (1 - share)[:, None, None] * factors[left] + share[:, None, None] * factors[left + 1]
        return mean, factor, spline(inside) + log_prior_log_sd(self.problem, log_sd)

    def log_marginal(self, log_sd: np.ndarray) -> np.ndarray:
        """Approximate log p(y, log sd) at log SDs (m, 1): (m,)."""
        return self.gaussians(log_sd)[2]

    def starts(self, log_sd: np.ndarray) -> np.ndarray:
        """Where to look for the effects' modes (m, J), in SDs, at log SDs (m, 1)."""
        left, share = self._between(np.clip(log_sd[:, 0], self.points[0], self.points[-1]))
        return (1 - share)[:, None] * self.effects[left] + share[:, None] * self.effects[left + 1]

    def log_target(self, x: np.ndarray, log_sd: np.ndarray, threads: int = 1) -> np.ndarray:
        """Log p(y, beta, log sd) of draws x (S, q) and log_sd (S, 1): (S,)."""
        value = self.rows.log_likelihood(x, log_sd[:, 0], self.starts(log_sd), self.nodes, threads)
        z = (x - self.problem.prior_mean) / self.problem.prior_sd
        value = value - 0.5 * (z**2).sum(axis=1) - np.log(self.problem.prior_sd).sum() - 0.5 * x.shape[1] * LOG_2PI
        return value + log_prior_log_sd(self.problem, log_sd)

    def choose_nodes(self, x: np.ndarray, log_sd: np.ndarray, threads: int = 1) -> None:
        """Take the smallest number of nodes whose doubling changes log-likelihood differences of these draws little."""
        for nodes in NODES:
            self.nodes = nodes
            if self.change_when_doubled(x, log_sd, threads) < LARGEST_CHANGE / 4:
                break

    def change_when_doubled(self, x: np.ndarray, log_sd: np.ndarray, threads: int = 1) -> float:
        """Largest change of log-likelihood differences among draws when the nodes are doubled."""
        start = self.starts(log_sd)
        once = self.rows.log_likelihood(x, log_sd[:, 0], start, self.nodes, threads)
        twice = self.rows.log_likelihood(x, log_sd[:, 0], start, 2 * self.nodes, threads)
        change = twice - once
        return float(np.abs(change - np.median(change)).max())

    def criterion(self, x: np.ndarray, log_sd: np.ndarray, threads: int = 1) -> Criterion:
        """Condition of the certificate on the number of nodes."""
        change = self.change_when_doubled(x, log_sd, threads)
        name = f"change of log-likelihood differences when {self.nodes} quadrature nodes are doubled"
        return Criterion(name, change, LARGEST_CHANGE, change < LARGEST_CHANGE)

    def _between(self, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left = np.clip(np.searchsorted(self.points, inside, side="right") - 1, 0, len(self.points) - 2)
        share = (inside - self.points[left]) / (self.points[left + 1] - self.points[left])
        return left, share
