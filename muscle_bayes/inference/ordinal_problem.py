"""The proportional-odds mixed model that the ordinal engines take: plain arrays, nothing else.

For rows i = 1..n in categories y_i = 0..K-1, thresholds c_1 < ... < c_{K-1}, coefficients beta and site effects u:

    logit P(y_i >= k) = x_i' beta + u_site(i) - c_k
    c_m ~ Normal(middle_mean, middle_sd),    m = K // 2
    2 (F(d_1), ..., F(d_m) - F(d_{m-1})) ~ Dirichlet(a, ..., a),    2 (F(d_{m+1}) - F(d_m), ...) ~ Dirichlet(a, ..., a)
    beta_j ~ Normal(prior_mean_j, prior_sd_j),    u_s ~ Normal(0, sd),    sd ~ HalfNormal(sd_scale)

with d_k = c_k - c_m and F the logistic function (McCullagh 1980, JRSS B 42:109, for the model). A Dirichlet on all shares at once
would say where the thresholds lie as strongly as the persons that it weighs, and site effects, of which few sites say little, would
follow; here the distances say nothing about the place. The caller centres every column of X, so that c_m is that of people at the
mean of the covariates. `ordinal_maximum_likelihood` ignores the priors.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from muscle_bayes.errors import InvalidValueError


@dataclass(frozen=True, eq=False)
class OrdinalProblem:
    """One proportional-odds (mixed) model with its data and priors, as described at the top of this module.

    Parameters
    ----------
    y : (n,) int
        Categories, 0 to K - 1.
    n_categories : int
        K, at least 2; a category may be empty.
    X : (n, p) float
        Centred design without an intercept; p may be 0.
    site : (n,) int or None
        Site of every row, 0 to J - 1; None without a site term.
    n_sites : int
        J; 0 without a site term.
    prior_mean, prior_sd : (p,) float
        Independent normal priors of the coefficients.
    concentration : float
        Of the Dirichlet priors, every category's.
    middle_mean, middle_sd : float
        Normal prior of the middle threshold.
    sd_scale : float
        Scale of the half-normal prior of the site SD.

    Raises
    ------
    InvalidValueError
        Shapes that do not fit together, categories outside 0 to K - 1, or values that are missing.
    """

    y: np.ndarray
    n_categories: int
    X: np.ndarray
    site: np.ndarray | None
    n_sites: int
    prior_mean: np.ndarray
    prior_sd: np.ndarray
    concentration: float = 1.0
    sd_scale: float = 0.5
    middle_mean: float = 0.0
    middle_sd: float = 1.5

    def __post_init__(self) -> None:
        for name in ("X", "prior_mean", "prior_sd"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        object.__setattr__(self, "y", np.ascontiguousarray(self.y, dtype=np.int64))
        n, p = self.X.shape
        _require(self.y.shape == (n,) and n > 0, "y", f"has shape {self.y.shape}, the design has {n} rows")
        inside = int(self.y.min()) >= 0 and int(self.y.max()) < self.n_categories
        _require(self.n_categories >= 2 and inside, "y", f"needs categories 0 to K - 1, K = {self.n_categories}")
        _require(bool(np.isfinite(self.X).all()), "X", "holds missing or infinite values")
        _require(self.prior_mean.shape == (p,), "prior_mean", f"needs one value for each of {p} columns")
        _require(
            self.prior_sd.shape == (p,) and bool((self.prior_sd > 0).all()), "prior_sd", f"needs {p} positive values"
        )
        positive = min(self.concentration, self.sd_scale, self.middle_sd) > 0
        _require(positive, "priors", "need a positive concentration and scales")
        if self.site is not None:
            object.__setattr__(self, "site", np.ascontiguousarray(self.site, dtype=np.int64))
            fits = self.site.shape == (n,) and int(self.site.min()) >= 0 and int(self.site.max()) < self.n_sites
            _require(fits, "site", f"needs {n} values from 0 to {self.n_sites - 1}")
        else:
            _require(self.n_sites == 0, "site", "is missing")

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.X.shape[0]

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return self.X.shape[1]

    @property
    def n_thresholds(self) -> int:
        """Number of thresholds K - 1."""
        return self.n_categories - 1

    @cached_property
    def counts(self) -> np.ndarray:
        """(K,) int: rows in each category."""
        return np.bincount(self.y, minlength=self.n_categories)

    def start(self) -> np.ndarray:
        """Thresholds (K - 1,) that give the categories' shares (half a row added to each) when eta is 0."""
        counts = self.counts + 0.5
        below = np.cumsum(counts)[:-1]
        return np.log(below) - np.log(counts.sum() - below)


def _require(holds: bool, where: str, problem: str) -> None:
    if not holds:
        raise InvalidValueError(where=where, problem=problem, remedy="check how the design was built")
