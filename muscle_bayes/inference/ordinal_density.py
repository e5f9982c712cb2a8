"""Log-density of the proportional-odds mixed model and its derivatives, fused and numerically stable.

A row in category k, between the thresholds a = c_{k+1} - eta and b = c_k - eta, has probability F(a) - F(b), a difference
that loses all digits in the tails. It factorises:

    F(a) - F(b) = F(a) (1 - F(b)) (1 - exp(b - a)),    b - a = c_k - c_{k+1},

two logistic terms and one that depends on the category only, each without cancellation. With e = exp(eta),
A = 1 + e exp(-c_{k+1}) = 1 / F(a) and B = 1 + exp(c_k) / e = 1 / (1 - F(b)), the log-likelihood of a row is -log(A B) and its
derivative in eta is 1/A - 1/B: one exponential a row serves all. Rows are sorted by category, so that sums over the rows of a
category are sums of slices.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, gammaln

from muscle_bayes.inference.density import DENSE_EFFECTS, FACTORS, LOG_2PI
from muscle_bayes.inference.ordinal_problem import OrdinalProblem


@dataclass(frozen=True)
class RowDerivatives:
    """What the rows give at one location, summed as far as thresholds and columns need it.

    Parameters
    ----------
    value : float
        Log-likelihood.
    thresholds : (K - 1,)
        Its gradient in the thresholds.
    eta : (n,)
        Its gradient in each row's linear predictor (rows in the sorted order).
    upper, lower : (n,)
        F(a)(1 - F(a)) and F(b)(1 - F(b)) of each row; empty unless asked for.
    below_upper, below_lower : (n,)
        F(a) and F(b) of each row; empty unless asked for.
    """

    value: float
    thresholds: np.ndarray
    eta: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    below_upper: np.ndarray
    below_lower: np.ndarray


class OrdinalLikelihood:
    """Likelihood of one problem with its rows sorted by category.

    Parameters
    ----------
    problem : OrdinalProblem
        Data; priors are not used here.
    """

    def __init__(self, problem: OrdinalProblem) -> None:
        self.problem = problem
        order = np.argsort(problem.y, kind="stable")
        self.counts = problem.counts
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])
        X = problem.X[order]
        self.site = None if problem.site is None else problem.site[order]
        self.dense = problem.n_sites <= DENSE_EFFECTS
        if self.dense and self.site is not None:
            X = np.column_stack([X, np.eye(problem.n_sites)[self.site]])
        # Column-major: both products with a vector then run along the columns, which is twice as fast.
        self.design = np.asfortranarray(X)

    def linear_predictor(self, location: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Linear predictor (n,) of sorted rows at (beta, u), without thresholds."""
        if self.dense:
            return np.dot(self.design, location, out=out)
        eta = np.dot(self.design, location[: self.problem.p], out=out)
        eta += location[self.problem.p :][self.site]
        return eta

    def transpose_product(self, rows: np.ndarray) -> np.ndarray:
        """Sum of every column of (X, sites) weighted by sorted `rows` (n,): (p + J,)."""
        sums = rows @ self.design
        return sums if self.dense else np.concatenate([sums, self.by_site(rows)])

    def by_site(self, rows: np.ndarray) -> np.ndarray:
        """Sum of sorted `rows` (n,) within each site: (J,)."""
        return np.bincount(self.site, rows, self.problem.n_sites) if self.site is not None else np.empty(0)

    def workspace(self) -> np.ndarray:
        """Buffers for `rows`; every thread needs its own."""
        return np.empty((3, self.problem.n))

    def rows(
        self, thresholds: np.ndarray, location: np.ndarray, work: np.ndarray | None = None, *, curvature: bool = False
    ) -> RowDerivatives:
        """Log-likelihood and its derivatives in thresholds and linear predictors.

        Parameters
        ----------
        thresholds : (K - 1,)
            Ascending.
        location : (p + J,)
            Coefficients and site effects.
        work : array, optional
            Buffers from `workspace`; the result's `eta` is one of them.
        curvature : bool
            Also return what second derivatives need.

        Returns
        -------
        RowDerivatives
            At this location.
        """
        A, B, product = self.workspace() if work is None else work
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self.linear_predictor(location, out=A)
            np.exp(A, out=A)
            np.reciprocal(A, out=B)
            upper = np.append(np.exp(-thresholds), 0.0)
            lower = np.append(0.0, np.exp(thresholds))
            for k in np.flatnonzero(self.counts):
                rows = slice(self.starts[k], self.starts[k + 1])
                A[rows] *= upper[k]
                B[rows] *= lower[k]
            A += 1
            B += 1
            np.multiply(A, B, out=product)
            # One logarithm for the product of 32 factors, each at least 1.
            whole = len(product) // FACTORS * FACTORS
            products = np.multiply.reduce(product[:whole].reshape(FACTORS, -1), axis=0)
            total = np.log(products).sum() + np.log(np.multiply.reduce(product[whole:]))
            np.reciprocal(A, out=A)
            np.reciprocal(B, out=B)
        if not np.isfinite(total):
            total = self._stable(thresholds, location, A, B)
        gaps = np.diff(thresholds)
        inner = self.counts[1:-1]
        with np.errstate(divide="ignore", over="ignore"):
            # An empty category adds nothing, however narrow it is.
            gap_value = float(np.where(inner > 0, inner * np.log(-np.expm1(-gaps)), 0.0).sum())
            gap_slope = np.where(inner > 0, inner / np.expm1(gaps), 0.0)
        # Of c_k: rows just below it gain 1 - F(a), rows just above it lose F(b).
        from_below = self.counts[:-1] - self._by_category(A)[:-1]
        from_above = self.counts[1:] - self._by_category(B)[1:]
        slope = from_below - from_above
        slope[1:] += gap_slope
        slope[:-1] -= gap_slope
        empty = np.empty(0)
        parts = (A * (1 - A), B * (1 - B), A.copy(), 1 - B) if curvature else (empty,) * 4
        np.subtract(A, B, out=product)
        return RowDerivatives(gap_value - float(total), slope, product, *parts)

    def _stable(self, thresholds: np.ndarray, location: np.ndarray, A: np.ndarray, B: np.ndarray) -> float:
        """Sum of log(A B) where a product overflows; fills in A with F(a) and B with 1 - F(b)."""
        eta = self.linear_predictor(location)
        category = np.repeat(np.arange(len(self.counts)), self.counts)
        a = np.append(thresholds, np.inf)[category] - eta
        b = np.append(-np.inf, thresholds)[category] - eta
        with np.errstate(over="ignore"):
            A[:] = 1 / (1 + np.exp(-a))
            B[:] = 1 / (1 + np.exp(b))
        return float(np.logaddexp(0, -a).sum() + np.logaddexp(0, b).sum())

    def _by_category(self, rows: np.ndarray) -> np.ndarray:
        """Sum of sorted `rows` (n,) within each category: (K,)."""
        present = self.counts > 0
        sums = np.zeros(len(self.counts))
        sums[present] = np.add.reduceat(rows, self.starts[:-1][present])
        return sums

    def information(self, thresholds: np.ndarray, at: RowDerivatives) -> np.ndarray:
        """Negative Hessian (d, d) of the log-likelihood in (thresholds, beta, u), d = K - 1 + p + J."""
        t, q = self.problem.n_thresholds, self.problem.p + self.problem.n_sites
        out = np.zeros((t + q, t + q))
        upper, lower = self._by_category(at.upper), self._by_category(at.lower)
        diagonal = np.arange(t)
        out[diagonal, diagonal] = upper[:-1] + lower[1:]
        gaps, inner = np.diff(thresholds), self.counts[1:-1]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            bend = np.where(inner > 0, inner / (np.expm1(gaps) * -np.expm1(-gaps)), 0.0)
        out[diagonal[1:], diagonal[1:]] += bend
        out[diagonal[:-1], diagonal[:-1]] += bend
        out[diagonal[1:], diagonal[:-1]] -= bend
        out[diagonal[:-1], diagonal[1:]] -= bend
        for k in range(t):
            below, above = (slice(self.starts[j], self.starts[j + 1]) for j in (k, k + 1))
            cross = self._part(at.upper, below) + self._part(at.lower, above)
            out[k, t:] = out[t:, k] = -cross
        weights = at.upper + at.lower
        weighted = self.design * weights[:, None]
        p = self.problem.p
        if self.dense:
            out[t:, t:] = weighted.T @ self.design
        else:
            out[t : t + p, t : t + p] = weighted.T @ self.design
            by_site = np.column_stack([self.by_site(weighted[:, j]) for j in range(p)]) if p else np.empty((q, 0))
            out[t + p :, t : t + p] = by_site
            out[t : t + p, t + p :] = by_site.T
            out[t + p :, t + p :] = np.diag(self.by_site(weights))
        return out

    def _part(self, weights: np.ndarray, rows: slice) -> np.ndarray:
        """Sum of the columns of (X, sites) over a slice of rows, weighted: (p + J,)."""
        sums = weights[rows] @ self.design[rows]
        if self.dense or self.site is None:
            return sums
        return np.concatenate([sums, np.bincount(self.site[rows], weights[rows], self.problem.n_sites)])


