"""Coordinates in which the posterior of a proportional-odds mixed model is close to a standard normal.

The same idea as in `coordinates`, for one random intercept: thresholds and coefficients are whitened at the mode and shifted
with the effects by their regression on them; the effects are centred or not, direction by direction and continuously in their
SD, as the data decide. The map is one-to-one with the stated Jacobian; the expansion decides about speed only.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from muscle_bayes.inference.ordinal_density import OrdinalPosterior, free_from

_NEWTON_STEPS = 200
#: Grid of log SDs, relative to the scale of their prior, on which their marginal posterior is approximated.
_POINTS = np.linspace(-5, 3, 121)


def ordinal_mode(posterior: OrdinalPosterior, log_sd: float, start: np.ndarray | None = None) -> np.ndarray:
    """Find the mode (K - 1 + p + J,) at a given site SD by Newton's method with damping.

    Parameters
    ----------
    posterior : OrdinalPosterior
        The density.
    log_sd : float
        Logarithm of the site SD.
    start : array, optional
        Where to begin; by default the observed shares and no effect of anything.

    Returns
    -------
    numpy.ndarray
        First threshold, log gaps, coefficients, effects.
    """
    problem = posterior.problem
    if start is None:
        start = np.zeros(problem.n_thresholds + problem.p + problem.n_sites)
        start[: problem.n_thresholds] = free_from(problem.start())
    x, damping = start, 0.0
    value, gradient, _ = posterior.value_and_gradient(x, log_sd)
    for _ in range(_NEWTON_STEPS):
        information = posterior.information(x, log_sd)
        scale = np.abs(np.diag(information)) + 1e-8
        while True:
            try:
                factor = cho_factor(information + damping * np.diag(scale))
            except np.linalg.LinAlgError:
                damping = max(2 * damping, 1e-3)
                continue
            step = cho_solve(factor, gradient)
            # A step may go so far that gaps under- or overflow; what is not finite is not higher, and is taken back.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                reached, slope, _ = posterior.value_and_gradient(x + step, log_sd)
            if reached >= value - 1e-9 * abs(value) or damping > 1e8:
                break
            damping = max(4 * damping, 1e-3)
        gain, damped = float(gradient @ step), damping > 0
        if np.isfinite(reached) and damping <= 1e8:
            x, value, gradient = x + step, reached, slope
        damping = 0.0 if damping < 1e-3 else damping / 8
        if gain < 1e-9 and not damped:
            break
    return x


class OrdinalCoordinates:
    """Map between standardised positions w = (zeta, eta, xi) and (x, log sd).

    Parameters
    ----------
    posterior : OrdinalPosterior
        The density.
    centre, scale : float
        Of the log SD.
    start : array, optional
        Where to look for the mode.
    """

    def __init__(
        self, posterior: OrdinalPosterior, centre: float, scale: float, start: np.ndarray | None = None
    ) -> None:
        self.posterior, self.centre, self.scale = posterior, centre, scale
        problem = posterior.problem
        self.q = q = problem.n_thresholds + problem.p
        self.n_sites = problem.n_sites
        self.mode = ordinal_mode(posterior, centre, start)
        information = posterior.information(self.mode, centre)
        block = information[:q, :q]
        factor = np.linalg.cholesky(_positive(block))
        self.whiten = solve_triangular(factor, np.eye(q), lower=True).T
        self.regression = cho_solve((factor, True), information[:q, q:])
        # The data's own information on the effects, the other parameters eliminated; at the mode the gradient is 0, so that
        # the potential is information times mode, the prior's share taken off.
        tau = np.exp(-2 * centre)
        profile = information[q:, q:] - information[q:, :q] @ self.regression
        potential = profile @ self.mode[q:]
        values, self.rotation = np.linalg.eigh(profile - tau * np.eye(self.n_sites))
        self.information = np.maximum(values, 0)
        self.potential = potential @ self.rotation

    @property
    def dimension(self) -> int:
        """Length of a position."""
        return self.q + self.n_sites + (self.n_sites > 0)

    def log_marginal(self, log_sd: np.ndarray) -> np.ndarray:
        """Approximate log p(y, log sd) up to a constant, (m,) -> (m,)."""
        tau = np.exp(-2 * log_sd)[:, None]
        ratio2 = (np.exp(log_sd) / self.posterior.problem.sd_scale) ** 2
        total = self.information + tau
        value = 0.5 * (self.potential**2 / total + np.log(tau / total)).sum(axis=1)
        return value + log_sd - 0.5 * ratio2

    def parameters(self, w: np.ndarray) -> tuple[np.ndarray, float]:
        """Location x (K - 1 + p + J,) and log SD of a position."""
        zeta, q = w[: self.q], self.q
        x = self.mode.copy()
        if not self.n_sites:
            x += self.whiten @ zeta
            return x, 0.0
        log_sd = self.centre + self.scale * w[q]
        total = self.information + np.exp(-2 * log_sd)
        x[q:] = self.rotation @ (self.potential / total + w[q + 1 :] / np.sqrt(total))
        x[:q] += self.whiten @ zeta - self.regression @ (x[q:] - self.mode[q:])
        return x, log_sd

    def log_density_and_gradient(self, w: np.ndarray, work: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Log posterior density of a position, up to a constant, and its gradient."""
        q = self.q
        x, log_sd = self.parameters(w)
        value, gradient, slope = self.posterior.value_and_gradient(x, log_sd, work)
        if not self.n_sites:
            return value, gradient @ self.whiten
        xi, tau = w[q + 1 :], np.exp(-2 * log_sd)
        total = self.information + tau
        root = np.sqrt(total)
        rotated = (gradient[q:] - gradient[:q] @ self.regression) @ self.rotation
        moved = 2 * (tau / total) * (self.potential / total + 0.5 * xi / root)  # d v / d log sd
        slope += float(rotated @ moved + (tau / total).sum())
        value -= 0.5 * float(np.log(total).sum())
        return value, np.concatenate([gradient[:q] @ self.whiten, [slope * self.scale], rotated / root])


def _positive(matrix: np.ndarray) -> np.ndarray:
    """Return a symmetric matrix with its eigenvalues raised to a small positive share of the largest, where they are below."""
    values, vectors = np.linalg.eigh(matrix)
    least = 1e-10 * values[-1]
    return matrix if values[0] > least else (vectors * np.maximum(values, least)) @ vectors.T


def standardise_ordinal(posterior: OrdinalPosterior) -> OrdinalCoordinates:
    """Find coordinates for a problem: the SD's centre and spread from its approximate marginal posterior."""
    scale = posterior.problem.sd_scale
    centre, spread, start = float(np.log(0.5 * scale)), 1.0, None
    coordinates = OrdinalCoordinates(posterior, centre, spread)
    if not posterior.problem.n_sites:
        return coordinates
    for _ in range(2):
        line = np.log(scale) + _POINTS
        values = coordinates.log_marginal(line)
        share = np.exp(values - values.max())
        share /= share.sum()
        centre = float(share @ line)
        spread = max(float(np.sqrt(share @ (line - centre) ** 2)), 0.02)
        start = coordinates.mode
        coordinates = OrdinalCoordinates(posterior, centre, spread, start)
    return coordinates
