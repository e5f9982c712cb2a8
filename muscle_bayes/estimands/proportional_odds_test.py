"""Brant's test: whether the coefficients of all cuts of an ordered outcome may be the same.

Each cut "category k or higher" is fitted by logistic regression; the estimates of different cuts are correlated, since the same
people answer all of them, with covariance (X'W_j X)^-1 X'W_jk X (X'W_k X)^-1, W_jk = P_k (1 - P_j) for j < k (Brant 1990,
Biometrics 46:1171). Wald's statistic of equal coefficients is chi-square if the odds are proportional.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from muscle_bayes.errors import EstimandError

_STEPS = 50


@dataclass(frozen=True)
class ProportionalOddsTest:
    """Coefficients of each cut with their joint covariance.

    Parameters
    ----------
    coefficients : (m, p)
        One row a cut, without the intercept.
    covariance : (m * p, m * p)
        Cut after cut.
    """

    coefficients: np.ndarray
    covariance: np.ndarray

    def wald(self, columns: Sequence[int]) -> tuple[float, int, float]:
        """Test that these coefficients are the same at every cut.

        Parameters
        ----------
        columns : sequence of int
            Which of the p.

        Returns
        -------
        chi2 : float
            Wald's statistic.
        df : int
            Its degrees of freedom.
        p_value : float
            Upper tail probability.
        """
        m, p = self.coefficients.shape
        rows = []
        for cut in range(1, m):
            for column in columns:
                row = np.zeros(m * p)
                row[column], row[cut * p + column] = 1.0, -1.0
                rows.append(row)
        contrast = np.array(rows)
        difference = contrast @ self.coefficients.ravel()
        chi2 = float(difference @ np.linalg.solve(contrast @ self.covariance @ contrast.T, difference))
        return chi2, len(rows), float(chdtrc(len(rows), chi2))


def proportional_odds_test(X: np.ndarray, codes: np.ndarray, cuts: Sequence[int]) -> ProportionalOddsTest:
    """Fit every cut by maximum likelihood and find the joint covariance of the estimates.

    Parameters
    ----------
    X : (n, p)
        Design without an intercept; fixed effects of sites among its columns where there are sites.
    codes : (n,) int
        Categories from 0.
    cuts : sequence of int
        At least two; cut k splits ``codes >= k`` from the rest.

    Returns
    -------
    ProportionalOddsTest
        For Wald tests of single predictors or of all.

    Raises
    ------
    EstimandError
        Where a cut has no finite estimate (separation).
    """
    n, p = X.shape
    whole = np.column_stack([np.ones(n), X])
    coefficients, probabilities, inverses = [], [], []
    for cut in cuts:
        beta, probability, inverse = _logit(whole, (codes >= cut).astype(float), cut)
        coefficients.append(beta[1:])
        probabilities.append(probability)
        inverses.append(inverse)
    m = len(coefficients)
    covariance = np.empty((m * p, m * p))
    for j in range(m):
        for k in range(j, m):
            # Of cuts j <= k: the higher event lies inside the lower one.
            weight = probabilities[k] * (1 - probabilities[j])
            block = (inverses[j] @ (whole.T @ (weight[:, None] * whole)) @ inverses[k])[1:, 1:]
            covariance[j * p : (j + 1) * p, k * p : (k + 1) * p] = block
            covariance[k * p : (k + 1) * p, j * p : (j + 1) * p] = block.T
    return ProportionalOddsTest(np.array(coefficients), covariance)


def _logit(X: np.ndarray, y: np.ndarray, cut: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maximum likelihood of one logistic regression: coefficients, probabilities, inverse information."""
    beta = np.zeros(X.shape[1])
    beta[0] = np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5))
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(X @ beta, -500, 500)))
        information = X.T @ ((probability * (1 - probability))[:, None] * X)
        score = X.T @ (y - probability)
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:
            break
        # A far step overshoots; the log-likelihood is concave, so that shorter ones get there.
        beta = beta + step / max(1.0, float(np.abs(step).max()) / 3)
        if np.abs(step).max() < 1e-9 and np.abs(beta).max() < 30:
            return beta, probability, np.linalg.inv(information)
    raise EstimandError(
        f"cut {cut}", "maximum likelihood has no finite estimate there (separation)", "Leave this cut out"
    )
