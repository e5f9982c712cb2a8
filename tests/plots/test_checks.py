"""Figures of the checks of a model show the numbers of their frames."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from muscle_bayes.estimands import calibration, posterior_predictive
from muscle_bayes.plots import calibration as draw_calibration
from muscle_bayes.plots import posterior_predictive as draw_check
from muscle_bayes.plots.style import ORANGE


@pytest.fixture(scope="module")
def check(fit):
    return posterior_predictive(fit, draws=500)


@pytest.fixture(scope="module")
def curves(fit):
    return calibration(fit, by="site", replicates=100)


def test_observed_dots_and_intervals_lie_where_the_frame_says(check) -> None:
    one = check.copy()
    one.loc[2, "outside"] = True
    ax = draw_check(one).axes[0]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([d.get_xdata()[0] for d in dots], 100 * check["observed"])
    segments = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(segments, 100 * check[["lower", "upper"]])
    assert [i for i, d in enumerate(dots) if to_hex(d.get_mec()) == ORANGE.lower()] == [*np.flatnonzero(one["outside"])]


def test_curve_band_and_numbers_are_those_of_each_group(look, curves) -> None:
    figure = draw_calibration(curves)
    groups = list(dict.fromkeys(curves["group"]))
    assert len(figure.axes) == len(groups) == 4
    for ax, group in zip(figure.axes, groups, strict=True):
        own = curves[(curves["group"] == group) & (curves["estimand"] == "calibration curve")]
        drawn = next(line for line in ax.lines if len(line.get_xdata()) == len(own))
        np.testing.assert_allclose(drawn.get_ydata(), 100 * own["estimate"])
    shown = " ".join(look.texts(figure))
    assert "Observed (%)" in shown
    assert "Probability given (%)" in shown
    assert "Simulated data" in shown


@pytest.mark.parametrize("width", [85, 180])
def test_nothing_overlaps_in_print(look, check, curves, width: int) -> None:
    for figure in (draw_check(check, width_mm=width), draw_calibration(curves, width_mm=width)):
        assert figure.get_figwidth() * 25.4 == pytest.approx(width)
        assert look.overlapping(figure) == []


def test_into_a_readers_own_axes(check, curves) -> None:
    for draw, result in ((draw_check, check), (draw_calibration, curves)):
        mine = Figure(figsize=(5, 5)).add_subplot()
        assert draw(result, ax=mine) is mine
        assert any(t.get_text() == "Simulated data" for t in mine.texts)
