"""Maximum marginal likelihood of a proportional-odds model with a random intercept, as R's ordinal::clmm computes it.

The priors of the problem are ignored. The integral over the site effects is Laplace's approximation at their conditional modes
(Christensen 2022, ordinal package; with theta the site SD and effects u = theta v, v standard normal),

    log L = h(v) - 1/2 sum_s log(1 + theta^2 W_s),    h(v) = log p(y | c, beta, theta v) - 1/2 v'v,

W_s the information on a site's effect. The gradient is analytic, the modes' dependence on the parameters included; the Hessian is
its difference quotient. Standard errors come from the Hessian in theta, thresholds and coefficients together.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.maximum_likelihood import SINGULAR
from muscle_bayes.inference.ordinal_density import OrdinalLikelihood, RowDerivatives
from muscle_bayes.inference.ordinal_problem import OrdinalProblem

_STEPS = 60
#: Largest Newton decrement (about twice what the log-likelihood could still gain) at a maximum.
_DECREMENT = 1e-8
_START_SD = 0.3
#: Deviance that a site SD must gain to count as other than 0: rounding brings less.
_GAIN = 1e-7
#: Standard error of a coefficient, per SD of its column, beyond which the data say nothing about it: separation.
_LARGEST_SE = 100.0


@dataclass(frozen=True)
class OrdinalMaximum:
    """Maximum marginal likelihood estimates of a proportional-odds mixed model.

    Parameters
    ----------
    thresholds : (K - 1,)
        Of the centred design.
    coefficients : (p,)
        Log odds ratios.
    covariance : (K - 1 + p, K - 1 + p)
        Of thresholds and coefficients, from the joint Hessian with the site SD.
    sd : float or None
        Site SD; None without a site term.
    effects : (J,)
        Conditional modes of the site effects.
    sd_p_value : float
        p-value of SD = 0 by the half-half mixture of chi-square 0 and 1; nan without a site term.
    log_likelihood : float
        Marginal.
    converged : bool
        Whether the gradient vanishes at the estimate and the curvature is positive.
    """

    thresholds: np.ndarray
    coefficients: np.ndarray
    covariance: np.ndarray
    sd: float | None
    effects: np.ndarray
    sd_p_value: float
    log_likelihood: float
    converged: bool


def ordinal_maximum_likelihood(problem: OrdinalProblem) -> OrdinalMaximum:
    """Maximise the marginal likelihood of thresholds, coefficients and site SD.

    Parameters
    ----------
    problem : OrdinalProblem
        Data; priors are ignored.

    Returns
    -------
    OrdinalMaximum
        Estimates with their covariance.

    Raises
    ------
    InvalidValueError
        Where a category is empty (its thresholds have no maximum), or columns are linear combinations of others.
    """
    if (problem.counts == 0).any():
        raise InvalidValueError(
            f"category {int(np.argmin(problem.counts))} (counted from 0)",
            "nobody is in it, so that maximum likelihood has no estimate of its thresholds",
            "Join it with its neighbour, leave it out of the model's `categories`, or fit with priors (method='nuts')",
        )
    gram = np.linalg.eigvalsh(np.corrcoef(problem.X, rowvar=False)) if problem.p > 1 else np.ones(1)
    if problem.p and (not np.isfinite(gram).all() or gram[0] < 1e-11 * gram[-1]):
        raise InvalidValueError("X", "a column is a linear combination of others", "Leave it out of the formula")
    marginal = OrdinalMarginal(problem)
    start = np.concatenate([problem.start(), np.zeros(problem.p)])
    plain, value, hessian, converged = _climb(marginal, np.concatenate([[0.0], start]), free_sd=False)
    sd, effects, p_value = None, np.empty(0), np.nan
    parameters = plain
    if problem.n_sites:
        found, with_sites, full, well = _climb(marginal, np.concatenate([[_START_SD], plain[1:]]), free_sd=True)
        gain = 2 * (with_sites - value)
        p_value = float(chdtrc(1, gain) / 2) if gain > _GAIN else 1.0
        sd = 0.0
        effects = np.zeros(problem.n_sites)
        if abs(found[0]) > SINGULAR and gain > _GAIN:
            parameters, value, hessian, converged = found, with_sites, full, well
            sd = abs(float(found[0]))
            marginal.value_and_gradient(parameters)
            effects = parameters[0] * marginal.modes
    free = np.linalg.inv(hessian) if converged else np.full_like(hessian, np.nan)
    covariance = free[-(problem.n_thresholds + problem.p) :, -(problem.n_thresholds + problem.p) :]
    t = problem.n_thresholds
    if converged and problem.p:
        per_sd = np.sqrt(np.diag(covariance))[t:] * problem.X.std(axis=0)
        converged = bool(per_sd.max() < _LARGEST_SE)
    return OrdinalMaximum(
        parameters[1 : 1 + t], parameters[1 + t :], covariance, sd, effects, p_value, value, converged
    )


class OrdinalMarginal:
    """Marginal log-likelihood of (theta, thresholds, coefficients), site effects integrated out by Laplace.

    Parameters
    ----------
    problem : OrdinalProblem
        Data.
    """

    def __init__(self, problem: OrdinalProblem) -> None:
        self.problem = problem
        self.likelihood = OrdinalLikelihood(problem)
        self.modes = np.zeros(problem.n_sites)

    def _at_mode(self, theta: float, thresholds: np.ndarray, beta: np.ndarray) -> tuple[RowDerivatives, np.ndarray]:
        """Rows at the conditional modes of the spherical effects, and the information on each site's effect (J,)."""
        like = self.likelihood
        v, reached, step = self.modes, -np.inf, np.zeros(self.problem.n_sites)
        for _ in range(_STEPS):
            rows = like.rows(thresholds, np.concatenate([beta, theta * (v + step)]), curvature=True)
            value = rows.value - 0.5 * float((v + step) @ (v + step))
            if value < reached - 1e-10 * abs(reached):
                step = step / 2
                continue
            v, reached = v + step, value
            information = like.by_site(rows.upper + rows.lower)
            step = (theta * like.by_site(rows.eta) - v) / (1 + theta**2 * information)
            if not len(step) or np.abs(step).max() < 1e-10:
                break
        self.modes = v
        return rows, information

    def value_and_gradient(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Log-likelihood and its gradient (1 + K - 1 + p,) at (theta, thresholds, coefficients).

        Minus infinity where the thresholds are not in order.
        """
        problem, like = self.problem, self.likelihood
        t, p = problem.n_thresholds, problem.p
        theta, thresholds, beta = float(parameters[0]), parameters[1 : 1 + t], parameters[1 + t :]
        if (np.diff(thresholds) <= 0).any():
            return -np.inf, np.full(len(parameters), np.nan)
        if not problem.n_sites:
            rows = like.rows(thresholds, beta)
            return rows.value, np.concatenate([[0.0], rows.thresholds, like.transpose_product(rows.eta)])
        rows, information = self._at_mode(theta, thresholds, beta)
        v, score = self.modes, like.by_site(rows.eta)
        curvature = 1 + theta**2 * information
        value = rows.value - 0.5 * float(v @ v) - 0.5 * float(np.log(curvature).sum())
        direct = np.concatenate([[float(score @ v)], rows.thresholds, like.transpose_product(rows.eta)[:p]])
        # Change of each row's information with its linear predictor, from above and below.
        upper, lower = -(1 - 2 * rows.below_upper) * rows.upper, -(1 - 2 * rows.below_lower) * rows.lower
        change, site = upper + lower, like.site
        share = theta**2 / curvature
        # At fixed modes: in theta, in thresholds (which move a row's information the other way), in coefficients.
        weight = share[site]
        fixed = np.empty(len(parameters))
        fixed[0] = 2 * theta * float((information / curvature).sum()) + float(share @ (like.by_site(change) * v))
        fixed[1 : 1 + t] = -like._by_category(weight * upper)[:-1] - like._by_category(weight * lower)[1:]
        fixed[1 + t :] = like.transpose_product(weight * change)[:p]
        # Through the modes: each site's information changes with its effect, and its mode with every parameter.
        along = theta * like.by_site(change) * share / curvature
        moved = np.empty(len(parameters))
        moved[0] = float(along @ (score - theta * v * information))
        spread = theta * along[site]
        moved[1 : 1 + t] = like._by_category(spread * rows.upper)[:-1] + like._by_category(spread * rows.lower)[1:]
        moved[1 + t :] = -like.transpose_product(spread * (rows.upper + rows.lower))[:p]
        return value, direct - 0.5 * (fixed + moved)


def _climb(
    marginal: OrdinalMarginal, start: np.ndarray, *, free_sd: bool
) -> tuple[np.ndarray, float, np.ndarray, bool]:
    """Newton's method from a start: parameters, log-likelihood, negative Hessian of the free ones, convergence."""
    first = 0 if free_sd else 1
    x = start
    value, gradient = marginal.value_and_gradient(x)
    hessian = np.eye(len(x) - first)
    for _ in range(_STEPS):
        hessian = _negative_hessian(marginal, x, first)
        values, vectors = np.linalg.eigh(hessian)
        positive = bool(values[0] > 1e-10 * abs(values[-1]))
        # Where the curvature is not that of a maximum, climb along its absolute value.
        step = vectors @ ((gradient[first:] @ vectors) / np.maximum(np.abs(values), 1e-8 * np.abs(values).max()))
        decrement = float(step @ gradient[first:])
        if decrement < _DECREMENT:
            return x, value, hessian, positive
        size, moved = 1.0, np.concatenate([np.zeros(first), step])
        while True:
            reached, slope = marginal.value_and_gradient(x + size * moved)
            if reached > value or size < 1e-6:
                break
            size /= 2
        if not reached > value:
            # Nothing more to gain in double precision: a maximum if the gradient has all but vanished.
            return x, value, hessian, positive and decrement < 1e-4
        x, value, gradient = x + size * moved, reached, slope
    return x, value, hessian, False


def _negative_hessian(marginal: OrdinalMarginal, x: np.ndarray, first: int) -> np.ndarray:
    """Negative Hessian of the parameters from `first` on, by central differences of the gradient."""
    columns = []
    gaps = np.diff(x[1 : 1 + marginal.problem.n_thresholds])
    h = 1e-5 * min(1.0, float(gaps.min()) if len(gaps) else 1.0)
    for at in range(first, len(x)):
        step = np.zeros(len(x))
        step[at] = h
        up, down = marginal.value_and_gradient(x + step)[1], marginal.value_and_gradient(x - step)[1]
        columns.append((down - up)[first:] / (2 * h))
    out = np.array(columns)
    return (out + out.T) / 2
