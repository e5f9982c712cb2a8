"""Figures of smooth terms: the curve, surfaces side by side, folded axes of a nomogram."""

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import InvalidValueError
from muscle_bayes.plots import curve, nomogram, surface

MODEL = mb.Model(
    formula="cbp ~ surface(intermat_z, lmm_z, df=2) + ns(sqrt(activity_met_min_week), df=4, bend=1) * sex"
    " + log1p(age_years) + (1|site)",
    levels={"sex": ["female", "male"]},
    standardise={"intermat_z": {"from": "intermat_percent"}, "lmm_z": {"from": "lmm_cm3_per_kg_m2"}},
    exposures={
        "intermat_z": {},
        "lmm_z": {"adverse": "low"},
        "activity_met_min_week": {"levels": [2000, 250, 7000]},
    },
)


@pytest.fixture(scope="module")
def smooth_fit(small_table: pd.DataFrame) -> mb.Fit:
    return mb.fit(MODEL, small_table, method="ml", seed=1)


@pytest.mark.parametrize("width_mm", [85.0, 180.0])
def test_curve_draws_its_frame_and_nothing_overlaps(smooth_fit: mb.Fit, look, width_mm: float) -> None:
    frame = mb.odds_ratio_curve(smooth_fit, "activity_met_min_week")
    figure = curve(frame, width_mm=width_mm)
    ax = figure.axes[0]
    line = next(line for line in ax.lines if len(line.get_xdata()) == len(frame))
    np.testing.assert_allclose(line.get_ydata(), frame["estimate"])
    np.testing.assert_allclose(line.get_xdata(), frame["value"])
    dot = next(line for line in ax.lines if line.get_marker() == "o")
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (2000, 1)
    words = look.texts(figure)
    assert "Physical activity (MET-min/week, square-root scale)" in words
    assert "Simulated data" in words
    assert any("n = 2,000" in text for text in words)
    assert not look.overlapping(figure)


def test_area_above_the_curve_is_the_share_of_persons(smooth_fit: mb.Fit) -> None:
    frame = mb.odds_ratio_curve(smooth_fit, "activity_met_min_week")
    patch = curve(frame).axes[1].patches[0].get_data()
    edges = np.sqrt(patch.edges)
    counted = frame.attrs["distribution"]
    share = np.array(counted["density"]) * np.diff(counted["edges"])
    np.testing.assert_allclose(patch.values * np.diff(edges), share, atol=1e-12)


@pytest.fixture(scope="module")
def both(smooth_fit: mb.Fit, small_table: pd.DataFrame) -> pd.DataFrame:
    linear = mb.fit("cbp_interaction", small_table, method="ml")
    return mb.odds_ratio_surface([linear, smooth_fit], grid=0.5)


@pytest.mark.parametrize(("width_mm", "panels"), [(85.0, 2), (180.0, 4)])
def test_surfaces_side_by_side_share_colours_and_hatching(
    both: pd.DataFrame, look, width_mm: float, panels: int
) -> None:
    figure = surface(both, width_mm=width_mm)
    shown = [ax for ax in figure.axes if ax.get_xlabel() == "InterMAT (Z)"]
    odds = [ax for ax in shown if ax.collections[0].norm.vmin > 0]
    norms = {(ax.collections[0].norm.vmin, ax.collections[0].norm.vmax) for ax in odds}
    assert (len(shown), len(odds), len(norms)) == (2, 2, 1)  # maximum likelihood has no panel of probabilities
    words = look.texts(figure)
    assert {"Linear with interaction: odds ratio", "Smooth: odds ratio"} <= set(words)
    # "a", "b" and the headings stand close together on purpose; nothing else may touch.
    assert not [pair for pair in look.overlapping(figure) if "leaves the figure" in pair]


def test_surfaces_of_several_models_need_a_figure(both: pd.DataFrame) -> None:
    from matplotlib.figure import Figure

    with pytest.raises(InvalidValueError, match="need a panel each"):
        surface(both, ax=Figure().add_subplot())


@pytest.mark.parametrize("width_mm", [85.0, 180.0])
def test_an_axis_that_turns_goes_on_in_the_next_line(smooth_fit: mb.Fit, look, width_mm: float) -> None:
    made = mb.nomogram(smooth_fit)
    figure = nomogram(made, width_mm=width_mm)
    assert any("An axis that turns goes on in the next line." in text.replace("\n", " ") for text in look.texts(figure))
    assert not [pair for pair in look.overlapping(figure) if "leaves the figure" in pair]
