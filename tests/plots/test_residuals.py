"""Figures of residuals and of left-out sites show the numbers of their frames."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import muscle_bayes as mb
from muscle_bayes.estimands import residuals
from muscle_bayes.plots import leave_one_site_out as draw_sites
from muscle_bayes.plots import residuals as draw_residuals
from muscle_bayes.plots.style import ORANGE


@pytest.fixture(scope="module")
def binned(fit) -> pd.DataFrame:
    return residuals(fit, by="sex", bins=10, draws=500)


@pytest.fixture(scope="module")
def sites(small_table: pd.DataFrame) -> pd.DataFrame:
    return mb.leave_one_site_out(mb.fit("cbp_main", small_table, method="laplace", seed=1), replicates=100)


def test_dots_and_lines_are_the_bins_of_the_frame(binned: pd.DataFrame) -> None:
    figure = draw_residuals(binned)
    own = binned[
        (binned["term"] == "intermat_percent") & (binned["group"] == "all") & (binned["estimand"] == "residual")
    ]
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    x = np.sort(np.concatenate([d.get_xdata() for d in dots]))
    np.testing.assert_allclose(x, np.sort(own["value"]))
    by_colour = {to_hex(d.get_mec()): len(d.get_xdata()) for d in dots}
    assert by_colour.get(ORANGE.lower(), 0) == own["outside"].sum()
    y = np.sort(np.concatenate([d.get_ydata() for d in dots]))
    np.testing.assert_allclose(y, np.sort(100 * own["estimate"]))
    # A row for everyone and each sex, a column for each exposure and age.
    assert len(figure.axes) == 9


def test_sites_show_their_curve_and_their_numbers(look, sites: pd.DataFrame) -> None:
    figure = draw_sites(sites)
    groups = list(sites.attrs["forecasts"])
    assert groups[0] == "all"
    assert len(figure.axes) == len(groups) + 4
    intercepts = sites[sites["estimand"] == "calibration intercept"].set_index("group")["estimate"]
    strip = next(ax for ax in figure.axes if ax.get_title(loc="left") == "Calibration intercept")
    drawn = [line.get_xdata()[0] for line in strip.lines if line.get_marker() == "s"]
    np.testing.assert_allclose(drawn, [*(intercepts[g] for g in groups if g != "all"), intercepts["all"]])
    prevalence = sites[sites["estimand"] == "replicated prevalence"]
    strip = next(ax for ax in figure.axes if ax.get_title(loc="left") == "Prevalence (%)")
    observed = [line.get_xdata()[0] for line in strip.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(observed, 100 * prevalence["observed"])
    assert "Simulated data" in look.texts(figure)


@pytest.mark.parametrize("width", [85, 180])
def test_nothing_overlaps_in_print(look, binned: pd.DataFrame, sites: pd.DataFrame, width: int) -> None:
    for figure in (draw_residuals(binned, width_mm=width), draw_sites(sites, width_mm=width)):
        assert figure.get_figwidth() * 25.4 == pytest.approx(width)
        assert look.overlapping(figure) == []


def test_into_a_readers_own_axes(binned: pd.DataFrame) -> None:
    mine = Figure(figsize=(5, 5)).add_subplot()
    assert draw_residuals(binned, ax=mine, term="age_years", group="female") is mine
    assert mine.get_xlabel() == "Age (years)"
