"""Maximum marginal likelihood of a logistic mixed model, as lme4's glmer computes it.

The priors of the problem are ignored. Standard errors come from the Hessian of the deviance in theta and beta
together (lme4's `vcov(use.hessian = TRUE)`). An SD estimated at 0 lies on the boundary: it has no Wald interval, and
its test uses the half-half mixture of chi-square 0 and 1 (Self and Liang 1987, JASA 82:605; Stram and Lee 1994,
Biometrics 50:1171).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import chdtrc
from threadpoolctl import threadpool_limits

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.density import softplus_and_probability
from muscle_bayes.inference.marginal_likelihood import MarginalLikelihood
from muscle_bayes.inference.problem import GroupTerm, LogitProblem

SINGULAR = 1e-4  # an SD below is taken for 0, as lme4's isSingular does
STARTS = (0.3, 1.0, 0.05)  # SDs to start from; the later ones where the first ends at 0
GRADIENT = 1e-5  # largest gradient at a maximum, in units of 1 / standard error


@dataclass(frozen=True)
class MaximumLikelihood:
    """Maximum marginal likelihood estimates of a logistic mixed model.

    Parameters
    ----------
    coefficients : (q,)
        Coefficients of the (centred) design.
    covariance : (q, q)
        Their covariance, from the joint Hessian in theta and beta.
    sd : (T,)
        SD of every group term.
    sd_se : (T,)
        Standard error of each SD; nan where the SD is 0 and where terms are correlated.
    correlation : (T, T)
        Correlation of the terms; the identity unless terms of one factor were fitted as correlated.
    effects : list of (n_levels,)
        Conditional modes of the effects.
    singular : (T,) bool
        Whether an SD is estimated at 0 (or, with correlated terms, a covariance of deficient rank).
    sd_p_value : (T,)
        p-value of SD = 0 by the half-half chi-square mixture; nan where terms are correlated.
    deviance : float
        -2 log marginal likelihood.
    theta : (k,)
        Parameters of the covariance factors.
    hessian : (k + q, k + q)
        Negative Hessian of the log marginal likelihood in (theta, beta).
    converged : bool
        Whether the gradient vanishes at the estimate and the curvature is positive.
    n_agq : int
        Quadrature nodes (1: Laplace).
    message : str
        What a user should know about this fit, or empty.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    sd: np.ndarray
    sd_se: np.ndarray
    correlation: np.ndarray
    effects: list[np.ndarray]
    singular: np.ndarray
    sd_p_value: np.ndarray
    deviance: float
    theta: np.ndarray
    hessian: np.ndarray
    converged: bool
    n_agq: int
    message: str

    @property
    def se(self) -> np.ndarray:
        """Standard errors of the coefficients (q,)."""
        return np.sqrt(np.diag(self.covariance))


def maximum_likelihood(
    problem: LogitProblem, n_agq: int = 1, *, correlated: bool = False, test_sd: bool = True
) -> MaximumLikelihood:
    """Maximise the marginal likelihood of coefficients and group SDs.

    Parameters
    ----------
    problem : LogitProblem
        Data; priors are ignored.
    n_agq : int
        Nodes of adaptive Gauss-Hermite quadrature for a single scalar term; 1 is the Laplace approximation.
    correlated : bool
        Fit the terms of one grouping factor with correlations, as ``(1 + x | g)``.
    test_sd : bool
        Test each SD against 0, which takes one more fit a term.

    Returns
    -------
    MaximumLikelihood
        Estimates, covariance, and what is singular.

    Raises
    ------
    InvalidValueError
        Columns that are linear combinations of others, an outcome that does not vary, or quadrature with several terms.
    """
    if n_agq > 1 and problem.n_terms != 1:
        raise InvalidValueError(
            where=f"{problem.n_terms} group terms",
            problem="adaptive Gauss-Hermite quadrature needs exactly one scalar group term",
            remedy="leave n_agq at 1 (the Laplace approximation)",
        )
    with threadpool_limits(1, user_api="blas"):
        likelihood = MarginalLikelihood(problem, correlated)
        start, root = _fixed_effects(problem)
        theta, beta, hessian = _maximise(likelihood, start, root)
        if n_agq > 1:
            likelihood = MarginalLikelihood(problem, correlated, n_agq)
            theta, beta, hessian = _climb(likelihood, theta, beta, root)
        return _summarise(likelihood, theta, beta, hessian, start, root, correlated, test_sd)


