"""Forest plot: odds ratios with their intervals, and the same as numbers beside them."""

from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from muscle_bayes.plots.forest_by_group import forest_by_group
from muscle_bayes.plots.style import (
    GREY,
    INK,
    LIGHT,
    TWO_COLUMNS,
    house_style,
    mark_simulated_axes,
    method_text,
    new_figure,
    ratio_ticks,
    sample_text,
    text_width,
    write_caption,
    write_head,
)

_ADJUSTMENT = "Adjustment terms, not effects"
_EXPOSURE = "Exposures"
_WIDEST = {True: 26, False: 62}  # characters of a contrast in one line, in one column (narrow) and in two


def forest(result: pd.DataFrame, ax: Any = None, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw odds ratios on a logarithmic axis, exposures apart from the terms that only adjust them.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `odds_ratios` (any frame with `label, contrast, estimate, lower, upper, text, role`). With `by`, a panel an exposure
        and a line a group; see `muscle_bayes.plots.forest_by_group`.
    ax : matplotlib Axes, optional
        Draw here, and leave caption and size to the reader; by default a new figure.
    width_mm : float
        Width in print of a new figure.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        Numbers in the right margin show no digit beyond their Monte Carlo error.
    """
    if "group_label" in result and ax is None:
        return forest_by_group(result, width_mm=width_mm, title=title)
    attrs = result.attrs
    narrow = width_mm < 120
    lines = _lines(result, narrow=narrow)
    with house_style():
        figure = None
        if ax is None:
            height = 4.0 * (sum(line["space"] for line in lines) + 0.9) + (29 if narrow else 21)
            figure = new_figure(width_mm, height)
            ax = figure.add_subplot()
        _draw(ax, lines, result, narrow=narrow)
        title = title if title is not None else str(attrs.get("outcome", ""))
        if figure is None:
            ax.set_title(title, loc="left")
            mark_simulated_axes(ax, attrs)
            return ax
        write_head(figure, title, attrs, width_mm)
        caption = f"{sample_text(attrs)}. {method_text(attrs)}"
        if attrs.get("rope"):
            caption += f" Grey band: odds ratios from {attrs['rope'][0]:g} to {attrs['rope'][1]:g}, practically none."
        if attrs.get("categories"):
            caption += f" Odds ratios of {attrs['odds_ratio_of']}."
        if (result["role"] == "adjustment").any():
            caption += " Grey rows adjust the exposures' rows; their own odds ratios are not effects (Table 2 fallacy)."
        write_caption(figure, caption, width_mm)
        return figure


def _lines(result: pd.DataFrame, *, narrow: bool) -> list[dict[str, Any]]:
    """Return what stands in each line: group headings and rows, exposures first."""
    lines: list[dict[str, Any]] = []
    both = {"exposure", "adjustment"} <= set(result["role"])
    for role, heading in (("exposure", _EXPOSURE), ("adjustment", _ADJUSTMENT)):
        rows = result[result["role"] == role]
        if rows.empty:
            continue
        if both or role == "adjustment":
            lines.append({"heading": heading, "space": 1.3})
        for _, row in rows.iterrows():
            contrast, numbers = str(row["contrast"]), str(row["text"])
            if narrow:
                # The size in raw units is in the table; one column has no room for it.
                at = f" at {row['at']}" if row.get("at") else ""
                contrast = contrast.removesuffix(at).split(" (")[0] + at
                numbers = numbers.replace(" to ", "\N{EN DASH}")
            breaks = wrap(contrast, _WIDEST[narrow]) if narrow or len(contrast) > 24 else []
            label = "\n".join([str(row["label"]), *breaks]) if breaks else f"{row['label']}, {contrast}"
            lines.append({"row": row, "label": label, "numbers": numbers, "space": 1.15 + 0.6 * len(breaks)})
    return lines


def _draw(ax: Any, lines: list[dict[str, Any]], result: pd.DataFrame, *, narrow: bool) -> None:
    shown = result[["estimate", "lower", "upper"]].to_numpy(dtype=float)
    low, high = np.nanmin(shown), np.nanmax(shown)
    margin = (high / low) ** 0.06
    low, high = min(low / margin, 0.95), max(high * margin, 1.05)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = ratio_ticks(low, high, 0.2 if narrow else 0.09)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axvline(1, color=INK, lw=0.6, zorder=1)
    if result.attrs.get("rope"):
        ax.axvspan(*result.attrs["rope"], color=LIGHT, alpha=0.5, lw=0, zorder=0)

    y, at, labels, numbers, colours = 0.0, [], [], [], []
    for line in lines:
        centre = y + line["space"] / 2
        y += line["space"]
        at.append(centre)
        if "heading" in line:
            labels.append(line["heading"])
            numbers.append("")
            colours.append("heading")
            continue
        row, colour = line["row"], INK if line["row"]["role"] == "exposure" else GREY
        ax.plot([row["lower"], row["upper"]], [centre, centre], color=colour, lw=1.2, solid_capstyle="butt", zorder=3)
        ax.plot(row["estimate"], centre, "s", color=colour, ms=2.8 if narrow else 3.6, mec="white", mew=0.4, zorder=4)
        labels.append(line["label"])
        numbers.append(line["numbers"])
        colours.append(colour)
    ax.set_ylim(y, -0.9)
    ax.set_yticks(at, labels)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("Odds ratio (log scale)")

    beside = ax.secondary_yaxis("right")
    level = f"{100 * result.attrs.get('interval', 0.95):g} %"
    beside.set_yticks([-0.45, *at], [f"OR ({level})" if narrow else f"OR ({level} interval)", *numbers])
    beside.tick_params(axis="y", length=0)
    beside.spines["right"].set_visible(False)
    for texts in (ax.get_yticklabels(), beside.get_yticklabels()[1:]):
        for text, colour in zip(texts, colours, strict=True):
            text.set_color(INK if colour == "heading" else colour)
            text.set_fontweight("bold" if colour == "heading" else "normal")
    beside.get_yticklabels()[0].set_fontweight("bold")
    # Words stand flush left, as in print: the pad is the width of the longest.
    for text in ax.get_yticklabels():
        text.set_horizontalalignment("left")
    ax.tick_params(axis="y", length=0, pad=text_width(ax, ax.get_yticklabels()) + 3)
