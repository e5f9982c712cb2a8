"""The prior predictive figure shows the numbers of its frame, and says that the data are simulated."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from muscle_bayes.estimands.prior_predictive import prior_predictive
from muscle_bayes.plots.prior_predictive import prior_predictive as draw


@pytest.fixture(scope="module")
def result(small_table: pd.DataFrame) -> pd.DataFrame:
    return prior_predictive("cbp_interaction", small_table)


@pytest.mark.parametrize("width", [85, 180])
def test_figure(result: pd.DataFrame, width: float, look) -> None:
    figure = draw(result, width_mm=width)
    words = look.texts(figure)
    assert words.count("Simulated data") == 1
    assert any("no outcome used" in text.replace("\n", " ") for text in words)
    assert any(text.startswith("Physical activity") for text in words)
    assert look.overlapping(figure) == []


def test_bars_are_the_histogram(result: pd.DataFrame) -> None:
    ax = Figure().add_subplot()
    assert isinstance(draw(result, ax), Axes)
    heights = np.array([bar.get_height() for bar in ax.patches])
    np.testing.assert_allclose(heights, np.array(result.attrs["prevalence"]["counts"]) / 20)
    line = next(line for line in ax.lines if line.get_color() == "#D55E00")
    assert line.get_xdata()[0] == pytest.approx(100 * result.attrs["observed_prevalence"])
    assert "Simulated data" in [text.get_text() for text in ax.texts]


def test_a_model_without_predictors(small_table: pd.DataFrame) -> None:
    import muscle_bayes as mb

    figure = draw(prior_predictive(mb.Model(formula="cbp ~ 1 + (1|site)"), small_table))
    assert len(figure.findobj(Axes)) == 1


def test_shares_of_an_ordered_outcome_and_what_was_observed(small_table: pd.DataFrame) -> None:
    result = prior_predictive("pain_ordinal", small_table, draws=200)
    figure = draw(result)
    shares = next(ax for ax in figure.findobj(Axes) if ax.get_xlabel() == "Persons (%)")
    observed = next(line for line in shares.lines if line.get_marker() == "o")
    nrs = small_table["pain_nrs"].to_numpy()
    np.testing.assert_allclose(observed.get_xdata(), [100 * (nrs >= k).mean() for k in range(1, 11)])
    assert [label.get_text() for label in shares.get_yticklabels()] == [f"{k} or higher" for k in range(1, 11)]