def _fixed_effects(problem: LogitProblem) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients without group effects, and R^-1 with R'R their information (columns that whiten them)."""
    scale = np.sqrt((problem.X**2).mean(axis=0))
    gram = (problem.X / scale).T @ (problem.X / scale) / problem.n
    values, vectors = np.linalg.eigh(gram)
    if values[0] < 1e-11 * values[-1]:
        columns = np.flatnonzero(np.abs(vectors[:, 0]) > 0.1)
        raise InvalidValueError(
            where=f"design columns {', '.join(map(str, columns))}",
            problem="they are linear combinations of each other, so that their coefficients have no maximum likelihood",
            remedy="leave one of them out, or fit with priors (method 'laplace' or 'nuts')",
        )
    if problem.y.min() == problem.y.max():
        raise InvalidValueError(
            where="y",
            problem="the outcome is the same in every row, so that the intercept has no maximum likelihood",
            remedy="check the outcome's definition, or fit with priors (method 'laplace' or 'nuts')",
        )
    beta = np.zeros(problem.q)
    for _ in range(12):  # a separated design would go on for ever; a start is all that is needed
        probability = softplus_and_probability(problem.X @ beta)[1]
        weight = probability * (1 - probability)
        information = (problem.X * weight[:, None]).T @ problem.X
        step = np.linalg.solve(information, problem.X.T @ (problem.y - probability))
        beta = beta + step
        if step @ information @ step < 1e-10:
            break
    return beta, np.linalg.inv(np.linalg.cholesky(information)).T


