"""Marginal likelihood of a logistic mixed model by the Laplace approximation or adaptive Gauss-Hermite quadrature.

As lme4 defines it (Bates, Maechler, Bolker and Walker 2015, JSS 67(1); Bolker's glmer notes): effects b = Lambda u with
spherical u, their mode found by penalised iteratively reweighted least squares, and

    log L(theta, beta) = log p(y | u^) - |u^|^2 / 2 - log |I + Lambda' Z' W Z Lambda| / 2.

The gradient is exact: the mode's and the determinant's dependence on the parameters is included. Terms of one grouping
factor form a block; the block with most effects is eliminated level by level, so that only the other blocks are dense.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from muscle_bayes.inference.density import softplus_and_probability
from muscle_bayes.inference.problem import LogitProblem


@dataclass(frozen=True)
class Block:
    """Group terms that share one grouping factor.

    Parameters
    ----------
    terms : tuple of int
        Which group terms of the problem.
    index : (n,) int
        Level of every row.
    n_levels : int
        Number of levels J.
    Z : (n, t)
        Covariates of the t terms (1 for an intercept).
    entries : tuple of (int, int)
        Rows and columns of the lower factor that are parameters, in the order of theta.
    """

    terms: tuple[int, ...]
    index: np.ndarray
    n_levels: int
    Z: np.ndarray
    entries: tuple[tuple[int, int], ...]

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """Lower factor (t, t) of the covariance of one level's effects."""
        lower = np.zeros((len(self.terms),) * 2)
        for value, place in zip(theta, self.entries, strict=True):
            lower[place] = value
        return lower


def make_blocks(problem: LogitProblem, correlated: bool) -> list[Block]:
    """Collect the terms of each grouping factor, the factor with most effects first."""
    members: list[list[int]] = []
    for t, term in enumerate(problem.groups):
        for block in members:
            if np.array_equal(problem.groups[block[0]].index, term.index):
                block.append(t)
                break
        else:
            members.append([t])
    blocks = []
    for block in members:
        first, size = problem.groups[block[0]], len(block)
        slopes = [problem.groups[t].slope for t in block]
        Z = np.column_stack([np.ones(problem.n) if s is None else s for s in slopes])
        entries = tuple((r, c) for c in range(size) for r in range(c, size) if correlated or r == c)
        blocks.append(Block(tuple(block), first.index, first.n_levels, Z, entries))
    return sorted(blocks, key=lambda b: -b.n_levels * len(b.terms))


@dataclass
class Factorisation:
    """Inverse of H = I + Lambda' Z' W Z Lambda in the parts that rows touch, and its log determinant.

    Parameters
    ----------
    first : (J1, t1, t1)
        Diagonal blocks of the inverse for the first block of effects.
    cross : (J1, t1, m)
        Inverse between the first block and the rest.
    rest : (m, m)
        Inverse among the rest.
    log_determinant : float
        log |H|.
    """

    first: np.ndarray
    cross: np.ndarray
    rest: np.ndarray
    log_determinant: float
    own: np.ndarray  # (J1, t1, t1) inverse of the first block's own part of H
    eliminated: np.ndarray  # (J1, t1, m) that inverse times the first block's rows against the rest

    def solve(self, right: np.ndarray) -> np.ndarray:
        """H^-1 times a vector over all effects."""
        levels, t, m = self.cross.shape
        head, tail = right[: levels * t].reshape(levels, t), right[levels * t :]
        direct = np.einsum("jab,jb->ja", self.own, head)
        if not m:
            return direct.ravel()
        solved = self.rest @ (tail - np.einsum("jam,ja->m", self.eliminated, head))
        return np.concatenate([(direct - self.eliminated @ solved).ravel(), solved])


