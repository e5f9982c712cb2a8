"""The maximum of the marginal likelihood: what the engine `ml` gives in place of draws."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Maximum:
    """The maximum of the marginal likelihood.

    Attributes
    ----------
    coefficients : numpy.ndarray, shape (1 + p,)
        The intercept of the columns as they are, then the coefficients.
    covariance : numpy.ndarray, shape (1 + p, 1 + p)
        Their Wald covariance.
    sds : tuple of float
        For each of `Recipe.varying`, the standard deviation of its effects.
    effects : tuple of numpy.ndarray, shape (J,)
        For each of them, the conditional modes.
    log_likelihood : float
        Marginal, by the Laplace approximation (as lme4's default).
    site : int or None
        Which of them is the random intercept of the site.
    thresholds : numpy.ndarray, shape (K - 1,), optional
        Of an ordered outcome, of the columns as they are; its intercept is 0.
    joint_covariance : numpy.ndarray, shape (K - 1 + p, K - 1 + p), optional
        Of thresholds and coefficients.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    sds: tuple[float, ...]
    effects: tuple[np.ndarray, ...]
    log_likelihood: float
    site: int | None = None
    thresholds: np.ndarray | None = None
    joint_covariance: np.ndarray | None = None

    @property
    def site_sd(self) -> float | None:
        """Standard deviation of the site effects; None without a random intercept of the site."""
        return None if self.site is None else self.sds[self.site]

    @property
    def site_effects(self) -> np.ndarray:
        """Conditional modes of the site effects, shape (J,); empty without a random intercept of the site."""
        return np.empty(0) if self.site is None else self.effects[self.site]
