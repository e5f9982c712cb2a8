"""The forest plot shows the numbers of its frame."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from muscle_bayes.estimands import odds_ratios
from muscle_bayes.plots import forest
from muscle_bayes.plots.style import GREY, INK


@pytest.fixture(scope="module")
def result(fit):
    return odds_ratios(fit)


def rows_of(ax):
    """Intervals and estimates as drawn: (lower, upper, colour) and (estimate, colour), from top to bottom."""
    lines = [line for line in ax.lines if len(line.get_ydata()) in (1, 2) and line.get_ydata()[0] not in (0, 1)]
    segments = [
        (x[0], x[1], to_hex(line.get_color()), line.get_ydata()[0]) for line in lines if len(x := line.get_xdata()) == 2
    ]
    points = [(line.get_xdata()[0], to_hex(line.get_color())) for line in lines if line.get_marker() == "s"]
    return [s[:3] for s in sorted(segments, key=lambda s: s[3])], points


def test_intervals_and_estimates_lie_where_the_frame_says(result) -> None:
    ax = forest(result).axes[0]
    assert ax.get_xscale() == "log"
    segments, points = rows_of(ax)
    np.testing.assert_allclose([s[:2] for s in segments], result[["lower", "upper"]])
    np.testing.assert_allclose([p[0] for p in points], result["estimate"])
    low, high = ax.get_xlim()
    assert low < result["lower"].min()
    assert high > result["upper"].max()


def test_adjustment_terms_are_grey_apart_and_named_as_no_effects(look, result) -> None:
    figure = forest(result)
    segments, _ = rows_of(figure.axes[0])
    expected = [INK if role == "exposure" else GREY for role in result["role"]]
    assert [s[2] for s in segments] == expected
    shown = look.texts(figure)
    assert "Adjustment terms, not effects" in shown
    assert "Table 2 fallacy" in " ".join(shown).replace("\n", " ")
    only = look.texts(forest(result[result["role"] == "exposure"]))
    assert "Adjustment terms, not effects" not in only


def test_numbers_axis_caption_and_mark(look, result) -> None:
    shown = look.texts(forest(result))
    for text in result["text"]:
        assert text in shown
    assert "Odds ratio (log scale)" in shown
    assert "OR (95 % interval)" in shown
    assert "Simulated data" in shown
    assert any("n = 2,000 (436 events), 3 sites" in t for t in shown)
    assert any("per 2 Z (2 SD = 4.8 %) at LMM = 0 Z" in t for t in shown)


@pytest.mark.parametrize("width", [85, 180])
def test_nothing_overlaps_in_print(look, result, width: int) -> None:
    figure = forest(result, width_mm=width)
    assert figure.get_figwidth() * 25.4 == pytest.approx(width)
    assert look.overlapping(figure) == []


def test_into_a_readers_own_axes(result) -> None:
    mine = Figure(figsize=(7, 4)).add_subplot()
    assert forest(result, ax=mine) is mine
    assert mine.get_title(loc="left") == "Chronic back pain"
    assert any(t.get_text() == "Simulated data" for t in mine.texts)
    real = result.copy()
    real.attrs = {**result.attrs, "simulated": False}
    other = forest(real, ax=Figure().add_subplot())
    assert not any(t.get_text() == "Simulated data" for t in other.texts)
