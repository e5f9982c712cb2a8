"""The house style: colours that survive grey, marks and captions, and nothing left behind."""

import sys

import matplotlib as mpl
import numpy as np
import pytest

from muscle_bayes.plots import forest
from muscle_bayes.plots.style import DIVERGING, method_text, new_figure, ratio_ticks, sample_text, write_head


def test_diverging_colours_rise_in_lightness_so_that_grey_keeps_the_order(normal_sight_luminance) -> None:
    luminance = normal_sight_luminance(DIVERGING(np.linspace(0, 1, 101)))
    assert (np.diff(luminance) > 0).all()
    assert luminance[-1] > 10 * luminance[0]


def test_diverging_colours_diverge_for_deuteranopes(normal_sight_luminance) -> None:
    # Viénot, Brettel & Mollon (1999): a deuteranope sees red and green as one; blue against yellow remains.
    low, middle, high = (np.array(DIVERGING(x)[:3]) for x in (0.0, 0.5, 1.0))

    def blue_minus_yellow(rgb):
        return rgb[2] - (0.29 * rgb[0] + 0.71 * rgb[1])

    assert blue_minus_yellow(low) > 0.15
    assert abs(blue_minus_yellow(middle)) < 0.05
    assert blue_minus_yellow(high) < -0.4


def test_ratio_ticks_keep_one_and_their_distance() -> None:
    for low, high in ((0.7, 2.4), (0.95, 1.05), (0.02, 40.0)):
        ticks = ratio_ticks(low, high, 0.1)
        assert 1.0 in ticks
        assert min(ticks) >= low
        assert max(ticks) <= high
        assert (np.diff(np.log(ticks)) >= 0.1 * np.log(high / low) - 1e-12).all()


def test_caption_words() -> None:
    assert sample_text({"n": 27518, "events": 6003, "sites": 5}) == "n = 27,518 (6,003 events), 5 sites"
    assert sample_text({"n": 100, "events": None, "sites": 1}) == "n = 100, 1 site"
    assert method_text({"method": "ml", "interval": 0.95}) == "Maximum likelihood, 95 % Wald interval."
    assert "NUTS" in method_text({"method": "nuts", "interval": 0.9})
    assert "90 %" in method_text({"method": "nuts", "interval": 0.9})
    assert "FAILED" in method_text({"method": "nuts", "converged": False})


@pytest.mark.parametrize(("simulated", "shown"), [(True, True), (False, False)])
def test_simulated_data_are_marked_and_real_ones_are_not(look, simulated: bool, shown: bool) -> None:
    figure = new_figure(85, 40)
    write_head(figure, "Title", {"simulated": simulated}, 85)
    assert ("Simulated data" in look.texts(figure)) is shown


def test_a_figure_has_its_print_size_and_shows_itself() -> None:
    figure = new_figure(85, 50)
    np.testing.assert_allclose(figure.get_size_inches() * 25.4, [85, 50])
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_drawing_leaves_settings_alone_and_opens_nothing(fit) -> None:
    from muscle_bayes.estimands import odds_ratios

    before = dict(mpl.rcParams)
    forest(odds_ratios(fit))
    assert dict(mpl.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []
