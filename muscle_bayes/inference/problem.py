"""The logistic mixed model that every engine takes: plain arrays, nothing else.

For rows i = 1..n with binary outcome y, coefficients beta and, for each group term t, effects u_t:

    logit P(y_i = 1) = x_i' beta + sum_t z_ti u_t[index_t(i)],    z_ti = 1 (intercept) or a slope's covariate
    beta_k ~ Normal(prior_mean_k, prior_sd_k),    u_tj ~ Normal(0, sd_t),    sd_t ~ HalfNormal(sd_scale_t)

The caller centres every column of X but the first (the intercept), so that `beta[0]` is the intercept at the mean of
the covariates and nearly uncorrelated with the rest. `maximum_likelihood` ignores the priors.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from muscle_bayes.errors import InvalidValueError


@dataclass(frozen=True, eq=False)
class GroupTerm:
    """Effects of one grouping factor: random intercepts, or random slopes of one covariate.

    Parameters
    ----------
    name : str
        Name of the term, such as ``1|site`` or ``intermat_z|site``.
    index : (n,) int
        Level of every row, 0 .. n_levels - 1.
    n_levels : int
        Number of levels; a level without rows is allowed (its effects then follow their prior).
    slope : (n,) float or None
        Covariate whose slope varies; None for a random intercept.
    """

    name: str
    index: np.ndarray
    n_levels: int
    slope: np.ndarray | None = None

    def __post_init__(self) -> None:
        index = np.ascontiguousarray(self.index, dtype=np.int64)
        if index.ndim != 1 or self.n_levels < 1 or (index.size and (index.min() < 0 or index.max() >= self.n_levels)):
            raise InvalidValueError(
                where=self.name,
                problem=f"the group index must be one-dimensional with values 0 to {self.n_levels - 1}",
                remedy="code the levels of the grouping column as consecutive integers from 0",
            )
        object.__setattr__(self, "index", index)
        if self.slope is not None:
            object.__setattr__(self, "slope", np.ascontiguousarray(self.slope, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class LogitProblem:
    """One logistic (mixed) model with its data and priors, as described at the top of this module.

    Parameters
    ----------
    y : (n,) float
        Outcome, 0 or 1.
    X : (n, q) float
        Design with the intercept (all 1) as column 0 and the other columns centred.
    groups : tuple of GroupTerm
        Group terms; may be empty.
    prior_mean, prior_sd : (q,) float
        Independent normal priors of the coefficients of this (centred) design, the intercept included.
    sd_scale : (T,) float
        Scale of the half-normal prior of each group term's SD.

    Raises
    ------
    InvalidValueError
        Shapes that do not fit together, an outcome outside {0, 1}, missing values, or a prior SD that is not positive.
    """

    y: np.ndarray
    X: np.ndarray
    groups: tuple[GroupTerm, ...]
    prior_mean: np.ndarray
    prior_sd: np.ndarray
    sd_scale: np.ndarray

    def __post_init__(self) -> None:
        for name in ("y", "X", "prior_mean", "prior_sd", "sd_scale"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        object.__setattr__(self, "groups", tuple(self.groups))
        n, q = self.X.shape
        self._require(self.y.shape == (n,), "y", f"has shape {self.y.shape}, the design has {n} rows")
        self._require(bool(np.all((self.y == 0) | (self.y == 1))), "y", "holds values other than 0 and 1")
        self._require(bool(np.isfinite(self.X).all()), "X", "holds missing or infinite values")
        self._require(bool(np.all(self.X[:, 0] == 1)), "X", "its column 0 is not the intercept")
        for name in ("prior_mean", "prior_sd"):
            self._require(getattr(self, name).shape == (q,), name, f"needs one value for each of {q} columns")
        self._require(bool(np.isfinite(self.prior_mean).all()), "prior_mean", "holds a value that is not finite")
        self._require(_positive(self.prior_sd), "prior_sd", "holds a value that is not positive and finite")
        self._require(self.sd_scale.shape == (len(self.groups),), "sd_scale", "needs one value for each group term")
        self._require(_positive(self.sd_scale), "sd_scale", "holds a value that is not positive and finite")
        for term in self.groups:
            self._require(term.index.shape == (n,), term.name, f"its index does not have {n} rows")
            slope = term.slope
            if slope is not None:
                fits = slope.shape == (n,) and bool(np.isfinite(slope).all())
                self._require(fits, term.name, f"its slope does not have {n} finite values")

    @staticmethod
    def _require(holds: bool, where: str, problem: str) -> None:
        if not holds:
            raise InvalidValueError(where=where, problem=problem, remedy="check how the design was built")

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.X.shape[0]

    @property
    def q(self) -> int:
        """Number of coefficients, the intercept included."""
        return self.X.shape[1]

    @property
    def n_terms(self) -> int:
        """Number of group terms T."""
        return len(self.groups)

    @cached_property
    def n_effects(self) -> int:
        """Number of group effects over all terms."""
        return sum(term.n_levels for term in self.groups)

    @cached_property
    def effect_term(self) -> np.ndarray:
        """(n_effects,) int: the group term to which each effect belongs."""
        return np.repeat(np.arange(self.n_terms), [term.n_levels for term in self.groups])

    def split_effects(self, effects: np.ndarray) -> list[np.ndarray]:
        """Cut an array (..., n_effects) into one (..., n_levels) per group term."""
        ends = np.cumsum([term.n_levels for term in self.groups])
        return np.split(effects, ends[:-1], axis=-1) if self.groups else []


def _positive(values: np.ndarray) -> bool:
    return bool(np.all(values > 0) and np.isfinite(values).all())
