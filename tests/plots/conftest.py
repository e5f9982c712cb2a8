"""Results to draw: estimands of the fit whose coefficients the estimands' tests know."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

_SPEC = importlib.util.spec_from_file_location("known_fit", Path(__file__).parents[1] / "estimands" / "conftest.py")
known_fit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(known_fit)
make_fit = known_fit.make_fit
fit = known_fit.fit


def texts(figure) -> list[str]:
    """Every text that a figure shows, ticks included."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return [t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def overlapping(figure, ignore=()) -> list[tuple[str, str]]:
    """Pairs of visible texts whose boxes overlap by more than a hair, and texts that leave the figure."""
    from matplotlib.text import Text

    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    shown = []
    for text in figure.findobj(Text):
        # Ticks that lie outside an Axes' view exist but are not drawn: they have an empty window extent or are clipped.
        if not text.get_visible() or not text.get_text().strip() or text.get_text() in ignore:
            continue
        shown.append((text.get_text(), text.get_window_extent(renderer), text.get_rotation() % 90))
    width, height = figure.canvas.get_width_height()
    bad = []
    for i, (a, box, _) in enumerate(shown):
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            bad.append((a, "leaves the figure"))
        for b, other, _ in shown[:i]:
            dx = min(box.x1, other.x1) - max(box.x0, other.x0)
            dy = min(box.y1, other.y1) - max(box.y0, other.y0)
            if dx > 1 and dy > 1:
                bad.append((a, b))
    return bad


@pytest.fixture(scope="session")
def look():
    """Bundle of the two ways in which tests look at a figure."""
    from types import SimpleNamespace

    return SimpleNamespace(texts=texts, overlapping=overlapping)


@pytest.fixture(scope="session")
def normal_sight_luminance():
    """Relative luminance of sRGB colours, shape (n, 3 or 4) -> (n,) (WCAG 2)."""

    def luminance(colours):
        rgb = np.asarray(colours)[:, :3]
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    return luminance
