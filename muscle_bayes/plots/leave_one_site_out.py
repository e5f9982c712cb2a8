"""External calibration: each site against what a fit to the other sites said of it."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from muscle_bayes.plots.calibration import axis_limit, curve_panel
from muscle_bayes.plots.style import (
    CAPTION_LINE,
    GREY,
    INK,
    ORANGE,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    new_figure,
    printed_width,
    sample_text,
    write_caption,
    write_head,
)

# Estimand, heading, what a perfect model has, factor, unit.
_STRIPS = (
    ("replicated prevalence", "Prevalence (%)", None, 100.0),
    ("calibration intercept", "Calibration intercept", 0.0, 1.0),
    ("calibration slope", "Calibration slope", 1.0, 1.0),
    ("c-statistic", "c-statistic", None, 1.0),
)


def leave_one_site_out(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw the calibration curve of each left-out site, and below them prevalence, intercept, slope and c-statistic.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `leave_one_site_out`.
    width_mm : float
        Width in print.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure
        Sites whose interval leaves out what is expected are orange.
    """
    attrs = result.attrs
    title = title if title is not None else f"{attrs.get('outcome', '')}: each site left out in turn".strip(": ")
    groups = [group for group in dict.fromkeys(result["group"]) if group in attrs["forecasts"]]
    sites = [group for group in dict.fromkeys(result["group"]) if group != "all"]
    limit = axis_limit(result)
    with house_style():
        narrow = width_mm < 120
        across = 2 if narrow else 3
        down = math.ceil(len(groups) / across)
        caption = _caption(result)
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 4
        left, top, gap_x, gap_y = 11.0, 12.0, 8.0, 8.0
        side = min((width_mm - left - 3 - gap_x * (across - 1)) / across, 60.0)
        curves = down * side + (down - 1) * gap_y + 9
        strips_across = 2 if narrow else 4
        high = 4.0 * (len(sites) + 1) + 2
        strips = math.ceil(len(_STRIPS) / strips_across)
        height = top + curves + 8 + strips * (high + 12) + below - 3
        figure = new_figure(width_mm, height, constrained=False)
        for i, group in enumerate(groups):
            row, column = divmod(i, across)
            panel = axes_at(figure, left + column * (side + gap_x), top + row * (side + gap_y), side, side)
            curve_panel(panel, result, group, limit, name=True, words=_words(result, group))
            if i + across >= len(groups):
                panel.set_xlabel("Probability given (%)", labelpad=1)
            if column == 0:
                panel.set_ylabel("Observed (%)", labelpad=1)
        names = [*sites, "all"]
        labels = max(printed_width("Everyone" if n == "all" else n, 6.5) for n in names) + 3
        room = (width_mm - labels - 3 - 5 * (strips_across - 1)) / strips_across
        for i, (estimand, heading, ideal, factor) in enumerate(_STRIPS):
            row, column = divmod(i, strips_across)
            y = top + curves + 6 + row * (high + 12)
            strip = axes_at(figure, labels + column * (room + 5), y, room, high)
            _strip(strip, result, estimand, names, ideal, factor)
            strip.set_title(heading, fontsize=7, pad=2)
            strip.set_yticks(range(len(names)), ["Everyone" if n == "all" else n for n in names] if column == 0 else [])
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _strip(ax: Any, result: pd.DataFrame, estimand: str, names: list[str], ideal: float | None, factor: float) -> None:
    rows = {str(row["group"]): row for row in result[result["estimand"] == estimand].to_dict("records")}
    if ideal is not None:
        ax.axvline(factor * ideal, color=GREY, lw=0.6, ls=(0, (4, 3)), zorder=1)
    for y, name in enumerate(names):
        if name not in rows or not np.isfinite(rows[name]["estimate"]):
            if estimand != "replicated prevalence" or name != "all":
                ax.text(0.5, y, "no estimate", transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize=6,
                        color=GREY, style="italic")  # fmt: skip
            continue
        row = rows[name]
        low, high, centre = (factor * row[key] for key in ("lower", "upper", "estimate"))
        if estimand == "replicated prevalence":
            observed = factor * row["observed"]
            outside = not low <= observed <= high
            ax.plot([low, high], [y, y], color=GREY, lw=1.4, solid_capstyle="butt", zorder=2)
            ax.plot(centre, y, "|", color=GREY, ms=6, mew=1.2, zorder=3)
            ax.plot(
                observed,
                y,
                "o",
                ms=3.2,
                mfc=ORANGE if outside else "white",
                mec=ORANGE if outside else INK,
                mew=0.9,
                zorder=4,
            )
            continue
        outside = ideal is not None and not low <= factor * ideal <= high
        colour = ORANGE if outside else INK
        ax.plot([low, high], [y, y], color=colour, lw=1.2, solid_capstyle="butt", zorder=3)
        ax.plot(centre, y, "s", color=colour, ms=3.2, mec="white", mew=0.4, zorder=4)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.08)
    low, high = ax.get_xlim()
    inner = 0.05 * (high - low)  # so that no label leaves the strip
    ax.set_xlim(low, high)
    ax.set_xticks([t for t in MaxNLocator(4).tick_values(low, high) if low + inner <= t <= high - inner])


def _words(result: pd.DataFrame, group: str) -> str:
    own = result[result["group"] == group].drop_duplicates("estimand")
    shown = {name: str(text).split(" (")[0] for name, text in zip(own["estimand"], own["text"], strict=True)}
    n = f"n = {int(own['n'].iloc[0]):,}"
    return f"intercept {shown['calibration intercept']}\nslope {shown['calibration slope']}\n{n}"


def _caption(result: pd.DataFrame) -> str:
    attrs, level = result.attrs, f"{100 * result.attrs['interval']:g} %"
    return (
        f"{sample_text(attrs)}. Each site was left out of one refit; its persons' probabilities are those of a new site "
        f"({attrs['refits']} refits of {attrs['refit_draws']:,} draws). Curves: isotonic regression; band: {level} of the curves "
        f"of calibrated models, which does not hold the site's own effect; orange: outside. Prevalence: {level} interval and "
        f"median replicated for a new site, dot: observed. Intercept (slope 1), slope and c-statistic: {level} Wald intervals "
        "over persons; for everyone they ignore that persons share sites."
    )