def threshold_prior(
    free: np.ndarray, concentration: float, middle_mean: float, middle_sd: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log density of thresholds: a normal middle one, and Dirichlet shares on either side of it; gradient and information.

    The distances from the middle threshold are those of a Dirichlet distribution of the category shares given that the middle
    threshold is 0. They do not know where the thresholds lie, so that thresholds and site effects are not made to slide together.

    Parameters
    ----------
    free : (K - 1,)
        First threshold and logarithms of the gaps. A gap beside an empty category may be far below the digits of a threshold,
        and keeps its own here.
    concentration : float
        Of every category.
    middle_mean, middle_sd : float
        Normal prior of threshold number K // 2, counted from 1.

    Returns
    -------
    value : float
        Density of `free`: the Jacobian of the log gaps is in it.
    gradient : (K - 1,)
        In `free`.
    information : (K - 1, K - 1)
        Negative Hessian in `free`.
    """
    t, lower = len(free), (len(free) + 1) // 2
    upper, m = t + 1 - lower, lower - 1
    thresholds, gaps, extra = thresholds_from(free), np.exp(free[1:]), concentration - 1
    around = thresholds - thresholds[m]
    below = 1 / (1 + np.exp(-np.clip(around, -700, 700)))
    # Each category counts concentration - 1 times as a row at eta = 0 does, and the Jacobian of the shares once.
    value = gammaln((t + 1) * concentration) - (t + 1) * gammaln(concentration)
    value -= concentration * (np.logaddexp(0, -around) + np.logaddexp(0, around)).sum()
    # Given the middle threshold: under that Dirichlet the split by it is beta, and this its log odds' density at 0.
    value += (t + 1) * concentration * np.log(2) + betaln(lower * concentration, upper * concentration)
    z = (thresholds[m] - middle_mean) / middle_sd
    value -= 0.5 * z**2 + np.log(middle_sd) + 0.5 * LOG_2PI
    slope = concentration * (1 - 2 * below)
    bend = 2 * concentration * below * (1 - below)
    information = np.diag(bend)
    information[m, :] -= bend
    information[:, m] -= bend
    information[m, m] += bend.sum() + middle_sd**-2.0
    slope[m] -= slope.sum() + z / middle_sd
    to_free = np.tril(np.ones((t, t)))
    to_free[:, 1:] *= gaps
    gradient, information = to_free.T @ slope, to_free.T @ information @ to_free
    at = np.arange(1, t)
    information[at, at] -= gradient[1:]
    # What depends on one gap alone, and the Jacobian of its logarithm.
    with np.errstate(over="ignore"):
        ratio = gaps / np.expm1(gaps)
    value += free[1:].sum() + extra * _log_share(free[1:], gaps).sum()
    gradient[1:] += 1 + extra * ratio
    information[at, at] += extra * ratio * (gaps + ratio - 1)
    return float(value), gradient, information


def _log_share(log_gaps: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """log(1 - exp(-gap)), also where the gap underflows."""
    small = log_gaps < -30
    return np.where(small, log_gaps, np.log(-np.expm1(-np.where(small, 1.0, gaps))))


def thresholds_from(free: np.ndarray) -> np.ndarray:
    """Thresholds (..., K - 1) from the first one and the logarithms of the gaps (..., K - 1)."""
    steps = np.concatenate([free[..., :1], np.exp(free[..., 1:])], axis=-1)
    return np.cumsum(steps, axis=-1)


def free_from(thresholds: np.ndarray) -> np.ndarray:
    """Return the first threshold and the logarithms of the gaps (K - 1,)."""
    return np.concatenate([thresholds[:1], np.log(np.diff(thresholds))])


class OrdinalPosterior:
    """Joint log-density of x = (first threshold, log gaps, beta, u) and the log site SD, constants included.

    Parameters
    ----------
    problem : OrdinalProblem
        Data and priors.
    """

    def __init__(self, problem: OrdinalProblem) -> None:
        self.problem = problem
        self.likelihood = OrdinalLikelihood(problem)
        self.constant = -np.log(problem.prior_sd).sum() - 0.5 * problem.p * LOG_2PI
        if problem.n_sites:
            self.constant -= 0.5 * problem.n_sites * LOG_2PI
            self.constant += np.log(2) - 0.5 * LOG_2PI - np.log(problem.sd_scale)

    def value_and_gradient(
        self, x: np.ndarray, log_sd: float, work: np.ndarray | None = None
    ) -> tuple[float, np.ndarray, float]:
        """Log-density at one point.

        Parameters
        ----------
        x : (K - 1 + p + J,)
            First threshold, logarithms of the gaps, coefficients, site effects.
        log_sd : float
            Logarithm of the site SD; without sites it is not used.
        work : array, optional
            Buffers from `OrdinalLikelihood.workspace`.

        Returns
        -------
        value : float
            log p(y, x, log sd), with the Jacobians of the log gaps and of the log SD.
        gradient_x : (K - 1 + p + J,)
            Gradient in x.
        gradient_log_sd : float
            Gradient in the log SD.
        """
        problem, t = self.problem, self.problem.n_thresholds
        thresholds, location = thresholds_from(x[:t]), x[t:]
        rows = self.likelihood.rows(thresholds, location, work)
        prior, prior_slope, _ = threshold_prior(x[:t], problem.concentration, problem.middle_mean, problem.middle_sd)
        gradient = np.empty(len(x))
        gradient[:t] = self._to_free(x, rows.thresholds) + prior_slope
        gradient[t:] = self.likelihood.transpose_product(rows.eta)
        beta, effects = location[: problem.p], location[problem.p :]
        z = (beta - problem.prior_mean) / problem.prior_sd
        gradient[t : t + problem.p] -= z / problem.prior_sd
        value = rows.value + prior - 0.5 * float(z @ z) + self.constant
        if not problem.n_sites:
            return value, gradient, 0.0
        inverse = np.exp(-log_sd)
        z = effects * inverse
        gradient[t + problem.p :] -= z * inverse
        ratio2 = (np.exp(log_sd) / problem.sd_scale) ** 2
        value += log_sd - 0.5 * ratio2 - 0.5 * float(z @ z) - problem.n_sites * log_sd
        return value, gradient, float(1 - ratio2 + z @ z - problem.n_sites)

    def _to_free(self, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Gradient in the first threshold and log gaps from that in the thresholds."""
        t = self.problem.n_thresholds
        gradient = np.cumsum(slope[::-1])[::-1].copy()
        gradient[1:] *= np.exp(x[1:t])
        return gradient

    def information(self, x: np.ndarray, log_sd: float) -> np.ndarray:
        """Negative Hessian (d, d) of the log-density in x at a given SD."""
        problem, t = self.problem, self.problem.n_thresholds
        thresholds = thresholds_from(x[:t])
        rows = self.likelihood.rows(thresholds, x[t:], curvature=True)
        full = self.likelihood.information(thresholds, rows)
        jacobian = np.eye(len(x))
        jacobian[:t, :t] = np.tril(np.ones((t, t)))
        jacobian[:t, 1:t] *= np.exp(x[1:t])
        full = jacobian.T @ full @ jacobian
        at = np.arange(1, t)
        full[at, at] -= np.exp(x[1:t]) * np.cumsum(rows.thresholds[::-1])[::-1][1:]
        full[:t, :t] += threshold_prior(x[:t], problem.concentration, problem.middle_mean, problem.middle_sd)[2]
        tau = np.full(problem.n_sites, np.exp(-2 * log_sd))
        full[np.arange(t, len(x)), np.arange(t, len(x))] += np.concatenate([problem.prior_sd**-2.0, tau])
        return full
