"""Profile likelihood intervals for the coefficients and group SDs of a maximum likelihood fit.

The interval of a parameter holds the values at which the deviance, minimised over all other parameters, exceeds its
minimum by less than the chi-square quantile (Venzon and Moolgavkar 1988, Applied Statistics 37:87; lme4's
`confint(method="profile")`). An SD has no values below 0: where 0 itself is not rejected, the interval starts there.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import chdtri

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.marginal_likelihood import MarginalLikelihood
from muscle_bayes.inference.maximum_likelihood import MaximumLikelihood
from muscle_bayes.inference.problem import LogitProblem


def profile_interval(
    problem: LogitProblem,
    fit: MaximumLikelihood,
    *,
    coefficient: int | None = None,
    group: int | None = None,
    level: float = 0.95,
) -> tuple[float, float]:
    """Profile likelihood interval of one coefficient or one group SD.

    Parameters
    ----------
    problem : LogitProblem
        Data of the fit.
    fit : MaximumLikelihood
        Its maximum, with independent terms.
    coefficient, group : int
        Which coefficient, or which group term's SD; exactly one of the two.
    level : float
        Confidence level.

    Returns
    -------
    lower, upper : float
        Limits; the lower limit of an SD is 0 where 0 is not rejected at this level.

    Raises
    ------
    InvalidValueError
        Not exactly one parameter named, a fit that did not converge, or correlated terms.
    """
    likelihood = MarginalLikelihood(problem, n_agq=fit.n_agq)
    named = (coefficient is None) != (group is None)
    if not named or not fit.converged or len(fit.theta) != likelihood.n_theta or np.isnan(fit.covariance).any():
        raise InvalidValueError(
            where=f"profile interval of coefficient {coefficient}, group {group}",
            problem="it needs one parameter of a converged fit with independent group terms",
            remedy="name either a coefficient or a group, and look at the fit's message",
        )
    order = [t for block in likelihood.blocks for t in block.terms]
    place = order.index(group) if group is not None else likelihood.n_theta + int(coefficient or 0)
    centre = np.concatenate([np.abs(fit.theta), fit.coefficients])
    rise = _deviance_rise(likelihood, fit, centre, place)
    target = float(np.sqrt(chdtri(1, 1 - level)))
    curvature = fit.hessian[place, place]
    others = np.delete(np.arange(len(centre)), place)
    cross = fit.hessian[others, place]
    conditional = curvature - cross @ np.linalg.lstsq(fit.hessian[np.ix_(others, others)], cross, rcond=None)[0]
    spread = 1 / np.sqrt(conditional) if conditional > 1e-4 * abs(curvature) else 0.1
    limits = []
    for sign in (-1.0, 1.0):
        floor = 0.0 if group is not None and sign < 0 else None
        limits.append(_crossing(rise, centre[place], sign * spread * target, target, floor))
    return limits[0], limits[1]


def _deviance_rise(
    likelihood: MarginalLikelihood, fit: MaximumLikelihood, centre: np.ndarray, place: int
) -> Callable[[float], float]:
    """Root of the rise in deviance when one parameter is held and the others are maximised over."""
    others = np.delete(np.arange(len(centre)), place)
    values, vectors = np.linalg.eigh(fit.hessian[np.ix_(others, others)])
    whiten = vectors / np.sqrt(np.maximum(values, 1e-6 * values[-1]))
    shift = whiten @ (whiten.T @ fit.hessian[others, place])
    last = {"value": centre[place], "rest": centre[others]}

    def rise(value: float) -> float:
        origin = np.array(centre)
        origin[place] = value
        origin[others] = last["rest"] - shift * (value - last["value"])

        def objective(z: np.ndarray) -> tuple[float, np.ndarray]:
            parameters = origin.copy()
            parameters[others] += whiten @ z
            log_likelihood, gradient = likelihood.value_and_gradient(parameters)
            return -log_likelihood, -(gradient[others] @ whiten)

        found = minimize(objective, np.zeros(len(others)), jac=True, method="BFGS", options={"gtol": 1e-4})
        last["value"], last["rest"] = value, origin[others] + whiten @ found.x
        return float(np.sqrt(max(0.0, 2 * found.fun - fit.deviance)))

    return rise


def _crossing(rise: Callable[[float], float], centre: float, step: float, target: float, floor: float | None) -> float:
    """Value beyond `centre`, in the direction of `step`, at which the rise reaches the target."""
    if floor is not None and rise(floor) <= target:
        return floor
    inside, outside = centre, centre + step
    for _ in range(40):
        if floor is not None and outside <= floor:
            outside = floor
        if rise(outside) > target:
            break
        inside, outside = outside, outside + step
    else:
        return float(np.copysign(np.inf, step))
    return float(brentq(lambda v: rise(v) - target if v != centre else -target, inside, outside, rtol=1e-7, xtol=1e-7))
