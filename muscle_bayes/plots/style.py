"""The house style of every figure: sizes in print, fonts, colours, caption, and the mark on simulated data."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

#: Widths that journals print at, in mm.
ONE_COLUMN, TWO_COLUMNS = 85.0, 180.0

# Okabe & Ito's palette: told apart with any colour vision.
INK = "#1a1a1a"
GREY = "#767676"
LIGHT = "#d9d9d9"
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
SEXES = {"female": ORANGE, "male": BLUE}

#: From blue (odds ratio below 1) over a neutral grey (1) to yellow (above 1). The lightness rises all the way, so that the
#: order survives a print in grey and every colour vision.
DIVERGING = LinearSegmentedColormap.from_list(
    "muscle_bayes", [(0.0, "#002f6b"), (0.25, "#3f6394"), (0.5, "#9a9a96"), (0.75, "#d3b866"), (1.0, "#ffe566")]
)

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.0,
    "axes.titlesize": 8.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.0,
    "hatch.linewidth": 0.4,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    # Text stays text in vector files, so that a journal can set it in its own face.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.parse_math": False,
}

#: Height of one line of a caption, in mm.
CAPTION_LINE = 2.75

#: Least room between two tick labels, in mm: about the width of a figure.
TICK_GAP = 1.2

_FINE = 5.8
_MM = 25.4


class HouseFigure(Figure):
    """A figure that shows itself in a notebook and needs no pyplot, so that nothing is left open behind it."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=150)
        return buffer.getvalue()

    def savefig(self, *args: Any, **settings: Any) -> None:
        """Save in the house style, whatever the reader's matplotlib settings; otherwise as `Figure.savefig`."""
        with house_style():
            super().savefig(*args, **settings)


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style for as long as this lasts; the reader's own settings come back after."""
    with mpl.rc_context(RC):
        yield


def new_figure(width_mm: float, height_mm: float, *, constrained: bool = True) -> HouseFigure:
    """Return an empty figure of a print size.

    Parameters
    ----------
    width_mm, height_mm : float
        Size in print.
    constrained : bool
        Let matplotlib place the Axes so that nothing overlaps; else they are placed in mm by `axes_at`.

    Returns
    -------
    HouseFigure
        White.
    """
    size = (width_mm / _MM, height_mm / _MM)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02) if constrained else None
    figure = HouseFigure(figsize=size, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def is_simulated(attrs: Mapping[Any, Any]) -> bool:
    """Say whether a result comes from simulated data."""
    return bool(attrs.get("simulated", False))


def write_head(figure: Any, title: str, attrs: Mapping[Any, Any], width_mm: float) -> None:
    """Write a title above a figure, and "Simulated data" into its upper right corner where the result says so.

    Parameters
    ----------
    figure : matplotlib Figure
        Drawn on.
    title : str
        May be empty.
    attrs : mapping
        Of the result.
    width_mm : float
        Width in print.
    """
    mark = printed_width("Simulated data", 7, "bold") + 4 if is_simulated(attrs) else 0.0
    lines = wrapped_lines(title, width_mm - 3 - mark, 8, "bold") if title else [" "]
    y = 1 - 0.04 / figure.get_size_inches()[1]
    place: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 8, "fontweight": "bold", "linespacing": 1.15}
    if title or is_simulated(attrs):
        # Constrained layout makes room for a suptitle at its automatic height only.
        place |= {} if figure.get_layout_engine() is not None else {"y": y}
        figure.suptitle("\n".join(lines), x=0.01, **place)
    if is_simulated(attrs):
        figure.text(0.995, y, "Simulated data", ha="right", va="top", fontsize=7, fontweight="bold", color=ORANGE)


def mark_simulated_axes(ax: Any, attrs: Mapping[Any, Any]) -> None:
    """Write "Simulated data" above the right end of an Axes that is part of a reader's own figure."""
    if is_simulated(attrs):
        ax.text(
            1, 1.01, "Simulated data", transform=ax.transAxes, ha="right", va="bottom", color=ORANGE, fontweight="bold"
        )


def sample_text(attrs: Mapping[Any, Any]) -> str:
    """Return who and what the result rests on: ``n = 27,518 (6,003 events), 5 sites``."""
    parts = []
    if "n" in attrs:
        events = f" ({attrs['events']:,} events)" if attrs.get("events") is not None else ""
        parts.append(f"n = {attrs['n']:,}{events}")
    if attrs.get("sites"):
        parts.append(f"{attrs['sites']} sites" if attrs["sites"] > 1 else "1 site")
    return ", ".join(parts)


def method_text(attrs: Mapping[Any, Any]) -> str:
    """Return what estimate and interval are, and by which engine."""
    level = f"{100 * attrs.get('interval', 0.95):g} %"
    if attrs.get("method") == "ml":
        text = f"Maximum likelihood, {level} Wald interval."
    else:
        engine = {"nuts": "NUTS", "laplace": "Laplace with importance sampling"}.get(str(attrs.get("method")), "")
        text = f"Posterior median, {level} equal-tailed interval" + (f" ({engine})." if engine else ".")
    if attrs.get("converged") is False:
        text += " THE FIT FAILED ITS CONVERGENCE GATE."
    return text


