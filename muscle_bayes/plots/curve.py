"""The odds-ratio curve of one predictor: line, band, the reference, and where the persons are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from muscle_bayes.plots.style import (
    BLUE,
    CAPTION_LINE,
    GREY,
    INK,
    ONE_COLUMN,
    ORANGE,
    axes_at,
    caption_lines,
    house_style,
    mark_simulated_axes,
    method_text,
    new_figure,
    ratio_ticks,
    sample_text,
    write_caption,
    write_head,
)

_LEFT, _RIGHT, _TOP, _BELOW, _EDGE = 13.0, 4.0, 8.5, 10.0, 7.0
#: What an axis can be drawn on: the function with its inverse, and its words.
_SCALES: dict[str, Any] = {
    "sqrt": ((np.sqrt, np.square), "square-root scale"),
    "log": ((np.log, np.exp), "log scale"),
    "log1p": ((np.log1p, np.expm1), "log(1 + x) scale"),
}
#: Of curves in one figure, the first's first.
_COLOURS = (BLUE, ORANGE, GREY)


def curve(
    result: pd.DataFrame | Sequence[pd.DataFrame],
    ax: Any = None,
    *,
    labels: Sequence[str] | None = None,
    width_mm: float = ONE_COLUMN,
    title: str | None = None,
) -> Any:
    """Draw the odds ratio of a predictor against a reference, with its interval and the distribution of the persons.

    Parameters
    ----------
    result : pandas.DataFrame, or a sequence of them
        Of `odds_ratio_curve`; several of the same predictor and reference share the Axes, such as a smooth and a straight
        one.
    ax : matplotlib Axes, optional
        Draw here; by default a new figure.
    labels : sequence of str, optional
        Names of several curves; by default ``smooth`` and ``straight line``.
    width_mm : float
        Width in print.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        Logarithmic odds ratios, raw units.
    """
    frames = [result] if isinstance(result, pd.DataFrame) else list(result)
    attrs = frames[0].attrs
    names = list(labels) if labels is not None else _names(frames)
    title = title if title is not None else str(attrs.get("outcome", ""))
    with house_style():
        if ax is not None:
            _panel(ax, frames, names)
            ax.set_title(title, loc="left")
            mark_simulated_axes(ax, attrs)
            return ax
        caption = _caption(frames)
        high = 0.62 * min(width_mm - _LEFT - _RIGHT, 120.0)
        height = _TOP + _EDGE + high + _BELOW + CAPTION_LINE * len(caption_lines(caption, width_mm)) + 2
        figure = new_figure(width_mm, height, constrained=False)
        across = width_mm - _LEFT - _RIGHT
        main = axes_at(figure, _LEFT, _TOP + _EDGE, across, high)
        _panel(main, frames, names)
        _distribution(axes_at(figure, _LEFT, _TOP, across, _EDGE - 1, sharex=main), attrs)
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _panel(ax: Any, frames: list[pd.DataFrame], names: list[str]) -> None:
    attrs = frames[0].attrs
    for frame, name, colour, style in zip(frames, names, _COLOURS, ("-", (0, (5, 2)), ":"), strict=False):
        x = frame["value"].to_numpy()
        ax.fill_between(x, frame["lower"], frame["upper"], color=colour, alpha=0.2, lw=0)
        ax.plot(x, frame["estimate"], color=colour, lw=1.2, ls=style, label=name)
    every = pd.concat([frame[["lower", "upper"]] for frame in frames])
    low, high = min(float(every["lower"].min()), 0.95), max(float(every["upper"].max()), 1.05)
    room = (high / low) ** 0.04
    ax.axhline(1, color=GREY, lw=0.6, zorder=1)
    ax.plot([attrs["reference"]], [1], "o", ms=3.5, mfc="white", mec=INK, mew=0.8, zorder=6)
    ax.set_yscale("log")
    ax.set_ylim(low / room, high * room)
    ticks = ratio_ticks(low / room, high * room, 0.12)
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("Odds ratio (log scale)")
    words = [attrs["unit"], _SCALES[attrs["axis"]][1] if attrs["axis"] else ""]
    inside = ", ".join(word for word in words if word)
    ax.set_xlabel(f"{attrs['label']} ({inside})" if inside else attrs["label"])
    values = frames[0]["value"]
    _scale(ax, attrs["axis"], float(values.min()), float(values.max()))
    if len(frames) > 1:
        ax.legend(loc="best")


def _distribution(ax: Any, attrs: dict[Any, Any]) -> None:
    edges, density = (np.asarray(attrs["distribution"][key]) for key in ("edges", "density"))
    if attrs["axis"]:
        # As many persons as area on the axis that is drawn.
        density = density * np.diff(edges) / np.diff(_SCALES[attrs["axis"]][0][0](edges))
    ax.stairs(density, edges, fill=True, color=GREY, alpha=0.35, lw=0)
    ax.set_ylim(0, None)
    ax.set_axis_off()


def _scale(ax: Any, axis: str, low: float, high: float) -> None:
    """Draw the axis on the scale that the model takes the predictor on, with round values where they fit."""
    if axis:
        forward, backward = _SCALES[axis][0]
        # Beyond its own range an axis asks for values that have no square root.
        ax.set_xscale("function", functions=(lambda x: forward(np.maximum(x, min(low, 0.0))), backward))
        ends = forward(np.array([low, high]))
        powers = 10.0 ** np.arange(-3, 7)
        wanted = [0.0, *powers, *(5 * powers), *(2 * powers)]
        kept: list[float] = []
        for tick in (tick for tick in wanted if low <= tick <= high):
            if all(abs(forward(tick) - forward(other)) >= 0.1 * (ends[1] - ends[0]) for other in kept):
                kept.append(tick)
        ax.xaxis.set_major_locator(FixedLocator(sorted(kept)))
        ax.xaxis.set_major_formatter(
            FixedFormatter([f"{tick:.0f}" if tick >= 1 else f"{tick:g}" for tick in sorted(kept)])
        )
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(low, high)


def _names(frames: list[pd.DataFrame]) -> list[str]:
    names = ["Smooth" if frame.attrs["curved"] else "Straight line" for frame in frames]
    return [f"{name} ({k + 1})" if names.count(name) > 1 else name for k, name in enumerate(names)]


def _caption(frames: list[pd.DataFrame]) -> str:
    attrs = frames[0].attrs
    at = f", at {attrs['at']}" if attrs["at"] else ""
    level = f"{100 * attrs.get('interval', 0.95):g} %"
    role = "" if frames[0]["role"].iloc[0] == "exposure" else " An adjustment term: its curve is not an effect."
    return (
        f"{sample_text(attrs)}. {method_text(attrs)} Open dot: reference, {attrs['reference_text']}, odds ratio 1{at}. "
        f"The band holds the {level} interval of each value on its own. Above: distribution of the participants, 1st to 99th "
        f"percentile.{role}"
    )
