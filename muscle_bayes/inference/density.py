"""Log-density of the logistic mixed model and its derivatives, fused and numerically stable.

A location x = (beta, u) stacks the q coefficients and all group effects. The likelihood's sum over rows is
y'eta - sum_i log(1 + exp(eta_i)); the first part is linear in x, so that only the second costs a pass over the data.
For many draws the logs are taken of products over 32 rows, one logarithm instead of 32 (each factor is at least 1, and
a product that overflows is done again with the stable form). Constants are kept: values equal those of a
probabilistic program, with half-normal SDs on the log scale and their Jacobian.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from muscle_bayes.inference.problem import LogitProblem

LOG_2PI = float(np.log(2 * np.pi))
DENSE_EFFECTS = 12  # up to here group effects are cheaper as dummy columns of the matrix product than as a gather
ROWS, DRAWS, FACTORS = 512, 256, 32  # a block of ROWS x DRAWS doubles (1 MB) stays in the cache


class LogitLikelihood:
    """Likelihood of one problem, with what can be computed once kept.

    Parameters
    ----------
    problem : LogitProblem
        Data; priors are not used here.
    """

    def __init__(self, problem: LogitProblem) -> None:
        self.problem = problem
        self.dense = problem.n_effects <= DENSE_EFFECTS
        columns = [problem.X, *(_dummies(t.index, t.n_levels, t.slope) for t in problem.groups)] if self.dense else []
        # Column-major: both products with a vector then run along the columns, which is twice as fast.
        self.design = np.asfortranarray(np.hstack(columns) if len(columns) > 1 else problem.X)
        self.incidence = None if self.dense else _incidence(problem)
        self.score = self.transpose_product(problem.y)
        self.levels = np.array([float(term.n_levels) for term in problem.groups])
        one = np.zeros((1, problem.n_terms))  # at log SD 0, mean and effects 0, only constants are left of the priors
        x = np.concatenate([problem.prior_mean, np.zeros(problem.n_effects)])
        self.prior_constant = float(log_prior(problem, x[None], one)[0] + 0.5 * (problem.sd_scale**-2).sum())

    def transpose_product(self, rows: np.ndarray) -> np.ndarray:
        """Sum of every column of (X, Z) weighted by `rows` (n,): (q + n_effects,)."""
        parts = rows @ self.design
        return parts if self.incidence is None else np.concatenate([parts, self.incidence @ rows])

    def linear_predictor(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Linear predictor (n,) at the location x (q + n_effects,), written to `out` where given."""
        if self.dense:
            return np.dot(self.design, x, out=out)
        eta = np.dot(self.design, x[: self.problem.q], out=out)
        for term, effects in zip(self.problem.groups, self.problem.split_effects(x[self.problem.q :]), strict=True):
            eta += effects[term.index] if term.slope is None else effects[term.index] * term.slope
        return eta

    def workspace(self) -> np.ndarray:
        """Buffers for `value_and_gradient`; every thread needs its own."""
        return np.empty((3, self.problem.n))

    def value_and_gradient(self, x: np.ndarray, work: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Log-likelihood and its gradient (q + n_effects,) at x; `work` from `workspace` saves allocations."""
        eta, odds, total = self.workspace() if work is None else work
        self.linear_predictor(x, out=eta)
        with np.errstate(over="ignore", invalid="ignore"):
            np.exp(eta, out=odds)
            np.add(odds, 1, out=total)
            whole = len(eta) // FACTORS * FACTORS
            products = np.multiply.reduce(total[:whole].reshape(FACTORS, -1), axis=0)
            softplus = np.log(products).sum() + np.log(np.multiply.reduce(total[whole:]))
            probability = np.divide(odds, total, out=odds)
        if not np.isfinite(softplus):
            log_terms, probability = softplus_and_probability(eta)
            softplus = log_terms.sum()
        return float(self.score @ x - softplus), self.score - self.transpose_product(probability)

    def derivatives(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient (d,) and negative Hessian (d, d) at x, d = q + n_effects."""
        eta = self.linear_predictor(x)
        softplus, probability = softplus_and_probability(eta)
        gradient = self.score - self.transpose_product(probability)
        return float(self.score @ x - softplus.sum()), gradient, self.gram(probability * (1 - probability))

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """Weighted cross-product (X, Z)' diag(weights) (X, Z): (d, d)."""
        weighted = self.design * weights[:, None]
        if self.incidence is None:
            return weighted.T @ self.design
        q, d = self.problem.q, self.problem.q + self.problem.n_effects
        gram = np.zeros((d, d))
        gram[:q, :q] = weighted.T @ self.design
        gram[q:, :q] = self.incidence @ weighted
        gram[:q, q:] = gram[q:, :q].T
        start = q
        for a, term in enumerate(self.problem.groups):
            rows = slice(start, start + term.n_levels)
            left = weights if term.slope is None else weights * term.slope
            begin = start
            for other in self.problem.groups[a:]:
                columns = slice(begin, begin + other.n_levels)
                pair = term.index * other.n_levels + other.index
                weight = left if other.slope is None else left * other.slope
                block = np.bincount(pair, weight, term.n_levels * other.n_levels)
                gram[rows, columns] = block.reshape(term.n_levels, other.n_levels)
                gram[columns, rows] = gram[rows, columns].T
                begin += other.n_levels
            start += term.n_levels
        return gram

    def values(self, x: np.ndarray, threads: int = 1) -> np.ndarray:
        """Log-likelihood of many locations at once.

        Parameters
        ----------
        x : (S, q + n_effects)
            Locations.
        threads : int
            Threads over blocks of draws; the matrix product inside a block stays on one.

        Returns
        -------
        (S,) float
            Log-likelihoods.
        """
        blocks = [slice(s, min(s + DRAWS, len(x))) for s in range(0, len(x), DRAWS)]
        with threadpool_limits(1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
            if threads > 1 and len(blocks) > 1:
                with ThreadPoolExecutor(threads) as pool:
                    sums = list(pool.map(lambda block: self._softplus_sums(x[block]), blocks))
            else:
                sums = [self._softplus_sums(x[block]) for block in blocks]
        return x @ self.score - np.concatenate(sums)

    def _softplus_sums(self, x: np.ndarray) -> np.ndarray:
        """Sum over rows of log(1 + exp(eta)) for a block of draws (m, d): (m,)."""
        total = np.zeros(len(x))
        with np.errstate(over="ignore", invalid="ignore"):  # the setting is per thread
            for eta in self._predictor_blocks(x):
                product = np.exp(eta)
                product += 1
                whole = len(eta) // FACTORS * FACTORS
                products = np.multiply.reduce(product[:whole].reshape(-1, FACTORS, len(x)), axis=1)
                if whole < len(eta):
                    products = np.vstack([products, np.multiply.reduce(product[whole:], axis=0)])
                if np.isfinite(products).all():
                    total += np.log(products).sum(axis=0)
                else:
                    total += np.logaddexp(0, eta).sum(axis=0)
        return total

    def _predictor_blocks(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Linear predictors of ROWS rows at a time for draws x (m, d): arrays (rows, m)."""
        q = self.problem.q
        coefficients = np.ascontiguousarray(x.T if self.dense else x[:, :q].T)
        effects = [] if self.dense else [np.ascontiguousarray(e.T) for e in self.problem.split_effects(x[:, q:])]
        for start in range(0, self.problem.n, ROWS):
            rows = slice(start, start + ROWS)
            eta = self.design[rows] @ coefficients
            if not self.dense:
                for term, effect in zip(self.problem.groups, effects, strict=True):
                    gathered = effect[term.index[rows]]
                    if term.slope is not None:
                        gathered *= term.slope[rows, None]
                    eta += gathered
            yield eta


def available_threads(most: int = 4) -> int:
    """Cores that this process may use, at most 4 (beyond, memory bandwidth is the bound) and `MUSCLE_BAYES_THREADS`."""
    affinity = getattr(os, "sched_getaffinity", None)
    stated = os.environ.get("MUSCLE_BAYES_THREADS", "")
    allowed = int(stated) if stated.isdigit() and int(stated) > 0 else most
    return min(most, allowed, len(affinity(0)) if affinity else os.cpu_count() or 1)


def softplus_and_probability(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log(1 + exp(eta)) and 1 / (1 + exp(-eta)) without overflow, one exponential each (same shape as eta)."""
    small = np.exp(-np.abs(eta))
    softplus = np.log1p(small)
    softplus += np.maximum(eta, 0)
    probability = np.where(eta >= 0, 1.0, small)
    probability /= 1 + small
    return softplus, probability


def log_prior(problem: LogitProblem, x: np.ndarray, log_sd: np.ndarray) -> np.ndarray:
    """Log-density of coefficients, effects (centred) and log SDs under their priors.

    Parameters
    ----------
    problem : LogitProblem
        Priors.
    x : (..., q + n_effects)
        Coefficients and effects.
    log_sd : (..., T)
        Logarithms of the group SDs.

    Returns
    -------
    (...) float
        Normal, normal given the SD, and half-normal log-densities, with the Jacobian of sd = exp(log_sd).
    """
    z = (x[..., : problem.q] - problem.prior_mean) / problem.prior_sd
    total = -0.5 * (z**2).sum(-1) - np.log(problem.prior_sd).sum() - 0.5 * problem.q * LOG_2PI
    scale = log_sd[..., problem.effect_term]
    effects = x[..., problem.q :]
    total = total - 0.5 * ((effects * np.exp(-scale)) ** 2).sum(-1) - scale.sum(-1) - 0.5 * problem.n_effects * LOG_2PI
    return total + log_prior_log_sd(problem, log_sd)


def log_prior_log_sd(problem: LogitProblem, log_sd: np.ndarray) -> np.ndarray:
    """Half-normal log-density of the SDs on the log scale, Jacobian included; log_sd (..., T) -> (...)."""
    ratio = np.exp(log_sd) / problem.sd_scale
    constant = problem.n_terms * (np.log(2) - 0.5 * LOG_2PI) - np.log(problem.sd_scale).sum()
    return constant - 0.5 * (ratio**2).sum(-1) + log_sd.sum(-1)


def log_density_and_gradient(
    likelihood: LogitLikelihood, x: np.ndarray, log_sd: np.ndarray, work: np.ndarray | None = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """Joint log-density with its gradients at one point, effects centred.

    Parameters
    ----------
    likelihood : LogitLikelihood
        Data and priors.
    x : (q + n_effects,)
        Coefficients and effects.
    log_sd : (T,)
        Logarithms of the group SDs.
    work : array, optional
        Buffers from `LogitLikelihood.workspace`.

    Returns
    -------
    value : float
        log p(y, beta, u, log sd), all constants included.
    gradient_x : (q + n_effects,)
        Gradient in x.
    gradient_log_sd : (T,)
        Gradient in log_sd.
    """
    problem, q = likelihood.problem, likelihood.problem.q
    value, gradient = likelihood.value_and_gradient(x, work)
    z = (x[:q] - problem.prior_mean) / problem.prior_sd
    gradient[:q] -= z / problem.prior_sd
    ratio2 = (np.exp(log_sd) / problem.sd_scale) ** 2
    value += likelihood.prior_constant - 0.5 * float(z @ z) + float((log_sd - 0.5 * ratio2).sum())
    gradient_log_sd = 1 - ratio2
    if problem.n_terms:
        inverse_sd = np.exp(-log_sd)[problem.effect_term]
        z = x[q:] * inverse_sd
        gradient[q:] -= z * inverse_sd
        value -= 0.5 * float(z @ z) + float(likelihood.levels @ log_sd)
        gradient_log_sd += np.bincount(problem.effect_term, z**2, problem.n_terms) - likelihood.levels
    return value, gradient, gradient_log_sd


def _dummies(index: np.ndarray, n_levels: int, slope: np.ndarray | None) -> np.ndarray:
    """Dense columns (n, n_levels) of one group term."""
    columns = np.zeros((len(index), n_levels))
    columns[np.arange(len(index)), index] = 1 if slope is None else slope
    return columns


def _incidence(problem: LogitProblem) -> sp.csr_array:
    """Sparse transposed design of all group effects, (n_effects, n)."""
    blocks = []
    for term in problem.groups:
        values = np.ones(problem.n) if term.slope is None else term.slope
        blocks.append(sp.csr_array((values, (term.index, np.arange(problem.n))), shape=(term.n_levels, problem.n)))
    return sp.csr_array(sp.vstack(blocks, format="csr"))
