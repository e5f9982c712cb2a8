"""The comparison's figure names every source, and cuts nothing off."""

import pandas as pd
import pytest

import muscle_bayes as mb


@pytest.fixture(scope="module")
def compared(small_fit: mb.Fit, small_table: pd.DataFrame) -> pd.DataFrame:
    ml = mb.fit("cbp_interaction", small_table, method="ml")
    return mb.compare({"Bayes": small_fit, "ML": ml}, references=["fixed_site"])


@pytest.mark.parametrize("width_mm", [85, 180])
@pytest.mark.parametrize("show", ["exposures", "all", "sites"])
def test_every_source_has_its_line(compared: pd.DataFrame, show: str, width_mm: float) -> None:
    figure = mb.plots.comparison(compared, show=show, width_mm=width_mm)
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text().strip()]
    words = [text.get_text() for text in texts]
    assert {"Bayes", "ML", "Logit, site fixed", "Simulated data"} <= set(words)
    right = figure.bbox.width
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= right + 1, text.get_text()
