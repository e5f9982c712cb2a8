"""Proportionality: Brant's test against R's car, and findings where the truth is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.proportional_odds_test import proportional_odds_test

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "clmm"


def test_equals_brants_test_of_car() -> None:
    """Statistic of each predictor and coefficients of each cut of car::poTest (tests/fixtures/clmm/make.R)."""
    d = pd.read_csv(FOLDER / "few_groups.csv")
    theirs = json.loads((FOLDER / "reference.json").read_text())["few_groups"]["brant"]
    test = proportional_odds_test(d[["x1", "x2"]].to_numpy(), d["y"].to_numpy(), range(1, 11))
    np.testing.assert_allclose(test.coefficients.T, theirs["coefficients"], atol=1e-6)
    for column, chisq in enumerate(theirs["chisq"]):
        chi2, df, p = test.wald([column])
        assert (chi2, df) == (pytest.approx(chisq, rel=1e-6), theirs["df"])
        assert 0 < p < 1


def test_covariance_of_the_cuts_is_that_of_the_stacked_scores() -> None:
    """Brant's formula against the sandwich of the observed scores, which converge where the cuts are right.

    20,000 people: the sandwich's own error is about 1.5 % of an entry's scale, five of them are allowed.
    """
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.normal(size=20_000), rng.random(20_000) < 0.4])
    y = ((X @ [0.5, -0.4] + rng.logistic(size=20_000))[:, None] > [-0.5, 0.5, 1.5]).sum(axis=1)
    test = proportional_odds_test(X, y, [1, 2, 3])
    whole = np.column_stack([np.ones(len(X)), X])
    scores = []
    for cut, beta in zip((1, 2, 3), test.coefficients, strict=True):
        happened = (y >= cut).astype(float)
        intercept = 0.0
        for _ in range(50):
            p = 1 / (1 + np.exp(-(intercept + X @ beta)))
            intercept += (happened - p).sum() / (p * (1 - p)).sum()
        inverse = np.linalg.inv(whole.T @ ((p * (1 - p))[:, None] * whole))
        scores.append((happened - p)[:, None] * whole @ inverse)
    stacked = np.column_stack([score[:, 1:] for score in scores])
    sandwich = stacked.T @ stacked
    scale = np.sqrt(np.outer(np.diag(sandwich), np.diag(sandwich)))
    assert np.abs((test.covariance - sandwich) / scale).max() < 0.075


def model() -> mb.Model:
    return mb.Model(
        formula="pain ~ x_z + w",
        family="cumulative",
        outcome="Pain",
        standardise={"x_z": {"from": "x"}},
        exposures={"x_z": {}, "w": {}},
    )


def people(n: int, slope: tuple[float, float, float]) -> pd.DataFrame:
    """Answers 0 to 3; the log odds of reaching a category given the one below move with x by `slope`."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=n), rng.integers(2, size=n)
    pain = np.zeros(n)
    noise = rng.logistic(size=n)
    for k, (b, cut) in enumerate(zip(slope, (-0.5, 0.5, 1.5), strict=True), 1):
        pain = np.where(b * x + 0.3 * w + noise > cut, k, pain)
    table = pd.DataFrame({"pain": pain, "x": x, "w": w})
    table.attrs["simulated"] = True
    return table


@pytest.fixture(scope="module")
def proportional() -> pd.DataFrame:
    return mb.proportionality(mb.fit(model(), people(4_000, (0.5, 0.5, 0.5)), method="ml"), draws=400)


def test_proportional_odds_are_found_proportional(proportional: pd.DataFrame) -> None:
    """Each cut's odds ratio is exp(2 x 0.5) per 2 Z; the chance of p < 0.001 under the truth is 1 in 1,000."""
    rows = proportional[(proportional["term"] == "x_z") & (proportional["cut"] != "")]
    assert rows["threshold"].tolist() == [">= 1", ">= 2", ">= 3"]
    assert (rows["note"] == "").all()
    error = np.log(rows["upper"] / rows["lower"]) / 3.92
    assert (np.abs(np.log(rows["estimate"]) - 1.0) < 4 * error).all()
    assert proportional["brant_p"].min() > 0.001
    assert rows["brant_df"].eq(2).all()
    assert len(proportional.attrs["findings"]) == 2


def test_cuts_that_differ_are_said_with_their_size() -> None:
    """Slopes of 0.1, 0.5 and 0.9: odds ratios per 2 Z from 1.2 to 6, where one stands for none."""
    table = people(4_000, (0.1, 0.5, 0.9))
    frame = mb.proportionality(mb.fit(model(), table, method="ml"), terms=["x_z"], draws=400)
    (said,) = frame.attrs["findings"]
    assert "p < 0.001" in said
    assert "One odds ratio does not stand for the whole scale" in said
    rows = frame[frame["cut"] != ""]
    assert rows["estimate"].is_monotonic_increasing
    assert frame["estimate"].iloc[0] == pytest.approx(np.exp(2 * 0.35), rel=0.35)


def test_figure_shows_every_cut_once(proportional: pd.DataFrame) -> None:
    for width in (180, 85):
        figure = mb.plots.proportionality(proportional, width_mm=width)
        text = [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
        assert sum(t.startswith("3 or more") for t in text) == 1
        assert sum(t == "Simulated data" for t in text) == 1
        assert "Brant's test" in " ".join(" ".join(text).split())


def test_events_have_one_cut_only(small_fit: mb.Fit) -> None:
    with pytest.raises(EstimandError, match="one cut only"):
        mb.proportionality(small_fit)