def caption_lines(text: str, width_mm: float) -> list[str]:
    """Return a caption wrapped to a print width; each line takes `CAPTION_LINE` mm."""
    # 3 % to spare: at some screen resolutions hinting widens fine print beyond what `printed_width` allows for.
    return wrapped_lines(text, 0.97 * width_mm - 3.0, _FINE)


@lru_cache(maxsize=4096)
def printed_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a text in print, in mm, in the house font of a size in points."""
    font = FontProperties(family=RC["font.sans-serif"], size=size, weight=weight)
    # On a screen, hinting to whole pixels makes letters up to 5 % wider than they are in print.
    return 1.05 * float(TextPath((0, 0), text, prop=font).get_extents().width) * _MM / 72 if text.strip() else 0.0


def wrapped_lines(text: str, width_mm: float, size: float, weight: str = "normal") -> list[str]:
    """Return a text as lines that each fit a width in print.

    Parameters
    ----------
    text : str
        Words.
    width_mm : float
        Room.
    size : float
        Font size in points.
    weight : str
        Font weight.

    Returns
    -------
    list of str
        At least one line; a word that is wider than the room has a line of its own.
    """
    space = printed_width("n n", size, weight) - printed_width("nn", size, weight)
    lines, used = [""], 0.0
    for word in text.split():
        width = printed_width(word, size, weight)
        if lines[-1] and used + space + width > width_mm:
            lines.append(word)
            used = width
        else:
            used += (space if lines[-1] else 0.0) + width
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def write_caption(figure: Any, text: str, width_mm: float) -> None:
    """Write a caption under a figure, wrapped to its width.

    Parameters
    ----------
    figure : matplotlib Figure
        Drawn on.
    text : str
        Plain text.
    width_mm : float
        Width in print.
    """
    wrapped = "\n".join(caption_lines(text, width_mm))
    if figure.get_layout_engine() is not None:
        figure.supxlabel(wrapped, x=0.01, ha="left", fontsize=_FINE, color=GREY, linespacing=1.25)
    else:
        y = 1.0 / (_MM * figure.get_size_inches()[1])
        figure.text(0.01, y, wrapped, ha="left", va="bottom", fontsize=_FINE, color=GREY, linespacing=1.25)


def axes_at(figure: Any, left: float, top: float, width: float, height: float, **settings: Any) -> Any:
    """Add an Axes at a place in print, in mm from the figure's upper left corner."""
    across, down = (_MM * inches for inches in figure.get_size_inches())
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down), **settings)


def value_ticks(ax: Any, low: float, high: float, width_mm: float, most: int = 6) -> list[float]:
    """Return round tick values of a linear axis, as few as their labels have room for.

    Parameters
    ----------
    ax : matplotlib Axes
        Its x axis says how the labels read.
    low, high : float
        Ends of the axis.
    width_mm : float
        Length of the axis in print.
    most : int
        Most steps between ticks.

    Returns
    -------
    list of float
        Ascending.
    """
    size, ticks = float(RC["xtick.labelsize"]), []
    for steps in range(most, 0, -1):
        ticks = [float(t) for t in MaxNLocator(steps).tick_values(low, high) if low <= t <= high]
        widths = [printed_width(text, size) for text in ax.xaxis.get_major_formatter().format_ticks(ticks)]
        gaps = np.diff(ticks) * width_mm / (high - low) - (np.array(widths[:-1]) + np.array(widths[1:])) / 2
        if (gaps >= TICK_GAP).all():
            break
    return ticks


def ratio_ticks(low: float, high: float, gap: float = 0.09, width_mm: float | None = None) -> list[float]:
    """Return round tick values of a logarithmic axis, those that readers look for first.

    Parameters
    ----------
    low, high : float
        Positive ends of the axis.
    gap : float
        Smallest distance between two ticks, as a share of the axis.
    width_mm : float, optional
        Length of the axis in print: labels are then kept apart too, by their own widths.

    Returns
    -------
    list of float
        Ascending; with 1 where it is inside.
    """
    first = [1, 2, 0.5, 1.5, 0.67, 3, 0.33, 5, 0.2, 10, 0.1, 20, 0.05, 50, 0.02, 100, 0.01]
    then = [0.8, 1.25, 1.2, 0.9, 1.1, 0.7, 0.6, 1.4, 1.6, 1.8, 0.4, 0.3, 2.5, 4, 0.95, 1.05]
    length, size = math.log(high / low), float(RC["xtick.labelsize"])

    def apart(a: float, b: float) -> bool:
        share = abs(math.log(a / b)) / length
        if share < gap or width_mm is None:
            return share >= gap
        return share * width_mm >= (printed_width(f"{a:g}", size) + printed_width(f"{b:g}", size)) / 2 + TICK_GAP

    kept: list[float] = []
    for tick in [*first, *then]:
        if low <= tick <= high and all(apart(tick, k) for k in kept):
            kept.append(float(tick))
    return sorted(kept)


def text_width(ax: Any, texts: Any) -> float:
    """Return the width of the widest of some texts of an Axes, in points."""
    figure = ax.get_figure()
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else figure._get_renderer()
    return float(max((t.get_window_extent(renderer).width for t in texts), default=0.0) * 72 / figure.dpi)