def _maximise(
    likelihood: MarginalLikelihood, start: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maximum over theta and beta, from several starts where the first one ends on the boundary."""
    diagonal = np.array([r == c for block in likelihood.blocks for r, c in block.entries], dtype=bool)
    best: tuple[float, np.ndarray, np.ndarray, np.ndarray] | None = None
    for value in STARTS:
        theta, beta, hessian = _climb(likelihood, np.where(diagonal, value, 0.0), start, root)
        reached = likelihood.value(np.concatenate([theta, beta]))
        if best is None or reached > best[0] + 1e-7:
            best = (reached, theta, beta, hessian)
        if not (np.abs(theta[diagonal]) < 0.01).any():
            break
    assert best is not None
    _, theta, beta, hessian = best
    small = diagonal & (np.abs(theta) < 0.01)
    if small.any():
        # Near the boundary the likelihood is flat in the SD: take 0 itself where nothing is lost by it.
        at_zero = _climb(likelihood, np.where(small, 0.0, theta), beta, root, fixed=small)
        if likelihood.value(np.concatenate(at_zero[:2])) >= best[0] - 1e-7:
            theta, beta, hessian = at_zero
    return theta, beta, hessian


def _climb(
    likelihood: MarginalLikelihood,
    theta: np.ndarray,
    beta: np.ndarray,
    root: np.ndarray,
    fixed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quasi-Newton in whitened coefficients, then Newton steps by a differenced Hessian; `fixed` theta stay constant."""
    k = len(theta)
    free = np.concatenate([np.ones(k, bool) if fixed is None else ~fixed, np.ones(len(beta), bool)])
    origin = np.concatenate([theta, beta])
    whole = np.eye(len(origin))
    whole[k:, k:] = root
    transform = whole[:, free]

    def objective(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood.value_and_gradient(origin + transform @ z)
        return -value, -(gradient @ transform)

    found = minimize(objective, np.zeros(transform.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-4})
    parameters = origin + transform @ found.x
    for _ in range(5):
        value, gradient = likelihood.value_and_gradient(parameters)
        slope = gradient @ transform
        if np.abs(slope).max() < 1e-7:
            break
        values, vectors = np.linalg.eigh(differenced_hessian(likelihood, parameters, transform))
        if values[0] <= 1e-8:
            break
        proposed = parameters + transform @ (vectors @ ((slope @ vectors) / values))
        if likelihood.value(proposed) < value - 1e-9:
            break
        parameters = proposed
    hessian = differenced_hessian(likelihood, parameters, whole)
    inverse = np.linalg.inv(whole)
    return parameters[:k], parameters[k:], inverse.T @ hessian @ inverse


def differenced_hessian(likelihood: MarginalLikelihood, parameters: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Negative Hessian in coordinates z, parameters = origin + transform z, by central differences of the gradient."""
    step = 1e-4 if likelihood.n_agq == 1 else 1e-3
    columns = []
    for direction in transform.T:
        up = likelihood.value_and_gradient(parameters + step * direction)[1]
        down = likelihood.value_and_gradient(parameters - step * direction)[1]
        columns.append((down - up) @ transform / (2 * step))
    hessian = np.array(columns)
    return (hessian + hessian.T) / 2


def _summarise(
    likelihood: MarginalLikelihood,
    theta: np.ndarray,
    beta: np.ndarray,
    hessian: np.ndarray,
    start: np.ndarray,
    root: np.ndarray,
    correlated: bool,
    test_sd: bool,
) -> MaximumLikelihood:
    problem, k = likelihood.problem, len(theta)
    value, gradient = likelihood.value_and_gradient(np.concatenate([theta, beta]))
    sd, correlation = np.zeros(problem.n_terms), np.eye(problem.n_terms)
    effects: list[np.ndarray] = [np.empty(0)] * problem.n_terms
    singular = np.zeros(problem.n_terms, dtype=bool)
    sd_se = np.full(problem.n_terms, np.nan)
    scale = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    boundary = np.concatenate([np.abs(theta) < SINGULAR, np.zeros(len(beta), bool)])
    inner = np.ix_(~boundary, ~boundary)
    definite = bool(np.linalg.eigvalsh(hessian[inner] / np.outer(scale, scale)[inner])[0] > 1e-9)
    inverse = np.full_like(hessian, np.nan)
    if definite:
        inverse[inner] = np.linalg.inv(hessian[inner])
    place = 0
    for block, lower, u in zip(
        likelihood.blocks, likelihood.factors(theta), likelihood.split(likelihood.effects), strict=True
    ):
        terms = list(block.terms)
        covariance = lower @ lower.T
        sd[terms] = np.sqrt(np.diag(covariance))
        if len(block.entries) > len(terms):
            outer = np.outer(sd[terms], sd[terms])
            correlation[np.ix_(terms, terms)] = np.where(outer > 0, covariance / np.where(outer > 0, outer, 1), np.nan)
            singular[terms] = (np.abs(np.diag(lower)) < SINGULAR).any()
        else:
            singular[terms] = np.abs(np.diag(lower)) < SINGULAR
            sd_se[terms] = np.sqrt(np.diag(inverse)[place : place + len(terms)])
        for t, column in zip(terms, (u @ lower.T).T, strict=True):
            effects[t] = column
        place += len(block.entries)
    sd_se[singular] = np.nan
    steepest = np.abs(gradient / scale)[~boundary].max()
    converged = definite and bool(steepest < GRADIENT * (1 if likelihood.n_agq == 1 else 100))
    p_value = np.full(problem.n_terms, np.nan)
    if test_sd and likelihood.n_agq == 1 and not correlated:
        p_value = np.array([_test_sd(problem, t, value, start, root) for t in range(problem.n_terms)])
    return MaximumLikelihood(
        coefficients=beta,
        covariance=inverse[k:, k:],
        sd=sd,
        sd_se=sd_se,
        correlation=correlation,
        effects=effects,
        singular=singular,
        sd_p_value=p_value,
        deviance=-2 * value,
        theta=theta,
        hessian=hessian,
        converged=converged,
        n_agq=likelihood.n_agq,
        message=_message(problem, singular, converged),
    )


def _test_sd(problem: LogitProblem, t: int, value: float, start: np.ndarray, root: np.ndarray) -> float:
    """p-value of SD = 0 for term t from the fit without it."""
    keep: list[GroupTerm] = [term for k, term in enumerate(problem.groups) if k != t]
    scales = np.delete(problem.sd_scale, t)
    null = LogitProblem(problem.y, problem.X, tuple(keep), problem.prior_mean, problem.prior_sd, scales)
    likelihood = MarginalLikelihood(null)
    theta, beta, _ = _maximise(likelihood, start, root)
    statistic = 2 * (value - likelihood.value(np.concatenate([theta, beta])))
    return 1.0 if statistic <= 1e-6 else 0.5 * float(chdtrc(1, statistic))


def _message(problem: LogitProblem, singular: np.ndarray, converged: bool) -> str:
    parts = []
    if singular.any():
        names = ", ".join(term.name for term, zero in zip(problem.groups, singular, strict=True) if zero)
        parts.append(
            f"Singular fit: the SD of {names} is estimated at 0, the boundary. It has no standard error and no Wald "
            "interval; its profile interval starts at 0. With few groups this says little about whether groups differ."
        )
    if not converged:
        parts.append(
            "The maximum was not reached or is not finite: the gradient does not vanish or the curvature is not "
            "positive. The likely cause is separation (a covariate that predicts the outcome without error)."
        )
    return " ".join(parts)
