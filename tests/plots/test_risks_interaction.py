"""Risks and interaction are drawn where their frames say, and nothing overlaps in print."""

import numpy as np
import pytest

from muscle_bayes.estimands import interaction, risks
from muscle_bayes.plots import interaction as draw_interaction
from muscle_bayes.plots import risks as draw_risks


@pytest.fixture(scope="module")
def standardised(fit):
    return risks(fit, by="sex")


@pytest.fixture(scope="module")
def crossed(fit):
    return interaction(fit)


def test_dots_lie_at_the_risks_and_squares_at_the_differences(standardised) -> None:
    levels, between = draw_risks(standardised).axes
    dots = sorted(line.get_xdata()[0] for line in levels.lines if line.get_marker() == "o")
    known = standardised[standardised["estimand"] == "risk"]["estimate"]
    np.testing.assert_allclose(dots, sorted(100 * known))
    squares = sorted(line.get_xdata()[0] for line in between.lines if line.get_marker() == "s")
    known = standardised[standardised["estimand"] == "cases per 1,000"]["estimate"]
    np.testing.assert_allclose(squares, sorted(known))


def test_cells_and_measures_lie_where_the_frame_says(crossed) -> None:
    cells, additive, _ = draw_interaction(crossed).axes
    drawn = [line.get_xdata()[0] for line in cells.lines if line.get_marker() == "s"]
    np.testing.assert_allclose(drawn, 100 * crossed[crossed["estimand"] == "risk"]["estimate"])
    drawn = [line.get_xdata()[0] for line in additive.lines if line.get_marker() == "s"]
    known = crossed[crossed["estimand"].isin(["RERI", "AP"])]["estimate"].dropna()
    np.testing.assert_allclose(drawn, known)


@pytest.mark.parametrize("width", [85, 180])
def test_nothing_overlaps_in_print(look, standardised, crossed, width: int) -> None:
    for figure in (draw_risks(standardised, width_mm=width), draw_interaction(crossed, width_mm=width)):
        assert figure.get_figwidth() * 25.4 == pytest.approx(width)
        assert look.overlapping(figure) == []
        assert "Simulated data" in look.texts(figure)
        assert any("n = " in words for words in look.texts(figure))
