"""The bias-reduced sandwich against statsmodels, which forms each cluster's leverage matrix whole."""

import numpy as np
import pytest
import statsmodels.api as sm

from muscle_bayes.inference.sandwich import bias_reduced_sandwich


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("exchangeable", [False, True])
def test_equals_statsmodels_mancl_derouen(seed: int, exchangeable: bool) -> None:
    rng = np.random.default_rng(seed)
    clusters = np.sort(rng.integers(0, 6, 300))
    X = np.column_stack([np.ones(300), rng.normal(size=(300, 2)) + 0.3 * rng.normal(size=6)[clusters, None]])
    eta = X @ [-0.5, 0.4, -0.2] + 0.7 * rng.normal(size=6)[clusters]
    y = (rng.random(300) < 1 / (1 + np.exp(-eta))).astype(float)
    structure = sm.cov_struct.Exchangeable() if exchangeable else sm.cov_struct.Independence()
    theirs = sm.GEE(y, X, groups=clusters, family=sm.families.Binomial(), cov_struct=structure).fit(
        cov_type="bias_reduced"
    )
    correlation = float(structure.dep_params) if exchangeable else 0.0
    ours = bias_reduced_sandwich(X, y, clusters, np.asarray(theirs.params), correlation)
    np.testing.assert_allclose(ours, theirs.cov_params(), rtol=1e-8)
