"""Sandwich covariances of estimating equations with few clusters, corrected for their bias.

With few clusters the plain sandwich is too small: each cluster's residuals are drawn towards a fit that the cluster itself
helped to make. Mancl and DeRouen (2001, Biometrics 57:126-134) undo that pull: the residuals r_i of cluster i are replaced by
(I - H_i)^-1 r_i, with H_i = D_i B D_i' V_i^-1 its leverage. That matrix is as large as the cluster; the score it leads to is
not, since D_i' V_i^-1 (I - H_i)^-1 r_i = (I - M_i B)^-1 U_i with U_i = D_i' V_i^-1 r_i and M_i = D_i' V_i^-1 D_i (the push-through
identity). So a cluster of any size costs a solve with as many unknowns as there are coefficients.
"""

import numpy as np


def bias_reduced_sandwich(
    X: np.ndarray, y: np.ndarray, clusters: np.ndarray, coefficients: np.ndarray, correlation: float = 0.0
) -> np.ndarray:
    """Bias-reduced sandwich covariance of a logistic regression's coefficients by estimating equations.

    Parameters
    ----------
    X : numpy.ndarray, shape (n, q)
        Design with the intercept.
    y : numpy.ndarray, shape (n,)
        0 or 1.
    clusters : numpy.ndarray, shape (n,) of int
        0 to J - 1.
    coefficients : numpy.ndarray, shape (q,)
        Solution of the estimating equations.
    correlation : float
        Exchangeable working correlation within clusters; 0 is independence.

    Returns
    -------
    numpy.ndarray, shape (q, q)
        The covariance of Mancl and DeRouen (2001).

    Raises
    ------
    numpy.linalg.LinAlgError
        Where a single cluster determines a coefficient, so that its leverage is 1.
    """
    probability = 1 / (1 + np.exp(-(X @ coefficients)))
    root = np.sqrt(probability * (1 - probability))
    # With V = A^1/2 R A^1/2 and D = A X: whitened columns A^1/2 X and Pearson residuals, between them only R^-1.
    columns, residuals = X * root[:, None], (y - probability) / root
    informations, scores = [], []
    for cluster in range(int(clusters.max()) + 1):
        own = clusters == cluster
        size = int(own.sum())
        inside, left = columns[own], residuals[own]
        # R^-1 = (I - share 11') / (1 - correlation) for an exchangeable R.
        share = correlation / (1 + (size - 1) * correlation)
        total = inside.sum(axis=0)
        informations.append((inside.T @ inside - share * np.outer(total, total)) / (1 - correlation))
        scores.append((inside.T @ left - share * total * left.sum()) / (1 - correlation))
    bread = np.linalg.inv(np.sum(informations, axis=0))
    identity = np.eye(X.shape[1])
    corrected = [np.linalg.solve(identity - M @ bread, U) for M, U in zip(informations, scores, strict=True)]
    return bread @ sum(np.outer(U, U) for U in corrected) @ bread
