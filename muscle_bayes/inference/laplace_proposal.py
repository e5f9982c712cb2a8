"""Draws from the Laplace proposal and their importance weights.

A draw takes log SDs from the cells (`laplace_grid`), then coefficients and effects from a scale mixture of
multivariate t distributions with the conditional mode and curvature at those SDs. Every component has heavier tails
than the Gaussian conditional, so that the weights stay bounded where the approximation is right.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaln, logsumexp

from muscle_bayes.inference.laplace_conditional import BLOCK_BYTES, solve_lower_transposed
from muscle_bayes.inference.laplace_grid import LogSdProposal


class Conditional(Protocol):
    """What the proposal needs to know of a target with parameters x (d,) and log SDs (T,)."""

    @property
    def dimension(self) -> int:
        """Length d of x."""

    def gaussians(self, log_sd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means (m, d), lower factors of the precisions (m, d, d), approximate log marginals (m,)."""

    def log_target(self, x: np.ndarray, log_sd: np.ndarray, threads: int = 1) -> np.ndarray:
        """Log joint density (S,), normalising constants included."""


@dataclass(frozen=True)
class RadialMixture:
    """Scale mixture of standard multivariate t distributions.

    Parameters
    ----------
    share, freedom, scale : tuple of float
        Share, degrees of freedom and scale of every component.
    """

    share: tuple[float, ...]
    freedom: tuple[float, ...]
    scale: tuple[float, ...]

    def sample(self, draws: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        """Draw standardised points (draws, dimension)."""
        component = rng.choice(len(self.share), p=self.share, size=draws)
        freedom = np.array(self.freedom)[component]
        radius = np.array(self.scale)[component] * np.sqrt(freedom / rng.chisquare(freedom))
        return rng.standard_normal((draws, dimension)) * radius[:, None]

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Log density at standardised points (m, d): (m,)."""
        d, squared = z.shape[1], (z**2).sum(axis=1)
        parts = []
        for share, nu, scale in zip(self.share, self.freedom, self.scale, strict=True):
            constant = gammaln((nu + d) / 2) - gammaln(nu / 2) - 0.5 * d * np.log(nu * np.pi) - d * np.log(scale)
            parts.append(np.log(share) + constant - 0.5 * (nu + d) * np.log1p(squared / (nu * scale**2)))
        return logsumexp(np.stack(parts), axis=0)


MAIN = RadialMixture((0.9, 0.1), (100.0, 5.0), (1.0, 1.3))
WIDE = RadialMixture((1.0,), (10.0,), (1.3,))
WIDENING = 1.3


@dataclass(frozen=True)
class WeightedDraws:
    """Draws of the proposal with log weights log target - log proposal.

    Parameters
    ----------
    x : (S, d)
        Coefficients (and, in the joint engine, effects).
    log_sd : (S, T)
        Log SDs.
    log_weights : (S,)
        Log importance weights, normalising constants included, so that their mean is the evidence.
    """

    x: np.ndarray
    log_sd: np.ndarray
    log_weights: np.ndarray


def importance_sample(
    conditional: Conditional,
    proposal: LogSdProposal,
    radial: RadialMixture,
    draws: int,
    rng: np.random.Generator,
    threads: int = 1,
) -> WeightedDraws:
    """Draw from the proposal and weigh by the target.

    Parameters
    ----------
    conditional : Conditional
        Target and its conditional approximations.
    proposal : LogSdProposal
        Distribution of the log SDs.
    radial : RadialMixture
        Distribution of the standardised coefficients and effects.
    draws : int
        Number of draws S.
    rng : numpy.random.Generator
        Source of randomness.
    threads : int
        Threads for the likelihood.

    Returns
    -------
    WeightedDraws
        S draws with their log weights.
    """
    d = conditional.dimension
    log_sd = proposal.sample(draws, rng)
    z = radial.sample(draws, d, rng)
    x, log_determinant = np.empty((draws, d)), np.empty(draws)
    block = max(1, int(BLOCK_BYTES / (8 * d**2)))
    for start in range(0, draws, block):
        rows = slice(start, start + block)
        mean, factor, _ = conditional.gaussians(log_sd[rows])
        x[rows] = mean + solve_lower_transposed(factor, z[rows])
        log_determinant[rows] = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    log_proposal = proposal.log_density(log_sd) + radial.log_density(z) + log_determinant
    return WeightedDraws(x, log_sd, conditional.log_target(x, log_sd, threads) - log_proposal)
