"""Prior predictive check: the prevalence, or the shares of categories, and the odds ratios that priors allow before the data."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.plots.forest import forest
from muscle_bayes.plots.style import (
    CAPTION_LINE,
    INK,
    LIGHT,
    ORANGE,
    TWO_COLUMNS,
    caption_lines,
    house_style,
    mark_simulated_axes,
    new_figure,
    sample_text,
    write_caption,
    write_head,
)

#: Height of the histogram, and of the line of a category, mm.
_HISTOGRAM = 34.0
_LINE = 4.0


def prior_predictive(
    result: pd.DataFrame, ax: Any = None, *, width_mm: float = TWO_COLUMNS, title: str | None = None
) -> Any:
    """Draw the prior of the prevalence as a histogram, and below it the priors of the odds ratios.

    Of an ordered outcome, the priors of the share of each category or higher stand in place of the histogram.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `prior_predictive`.
    ax : matplotlib Axes, optional
        Draw the outcome's part alone here; by default a new figure with both.
    width_mm : float
        Width in print of a new figure.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        Orange is what was observed, which no prior has seen.
    """
    attrs = result.attrs
    title = title if title is not None else f"{attrs.get('outcome', '')}: what the priors allow".strip(": ")
    with house_style():
        if ax is not None:
            _outcome(ax, result)
            ax.set_title(title, loc="left")
            mark_simulated_axes(ax, attrs)
            return ax
        ratios = result[result["estimand"] == "prior odds ratio"].copy()
        # The caption below and the mark above are the whole figure's; grey bands belong to posteriors.
        ratios.attrs = {"interval": attrs["interval"]}
        level = f"{100 * attrs['interval']:g} %"
        ordered = "categories" in attrs
        upper = (
            f"Above: share of each category or a higher one among the {attrs['n']:,} persons; orange: observed. Squares and "
            f"lines: medians and {level} of the priors."
            if ordered
            else f"Bars: draws by the mean probability of the {attrs['n']:,} persons; orange: the observed share. "
            f"Squares and lines: medians and {level} of the priors of the odds ratios."
        )
        used = f"{attrs['draws']:,} draws from the priors (set {attrs['prior_set']}), no outcome used"
        caption = f"{sample_text(attrs)}. {used}. {upper}"
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 6
        narrow = width_mm < 120
        forest_height = 4.0 * ((1.95 if narrow else 1.6) * len(ratios) + 4) + 8
        outcome_height = _LINE * len(attrs["categories"]) + 12 if ordered else _HISTOGRAM
        figure = new_figure(width_mm, outcome_height + forest_height + below + 6)
        if len(ratios):
            # Parts of their own, so that the histogram keeps its width beside the forest's long labels.
            parts: Any = figure.subfigures(2, 1, height_ratios=[outcome_height, forest_height])
            forest(ratios, parts[1].add_subplot(), width_mm=width_mm, title="")
            _outcome(parts[0].add_subplot(), result)
        else:
            _outcome(figure.add_subplot(), result)
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _outcome(ax: Any, result: pd.DataFrame) -> None:
    (_shares if "categories" in result.attrs else _histogram)(ax, result)


def _shares(ax: Any, result: pd.DataFrame) -> None:
    """Draw the prior of the share of each category or a higher one, the lowest category above, and what was observed."""
    rows = result[result["estimand"] == "prior share of a category or higher"]
    observed = np.cumsum(result.attrs["observed_shares"][::-1])[::-1][1:]
    y = np.arange(len(rows))
    ax.hlines(y, 100 * rows["lower"], 100 * rows["upper"], color=INK, lw=1.2)
    ax.plot(100 * rows["estimate"], y, "s", color=INK, ms=3.2, mec="white", mew=0.4)
    ax.plot(100 * observed, y, "o", color=ORANGE, ms=3.6, mec="white", mew=0.4, zorder=3)
    ax.set_yticks(y, rows["contrast"])
    ax.set(xlim=(-1, 101), ylim=(len(rows) - 0.4, -0.6), xlabel="Persons (%)")


def _histogram(ax: Any, result: pd.DataFrame) -> None:
    attrs = result.attrs
    edges, counts = (np.asarray(attrs["prevalence"][name], dtype=float) for name in ("edges", "counts"))
    ax.bar(
        100 * edges[:-1],
        100 * counts / counts.sum(),
        100 * np.diff(edges),
        align="edge",
        color=LIGHT,
        ec="white",
        lw=0.4,
    )
    row = result[result["estimand"] == "prior prevalence"].iloc[0]
    top = 100 * counts.max() / counts.sum()
    ax.plot(
        [100 * row["lower"], 100 * row["upper"]],
        [-0.04 * top] * 2,
        color=INK,
        lw=1.2,
        solid_capstyle="butt",
        clip_on=False,
    )
    ax.plot(100 * row["estimate"], -0.04 * top, "s", color=INK, ms=3.2, mec="white", mew=0.4, clip_on=False)
    ax.axvline(100 * attrs["observed_prevalence"], color=ORANGE, lw=1.2)
    ax.set_yticks([tick for tick in ax.yaxis.get_major_locator().tick_values(0, top) if 0 <= tick <= top])
    ax.set(xlim=(0, 100), ylim=(-0.08 * top, 1.08 * top), xlabel="Prevalence (%)", ylabel="Draws (%)")
