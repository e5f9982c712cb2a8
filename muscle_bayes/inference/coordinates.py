"""Coordinates in which the posterior of a logistic mixed model is close to a standard normal.

Hamiltonian samplers suffer from the funnel between effects and their SD; centred and non-centred forms each cure one
end of it (Papaspiliopoulos, Roberts and Skoeld 2007, Statistical Science 22:59). Here the data decide, direction by
direction and continuously in the SD. The likelihood is expanded once at the mode. With the coefficients eliminated,
the effects of a term have information S = V diag(s) V' and potential b; given their SD, with tau = 1 / sd^2, the
rotated effects v = V'u are about independent normals with mean c_k / (s_k + tau), c = V'b, and precision s_k + tau.
So

    v_k = c_k / (s_k + tau) + xi_k / sqrt(s_k + tau),   log sd = centre + scale * eta,
    beta = mode - K (u - mode_u) + L^-T zeta,

which is non-centred where the data say little (s_k << tau) and centred where they say much. It is one-to-one, its
Jacobian is exact, and the target is the exact posterior: the expansion decides about speed only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from muscle_bayes.inference.density import LogitLikelihood, log_density_and_gradient, log_prior_log_sd
from muscle_bayes.inference.laplace_conditional import (
    ExpandedConditional,
    conditional_mode,
    prior_location,
    prior_precision,
)
from muscle_bayes.inference.marginal_likelihood import MarginalLikelihood
from muscle_bayes.inference.problem import LogitProblem

LARGEST_ROTATION = 500  # above, the effects of a term are scaled one by one instead of rotated


@dataclass(frozen=True)
class EffectCoordinates:
    """Coordinates of the effects of one group term, given its SD.

    Parameters
    ----------
    rotation : (J, J) or None
        Columns V; None where effects are not rotated.
    information : (J,)
        Likelihood information s of every direction.
    potential : (J,)
        Projected potential c.
    """

    rotation: np.ndarray | None
    information: np.ndarray
    potential: np.ndarray

    def rotate(self, v: np.ndarray) -> np.ndarray:
        """Effects u = V v, (J,)."""
        return v if self.rotation is None else self.rotation @ v

    def rotate_back(self, u: np.ndarray) -> np.ndarray:
        """V' u, (J,)."""
        return u if self.rotation is None else u @ self.rotation


