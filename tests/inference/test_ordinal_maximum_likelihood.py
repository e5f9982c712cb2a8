"""Maximum likelihood of ordered outcomes against R's ordinal (clm, clmm), by tests/fixtures/clmm/make.R.

The wine data with random judges are the worked example of the package: temperature 3.063, contact 1.835, SD 1.131, log-likelihood
-81.57 (Christensen, A tutorial on fitting cumulative link mixed models with clmm2 from the ordinal package).
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.ordinal_maximum_likelihood import OrdinalMarginal, ordinal_maximum_likelihood
from muscle_bayes.inference.ordinal_problem import OrdinalProblem

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "clmm"
REFERENCE = json.loads((FOLDER / "reference.json").read_text())


def make_problem(name: str, groups: bool) -> OrdinalProblem:
    d = pd.read_csv(FOLDER / f"{name}.csv")
    g = pd.factorize(d["g"])[0] if groups else None
    return OrdinalProblem(
        d["y"], int(d["y"].max()) + 1, d[["x1", "x2"]], g, int(g.max()) + 1 if groups else 0, np.zeros(2), np.ones(2)
    )


@pytest.mark.parametrize("name", ["wine", "many_groups", "few_groups"])
@pytest.mark.parametrize("groups", [True, False])
def test_equals_clmm(name: str, groups: bool) -> None:
    theirs = REFERENCE[name]["clmm" if groups else "clm"]
    ours = ordinal_maximum_likelihood(make_problem(name, groups))
    se = np.array(theirs["se"])
    estimate = np.concatenate([ours.thresholds, ours.coefficients])
    expected = np.concatenate([theirs["thresholds"], theirs["coefficients"]])
    assert ours.converged
    assert ours.log_likelihood > theirs["log_likelihood"] - 1e-4
    assert np.abs(estimate - expected).max() < 0.005 * se.min()
    # clmm differentiates numerically, so that its standard errors carry about three digits.
    np.testing.assert_allclose(np.sqrt(np.diag(ours.covariance)), se, rtol=2e-3)
    if groups:
        assert ours.sd == pytest.approx(theirs["sd"], abs=1e-3)


def test_gradient_is_that_of_the_log_likelihood() -> None:
    problem = make_problem("many_groups", True)
    marginal = OrdinalMarginal(problem)
    x = np.concatenate([[0.6], problem.start() + 0.1, [0.3, -0.2]])
    h = 1e-5
    numeric = [
        (marginal.value_and_gradient(x + s)[0] - marginal.value_and_gradient(x - s)[0]) / (2 * h)
        for s in np.eye(len(x)) * h
    ]
    np.testing.assert_allclose(marginal.value_and_gradient(x)[1], numeric, atol=1e-4)


def test_no_spread_between_groups_is_said_as_zero() -> None:
    """Groups that are alike: the estimate is 0, the p-value of the half-half mixture 1, and the rest is that of no groups."""
    d = pd.read_csv(FOLDER / "wine.csv")
    twice = pd.concat([d, d], ignore_index=True)
    site = np.repeat([0, 1], len(d))
    problem = OrdinalProblem(twice["y"], 5, twice[["x1", "x2"]], site, 2, np.zeros(2), np.ones(2))
    found = ordinal_maximum_likelihood(problem)
    assert found.sd == 0
    assert found.sd_p_value == 1
    np.testing.assert_allclose(found.coefficients, REFERENCE["wine"]["clm"]["coefficients"], atol=1e-4)


def test_what_has_no_maximum_is_refused() -> None:
    X = np.column_stack([np.arange(6.0), np.arange(6.0) % 2])
    with pytest.raises(InvalidValueError, match="nobody is in it"):
        ordinal_maximum_likelihood(OrdinalProblem([0, 0, 1, 1, 3, 3], 4, X, None, 0, np.zeros(2), np.ones(2)))
    doubled = np.column_stack([X[:, 0], 2 * X[:, 0]])
    with pytest.raises(InvalidValueError, match="linear combination"):
        ordinal_maximum_likelihood(OrdinalProblem([0, 1, 0, 1, 2, 2], 3, doubled, None, 0, np.zeros(2), np.ones(2)))
    separated = ordinal_maximum_likelihood(
        OrdinalProblem([0, 0, 1, 1, 2, 2], 3, X[:, :1], None, 0, np.zeros(1), np.ones(1))
    )
    assert not separated.converged