class MarginalLikelihood:
    """Marginal log-likelihood as a function of (theta, beta).

    Parameters
    ----------
    problem : LogitProblem
        Data; priors are ignored.
    correlated : bool
        Whether terms of one grouping factor are correlated, as in ``(1 + x | g)``, or not, as in ``(1 + x || g)``.
    n_agq : int
        Quadrature nodes; 1 is the Laplace approximation. More need a single scalar term.
    """

    def __init__(self, problem: LogitProblem, correlated: bool = False, n_agq: int = 1) -> None:
        self.problem = problem
        self.blocks = make_blocks(problem, correlated)
        self.n_agq = n_agq
        self.n_theta = sum(len(block.entries) for block in self.blocks)
        self.sizes = [block.n_levels * len(block.terms) for block in self.blocks]
        self.effects = np.zeros(sum(self.sizes))  # spherical mode of the last evaluation, where the next one starts

    def factors(self, theta: np.ndarray) -> list[np.ndarray]:
        """Lower factor of every block."""
        ends = np.cumsum([0, *(len(block.entries) for block in self.blocks)])
        return [b.factor(theta[s:e]) for b, (s, e) in zip(self.blocks, pairwise(ends), strict=True)]

    def split(self, effects: np.ndarray) -> list[np.ndarray]:
        """Effects (levels, t) of every block."""
        ends = np.cumsum([0, *self.sizes])
        return [effects[s:e].reshape(b.n_levels, -1) for b, (s, e) in zip(self.blocks, pairwise(ends), strict=True)]

    def value(self, parameters: np.ndarray) -> float:
        """Marginal log-likelihood at (theta, beta)."""
        if self.n_agq > 1:
            return self._quadrature(parameters)
        return self._mode(parameters)[0]

    def value_and_gradient(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Marginal log-likelihood at (theta, beta) and its gradient."""
        if self.n_agq > 1:
            steps = np.eye(len(parameters)) * 1e-5
            slopes = [(self.value(parameters + s) - self.value(parameters - s)) / 2e-5 for s in steps]
            return self.value(parameters), np.array(slopes)
        value, rows, probability, inverse = self._mode(parameters)
        residual, weight = self.problem.y - probability, probability * (1 - probability)
        if inverse is None:
            return value, residual @ self.problem.X
        touched = self._touched(rows, inverse)
        leverage = sum(np.einsum("ia,ia->i", a, g) for a, g in zip(rows, touched, strict=True))
        change = weight * (1 - 2 * probability) * leverage
        shift = self.split(inverse.solve(self._transpose(rows, change)))
        along = self._predict(rows, shift)
        pull = residual - 0.5 * change + 0.5 * weight * along
        gradient = []
        for block, u, v, g in zip(self.blocks, self.split(self.effects), shift, touched, strict=True):
            for r, c in block.entries:
                z = block.Z[:, r]
                direct = (pull * u[block.index, c] - 0.5 * residual * v[block.index, c] - weight * g[:, c]) @ z
                gradient.append(direct)
        return value, np.concatenate([gradient, pull @ self.problem.X])

    def _rows(self, theta: np.ndarray) -> list[np.ndarray]:
        """Scaled covariates (n, t) of every block: rows of Z Lambda."""
        return [block.Z @ lower for block, lower in zip(self.blocks, self.factors(theta), strict=True)]

    def _predict(self, rows: list[np.ndarray], effects: list[np.ndarray]) -> np.ndarray:
        total = np.zeros(self.problem.n)
        for block, a, u in zip(self.blocks, rows, effects, strict=True):
            for c in range(a.shape[1]):
                total += a[:, c] * u[block.index, c]
        return total

    def _transpose(self, rows: list[np.ndarray], values: np.ndarray) -> np.ndarray:
        parts = []
        for block, a in zip(self.blocks, rows, strict=True):
            sums = [np.bincount(block.index, values * a[:, c], block.n_levels) for c in range(a.shape[1])]
            parts.append(np.column_stack(sums).ravel())
        return np.concatenate(parts)

    def _mode(self, parameters: np.ndarray) -> tuple[float, list[np.ndarray], np.ndarray, Factorisation | None]:
        """Mode of the effects; value, rows of Z Lambda, probabilities and H^-1 there."""
        theta, beta = parameters[: self.n_theta], parameters[self.n_theta :]
        rows, fixed = self._rows(theta), self.problem.X @ beta

        def evaluate(u: np.ndarray) -> tuple[float, np.ndarray]:
            eta = fixed + self._predict(rows, self.split(u))
            softplus, probability = softplus_and_probability(eta)
            return float(self.problem.y @ eta - softplus.sum() - 0.5 * u @ u), probability

        u = self.effects
        value, probability = evaluate(u)
        if not self.blocks:
            return value, rows, probability, None
        at_zero = evaluate(np.zeros_like(u))
        if at_zero[0] > value:
            u, (value, probability) = np.zeros_like(u), at_zero
        for _ in range(100):
            inverse = self._factorise(rows, probability * (1 - probability))
            score = self._transpose(rows, self.problem.y - probability) - u
            step = inverse.solve(score)
            decrement2 = float(score @ step)
            if decrement2 < 1e-18 * (1 + abs(value)):
                break
            size = 1.0
            while True:
                proposed = evaluate(u + size * step)
                if proposed[0] >= value + 0.25 * size * decrement2 - 1e-12 * abs(value) or size < 1e-8:
                    break
                size /= 2
            u, (value, probability) = u + size * step, proposed
        self.effects = u
        return value - 0.5 * inverse.log_determinant, rows, probability, inverse

    def _factorise(self, rows: list[np.ndarray], weight: np.ndarray) -> Factorisation:
        head, a = self.blocks[0], rows[0]
        t, m = a.shape[1], sum(self.sizes[1:])
        diagonal = np.empty((head.n_levels, t, t))
        for i in range(t):
            for j in range(i + 1):
                diagonal[:, i, j] = np.bincount(head.index, weight * a[:, i] * a[:, j], head.n_levels) + (i == j)
                diagonal[:, j, i] = diagonal[:, i, j]
        own = np.linalg.inv(diagonal)
        log_determinant = float(np.linalg.slogdet(diagonal)[1].sum())
        if not m:
            empty = np.empty((head.n_levels, t, 0))
            return Factorisation(own, empty, np.empty((0, 0)), log_determinant, own, empty)
        between, among = np.zeros((head.n_levels, t, m)), np.eye(m)
        start = 0
        for k, (block, b) in enumerate(zip(self.blocks[1:], rows[1:], strict=True)):
            size = b.shape[1]
            for j in range(size):
                columns = slice(start + j, start + block.n_levels * size, size)
                for i in range(t):
                    between[:, i, columns] = _cross(head, block, weight * a[:, i] * b[:, j])
                begin = start
                for other, o in zip(self.blocks[1 + k :], rows[1 + k :], strict=True):
                    for i in range(o.shape[1]):
                        across = slice(begin + i, begin + other.n_levels * o.shape[1], o.shape[1])
                        part = _cross(block, other, weight * b[:, j] * o[:, i])
                        among[columns, across] += part
                        if other is not block:
                            among[across, columns] += part.T
                    begin += other.n_levels * o.shape[1]
            start += block.n_levels * size
        eliminated = own @ between
        schur = among - np.einsum("jam,jan->mn", between, eliminated, optimize=True)
        rest = np.linalg.inv(schur)
        cross = -eliminated @ rest
        first = own - cross @ eliminated.transpose(0, 2, 1)
        log_determinant += float(np.linalg.slogdet(schur)[1])
        return Factorisation(first, cross, rest, log_determinant, own, eliminated)

    def _touched(self, rows: list[np.ndarray], inverse: Factorisation) -> list[np.ndarray]:
        """For every row, H^-1 (Lambda' z_i) at the row's own effects: (n, t) for every block."""
        head, a = self.blocks[0], rows[0]
        result = [np.einsum("iab,ib->ia", inverse.first[head.index], a)]
        starts = np.cumsum([0, *self.sizes[1:]])
        places = [
            starts[k] + block.index[:, None] * b.shape[1] + np.arange(b.shape[1])
            for k, (block, b) in enumerate(zip(self.blocks[1:], rows[1:], strict=True))
        ]
        for place, b in zip(places, rows[1:], strict=True):
            link = inverse.cross[head.index[:, None, None], np.arange(a.shape[1])[:, None], place[:, None, :]]
            result[0] = result[0] + np.einsum("iab,ib->ia", link, b)
            own = np.einsum("iab,ia->ib", link, a)
            for other, o in zip(places, rows[1:], strict=True):
                own += np.einsum("iab,ib->ia", inverse.rest[place[:, :, None], other[:, None, :]], o)
            result.append(own)
        return result

    def _quadrature(self, parameters: np.ndarray) -> float:
        """Adaptive Gauss-Hermite quadrature over the effects of one scalar term."""
        _, rows, _, inverse = self._mode(parameters)
        block, a = self.blocks[0], rows[0][:, 0]
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.n_agq)
        fixed = self.problem.X @ parameters[self.n_theta :]
        assert inverse is not None  # quadrature is only offered with one term
        spread = np.sqrt(inverse.first[:, 0, 0])
        terms = np.empty((self.n_agq, block.n_levels))
        for k, node in enumerate(nodes):
            u = self.effects + spread * node
            eta = fixed + a * u[block.index]
            log_terms = self.problem.y * eta - softplus_and_probability(eta)[0]
            terms[k] = np.bincount(block.index, log_terms, block.n_levels) - 0.5 * u**2 + 0.5 * node**2
        largest = terms.max(axis=0)
        sums = (weights[:, None] / weights.sum() * np.exp(terms - largest)).sum(axis=0)
        return float((largest + np.log(sums) + np.log(spread)).sum())


def _cross(first: Block, second: Block, weight: np.ndarray) -> np.ndarray:
    pair = first.index * second.n_levels + second.index
    return np.bincount(pair, weight, first.n_levels * second.n_levels).reshape(first.n_levels, second.n_levels)
