"""Calibration curves (CORP): observed frequency against the probability given, with a consistency band."""

import math
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.plots.style import (
    CAPTION_LINE,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    mark_simulated_axes,
    new_figure,
    sample_text,
    write_caption,
    write_head,
)


def calibration(
    result: pd.DataFrame,
    ax: Any = None,
    *,
    group: str = "all",
    width_mm: float = TWO_COLUMNS,
    title: str | None = None,
) -> Any:
    """Draw the calibration curve of everyone, and small ones of each group where the result has groups.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `calibration`.
    ax : matplotlib Axes, optional
        Draw one group here; by default a new figure with all.
    group : str
        Which group an Axes that is given shows.
    width_mm : float
        Width in print of a new figure.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        The curve is orange where it leaves the band; bars show how many were given each probability.
    """
    attrs = result.attrs
    limit = axis_limit(result)
    title = title if title is not None else f"{attrs.get('outcome', '')}: calibration".strip(": ")
    with house_style():
        if ax is not None:
            curve_panel(ax, result, group, limit, name=False)
            ax.set_xlabel("Probability given (%)")
            ax.set_ylabel("Observed (%)")
            ax.set_title(title, loc="left")
            mark_simulated_axes(ax, attrs)
            return ax
        groups = list(dict.fromkeys(result["group"]))
        across = 1 if len(groups) == 1 else 2 if width_mm < 120 else 3
        down = math.ceil(len(groups) / across)
        caption = _caption(result)
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 4
        gap_x, gap_y, left, top = 9.0, 8.0, 11.0, 11.0
        side = min((width_mm - left - 3 - gap_x * (across - 1)) / across, 80.0)
        figure = new_figure(width_mm, top + down * side + (down - 1) * gap_y + 9 + below, constrained=False)
        for i, name in enumerate(groups):
            row, column = divmod(i, across)
            panel = axes_at(figure, left + column * (side + gap_x), top + row * (side + gap_y), side, side)
            curve_panel(panel, result, name, limit, name=len(groups) > 1)
            if i + across >= len(groups):
                panel.set_xlabel("Probability given (%)", labelpad=1)
            if column == 0:
                panel.set_ylabel("Observed (%)", labelpad=1)
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def curve_panel(
    ax: Any, result: pd.DataFrame, group: str, limit: float, *, name: bool, words: str | None = None
) -> None:
    """Draw one group's curve, band and histogram into an Axes.

    Parameters
    ----------
    ax : matplotlib Axes
        Drawn into.
    result : pandas.DataFrame
        With the rows of `calibration`.
    group : str
        Which.
    limit : float
        End of both axes, a probability.
    name : bool
        Write the group above.
    words : str, optional
        Lines in the upper left corner; by default n, mean probability and prevalence.
    """
    own = result[result["group"] == group]
    curve = own[own["estimand"] == "calibration curve"]
    x, y = 100 * curve["forecast"].to_numpy(), 100 * curve["estimate"].to_numpy()
    low, high = 100 * curve["lower"].to_numpy(), 100 * curve["upper"].to_numpy()
    top = 100 * limit
    edges, counts = (np.asarray(values, dtype=float) for values in result.attrs["forecasts"][group])
    if counts.max() > 0:
        ax.bar(
            100 * edges[:-1], counts / counts.max() * top * 0.16, np.diff(100 * edges), align="edge", color=LIGHT, lw=0
        )
    ax.fill_between(x, low, high, color="#9ec5dd", alpha=0.55, lw=0, zorder=1)
    ax.plot([0, top], [0, top], color=GREY, lw=0.6, ls=(0, (4, 3)), zorder=2)
    ax.plot(x, y, color=INK, lw=1.1, zorder=3)
    outside = (y < low - 1e-9) | (y > high + 1e-9)
    ax.plot(x, np.where(outside, y, np.nan), color=ORANGE, lw=2.0, zorder=4, solid_capstyle="butt")
    ax.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    step = 10 if top <= 60 else 20
    ax.set_xticks(np.arange(0, top + 1, step))
    ax.set_yticks(np.arange(0, top + 1, step))
    scores = own[own["estimand"] != "calibration curve"].set_index("estimand")["estimate"]
    words = words or (
        # The longest line first: the corner has most room at its top.
        f"observed {100 * scores['observed prevalence']:.1f} %\ngiven {100 * scores['mean forecast']:.1f} %\n"
        f"n = {int(own['n'].iloc[0]):,}"
    )
    ax.text(0.03, 0.97, words, transform=ax.transAxes, va="top", fontsize=6)
    if name:
        ax.set_title("Everyone" if group == "all" else group, fontsize=7, pad=2)


def axis_limit(result: pd.DataFrame) -> float:
    """Return the end of both axes: past all but the 0.1 % with the highest probabilities."""
    edges, counts = (np.asarray(values, dtype=float) for values in result.attrs["forecasts"]["all"])
    if counts.sum() == 0:
        return 1.0
    last = edges[1:][np.cumsum(counts) >= 0.999 * counts.sum()][0]
    return float(min(1.0, np.ceil(last * 10 + 1e-9) / 10))


def _caption(result: pd.DataFrame) -> str:
    attrs = result.attrs
    who = "Other persons than those of the fit." if attrs.get("external") else "The persons of the fit."
    return (
        f"{sample_text(attrs)}. {who} Line: isotonic regression of the outcome on the posterior mean probability; band: "
        f"{100 * attrs['interval']:g} % of the curves of calibrated models, at each probability ({attrs['replicates']:,} "
        "replicates); orange: outside it. Bars: persons given each probability (fewer than 5 not shown). "
        "Axes end above 99.9 % of the persons."
    )