class Coordinates:
    """Map between standardised positions w = (zeta, eta, xi) and (beta, log sd, effects).

    Parameters
    ----------
    likelihood : LogitLikelihood
        Data and priors.
    centre, scale : (T,)
        Centre and spread of the log SDs.
    """

    def __init__(self, likelihood: LogitLikelihood, centre: np.ndarray, scale: np.ndarray) -> None:
        self.likelihood = likelihood
        self.problem = problem = likelihood.problem
        self.centre, self.scale = centre, scale
        conditional = ExpandedConditional(likelihood)
        conditional.add(centre[None])
        at, q = conditional.expansions[0], problem.q
        mode = conditional.gaussians(centre[None])[0][0]
        precision = prior_precision(problem, centre)
        block = at.information[:q, :q] + np.diag(precision[:q])
        factor = np.linalg.cholesky(block)
        self.whiten = solve_triangular(factor, np.eye(q), lower=True).T
        self.regression = cho_solve((factor, True), at.information[:q, q:])
        self.mode_beta, self.mode_effects = mode[:q], mode[q:]
        # Profile over the coefficients: information and potential of the effects at 0.
        residual = at.gradient - np.concatenate([precision[:q], np.zeros(problem.n_effects)]) * (
            at.x - prior_location(problem)
        )
        profile = at.information[q:, q:] - at.information[q:, :q] @ self.regression
        potential = residual[q:] - self.regression.T @ residual[:q] + profile @ at.x[q:]
        self.terms = tuple(self._term(t, profile, potential, precision[q:]) for t in range(problem.n_terms))
        starts = np.cumsum([0, *(term.n_levels for term in problem.groups)])
        self.rows = [slice(a, b) for a, b in pairwise(starts)]

    def _term(self, t: int, profile: np.ndarray, potential: np.ndarray, tau: np.ndarray) -> EffectCoordinates:
        """Coordinates of one term, the effects of the others integrated out at the centre of their SDs."""
        own = self.problem.effect_term == t
        information, pull = profile[np.ix_(own, own)], potential[own]
        if not own.all():
            rest = profile[np.ix_(~own, ~own)] + np.diag(tau[~own])
            weights = cho_solve(cho_factor(rest), profile[np.ix_(~own, own)])
            information = information - profile[np.ix_(own, ~own)] @ weights
            pull = pull - weights.T @ potential[~own]
        if len(pull) > LARGEST_ROTATION:
            return EffectCoordinates(None, np.maximum(np.diag(information), 0), pull)
        values, vectors = np.linalg.eigh(information)
        return EffectCoordinates(vectors, np.maximum(values, 0), pull @ vectors)

    @property
    def dimension(self) -> int:
        """Length of a position."""
        return self.problem.q + self.problem.n_terms + self.problem.n_effects

    def split(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut a position (..., dimension) into zeta, eta and xi."""
        q, terms = self.problem.q, self.problem.n_terms
        return w[..., :q], w[..., q : q + terms], w[..., q + terms :]

    def model_parameters(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Location x (q + n_effects,) and log SDs (T,) of a position."""
        zeta, eta, xi = self.split(w)
        log_sd = self.centre + self.scale * eta
        effects = np.empty(self.problem.n_effects)
        for t, (term, rows) in enumerate(zip(self.terms, self.rows, strict=True)):
            total = term.information + np.exp(-2 * log_sd[t])
            effects[rows] = term.rotate(term.potential / total + xi[rows] / np.sqrt(total))
        beta = self.mode_beta - self.regression @ (effects - self.mode_effects)
        beta += self.whiten @ zeta
        return np.concatenate([beta, effects]), log_sd

    def log_density_and_gradient(self, w: np.ndarray, work: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Log posterior density of a position, up to a constant, and its gradient."""
        x, log_sd = self.model_parameters(w)
        value, gradient, gradient_log_sd = log_density_and_gradient(self.likelihood, x, log_sd, work)
        q = self.problem.q
        xi = self.split(w)[2]
        gradient_effects = gradient[q:] - gradient[:q] @ self.regression
        gradient_xi = np.empty(self.problem.n_effects)
        for t, (term, rows) in enumerate(zip(self.terms, self.rows, strict=True)):
            tau = np.exp(-2 * log_sd[t])
            total = term.information + tau
            root = np.sqrt(total)
            rotated = term.rotate_back(gradient_effects[rows])
            gradient_xi[rows] = rotated / root
            moved = 2 * (tau / total) * (term.potential / total + 0.5 * xi[rows] / root)  # d v / d log sd
            gradient_log_sd[t] += rotated @ moved + (tau / total).sum()
            value -= 0.5 * float(np.log(total).sum())
        return value, np.concatenate([gradient[:q] @ self.whiten, gradient_log_sd * self.scale, gradient_xi])


def standardise(likelihood: LogitLikelihood) -> Coordinates:
    """Find coordinates for a problem: the SDs' centre and spread from their approximate marginal posterior."""
    problem = likelihood.problem
    terms = problem.n_terms
    centre, scale = np.log(0.5 * problem.sd_scale), np.ones(terms)
    points = np.linspace(-5, 3, 121 if problem.n_effects <= LARGEST_ROTATION else 33)
    for _ in range(2):
        log_marginal = _marginal(likelihood, centre)
        for t in range(terms):
            line = np.repeat(centre[None], len(points), axis=0)
            line[:, t] = np.log(problem.sd_scale[t]) + points
            values = log_marginal(line)
            share = np.exp(values - values.max())
            share /= share.sum()
            centre[t] = share @ line[:, t]
            scale[t] = np.sqrt(share @ (line[:, t] - centre[t]) ** 2)
    return Coordinates(likelihood, centre, np.maximum(scale, 0.02))


def _marginal(likelihood: LogitLikelihood, centre: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Approximate log p(y, log sd): with few effects from one expansion, else with the coefficients held."""
    problem = likelihood.problem
    if problem.n_effects <= LARGEST_ROTATION:
        conditional = ExpandedConditional(likelihood)
        conditional.add(centre[None])
        return conditional.log_marginal
    marginal = MarginalLikelihood(problem)
    plain = LogitProblem(problem.y, problem.X, (), problem.prior_mean, problem.prior_sd, np.empty(0))
    start = problem.prior_mean.copy()
    start[0] = np.log((problem.y.sum() + 0.5) / (problem.n - problem.y.sum() + 0.5))
    beta = conditional_mode(LogitLikelihood(plain), np.empty(0), start).x

    def log_marginal(line: np.ndarray) -> np.ndarray:
        order = [t for block in marginal.blocks for t in block.terms]
        values = [marginal.value(np.concatenate([np.exp(log_sd[order]), beta])) for log_sd in line]
        return np.array(values) + log_prior_log_sd(problem, line)

    return log_marginal


def positions_to_parameters(coordinates: Coordinates, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Locations (m, q + n_effects) and log SDs (m, T) of many positions (m, dimension)."""
    problem: LogitProblem = coordinates.problem
    x, log_sd = np.empty((len(positions), problem.q + problem.n_effects)), np.empty((len(positions), problem.n_terms))
    for row, position in enumerate(positions):
        x[row], log_sd[row] = coordinates.model_parameters(position)
    return x, log_sd
