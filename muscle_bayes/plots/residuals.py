"""Binned residuals against exposures: observed less replicated prevalence, with the interval of each bin."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from muscle_bayes.plots.style import (
    CAPTION_LINE,
    GREY,
    INK,
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


def residuals(
    result: pd.DataFrame,
    ax: Any = None,
    *,
    term: str | None = None,
    group: str = "all",
    width_mm: float = TWO_COLUMNS,
    title: str | None = None,
) -> Any:
    """Draw the residuals of each exposure, a row of panels for each where the result has groups.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `residuals`.
    ax : matplotlib Axes, optional
        Draw one column and group here; by default a new figure with all.
    term, group : str
        Which an Axes that is given shows; by default the first column and everyone.
    width_mm : float
        Width in print of a new figure.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        Bins whose interval leaves out 0 are orange and filled.
    """
    attrs = result.attrs
    terms, groups = list(dict.fromkeys(result["term"])), list(dict.fromkeys(result["group"]))
    title = title if title is not None else f"{attrs.get('outcome', '')}: residuals".strip(": ")
    span = _span(result)
    with house_style():
        if ax is not None:
            term = term or terms[0]
            _panel(ax, result, term, group, span)
            ax.set_xlabel(_axis_label(result, term))
            ax.set_ylabel(_Y)
            ax.set_title(title, loc="left")
            mark_simulated_axes(ax, attrs)
            return ax
        # Columns of the table side by side and groups below each other; in one column of print the other way is too wide.
        most = 1 if width_mm < 120 else 3
        across = min(len(terms), most)
        bands = math.ceil(len(terms) / across)
        caption = _caption(result)
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 3
        left, top, gap_x, gap_y, foot = 13.0, 12.0, 5.0, 6.5, 10.0
        wide = (width_mm - left - 3 - gap_x * (across - 1)) / across
        high = 20.0 if width_mm < 120 else 30.0
        band = len(groups) * high + (len(groups) - 1) * gap_y + foot + 5
        figure = new_figure(width_mm, top + bands * band + below - 4, constrained=False)
        for i, name in enumerate(terms):
            row, column = divmod(i, across)
            for j, one in enumerate(groups):
                y = top + row * band + j * (high + gap_y)
                panel = axes_at(figure, left + column * (wide + gap_x), y, wide, high)
                _panel(panel, result, name, one, span)
                own = result[(result["term"] == name) & (result["group"] == one)]
                n = int(own.loc[own["estimand"] == "residual", "n"].sum())
                who = "Everyone" if one == "all" else one
                panel.set_title(f"{who} (n = {n:,})", fontsize=6.5, fontweight="normal", pad=2)
                if j == len(groups) - 1:
                    panel.set_xlabel(_axis_label(result, name), labelpad=1)
                else:
                    panel.set_xticklabels([])
                if column == 0:
                    panel.set_ylabel(_Y, labelpad=1)
                else:
                    panel.set_yticklabels([])
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


_Y = "Residual (% points)"


def _panel(ax: Any, result: pd.DataFrame, term: str, group: str, span: float) -> None:
    of_term = result[(result["term"] == term) & (result["estimand"] == "residual")]
    own = of_term[of_term["group"] == group]
    x = own["value"].to_numpy(dtype=float)
    y, low, high = (100 * own[name].to_numpy(dtype=float) for name in ("estimate", "lower", "upper"))
    outside = own["outside"].to_numpy(dtype=bool)
    ax.axhline(0, color=GREY, lw=0.6, ls=(0, (4, 3)), zorder=1)
    for inside, colour, face in ((~outside, INK, "white"), (outside, ORANGE, ORANGE)):
        ax.vlines(x[inside], low[inside], high[inside], color=colour, lw=0.9, zorder=2)
        ax.plot(x[inside], y[inside], "o", ms=2.8, mfc=face, mec=colour, mew=0.8, zorder=3)
    values = of_term["value"].to_numpy(dtype=float)
    margin = 0.04 * np.ptp(values) or 0.5  # one level alone has no range
    ax.set_xlim(values.min() - margin, values.max() + margin)
    ax.set_ylim(-span, span)
    for place, (low, high) in ((ax.set_xticks, ax.get_xlim()), (ax.set_yticks, ax.get_ylim())):
        inner = 0.03 * (high - low)  # so that no label leaves the panel
        place([t for t in MaxNLocator(5).tick_values(low, high) if low + inner <= t <= high - inner])
    fit = result[(result["term"] == term) & (result["group"] == group) & (result["estimand"] == "lack of fit")]
    if len(fit):
        p = float(fit["p_value"].iloc[0])
        shown = "< 0.01" if p < 0.01 else "> 0.99" if p > 0.99 else f"= {p:.2f}"
        ax.text(0.98, 0.96, f"p {shown}", transform=ax.transAxes, ha="right", va="top", fontsize=6)


def _span(result: pd.DataFrame) -> float:
    ends = 100 * result.loc[result["estimand"] == "residual", ["lower", "upper"]].abs().to_numpy(dtype=float)
    return float(np.nanmax(ends) * 1.22)


def _axis_label(result: pd.DataFrame, term: str) -> str:
    row = result[result["term"] == term].iloc[0]
    return f"{row['label']} ({row['unit']})" if row["unit"] else str(row["label"])


def _caption(result: pd.DataFrame) -> str:
    attrs = result.attrs
    count = result[result["estimand"] == "residual"].groupby(["term", "group"]).size()
    bins = f"{count.min()} to {count.max()}" if count.min() < count.max() else f"{count.max()}"
    return (
        f"{sample_text(attrs)}. Dots: observed less replicated prevalence in {bins} bins with as many persons in each, at the "
        f"bin's mean; lines: {100 * attrs['interval']:g} % interval from {attrs['draws_used']:,} replicated data sets; orange: it "
        "leaves out 0, as about 5 % do where the model holds. p: share of replicated data sets with as large a sum of "
        "squared residuals. A trend or a bend shows a form that the model misses."
    )
