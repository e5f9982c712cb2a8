"""Risks and interaction are drawn where their frames say, and nothing overlaps in print."""

from itertools import pairwise

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


def test_every_level_of_a_category_is_drawn_against_the_one_reference(look, fit) -> None:
    result = risks(fit, terms=["activity"], by="sex")
    for width in (85, 180):
        figure = draw_risks(result, width_mm=width)
        assert look.overlapping(figure) == []
        levels, between = figure.axes
        dots = [(line.get_mfc(), line.get_xdata()[0]) for line in levels.lines if line.get_marker() == "o"]
        squares = [line.get_xdata()[0] for line in between.lines if line.get_marker() == "s"]
        differences = result[result["estimand"] == "cases per 1,000"]
        # Two levels, each in women, men and everyone.
        assert len(squares) == len(differences) == 6
        np.testing.assert_allclose(sorted(squares), sorted(differences["estimate"]))
        open_, filled = ([x for face, x in dots if (face == "white") == hollow] for hollow in (True, False))
        known = result[result["estimand"] == "risk"]
        np.testing.assert_allclose(sorted(set(open_)), sorted(100 * known[known["level"] == "low"]["estimate"]))
        # In each line the dots lie as far apart as its difference says: the medians of draws differ by little.
        np.testing.assert_allclose(10 * (np.array(filled) - np.array(open_)), squares, atol=1.0)


def test_tick_labels_leave_room_for_each_other(look, crossed) -> None:
    """A long number at the right leaves little room for the panels of one column."""
    long = crossed.copy()
    long.attrs = crossed.attrs
    long["text"] = long["text"].where(
        long["estimand"] != "RERI", "\N{MINUS SIGN}0.1234 (\N{MINUS SIGN}0.2345 to 0.1234)"
    )
    figure = draw_interaction(long, width_mm=85)
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
        assert len(boxes) >= 2
        millimetre = figure.dpi / 25.4
        assert all(b.x0 - a.x1 > 0.8 * millimetre for a, b in pairwise(boxes))


def test_a_refusal_names_the_exposure_and_is_told_once(look, fit) -> None:
    # High LMM as exposed: it protects, in risks and in odds ratios with different probabilities.
    result = interaction(fit, levels={"lmm_z": (-1, 1)})
    caption = " ".join(" ".join(look.texts(draw_interaction(result))).split())
    assert caption.count("AP and S") == 1
    assert "AP and S of standardised risks are refused: LMM = 1 Z alone protects" in caption


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
