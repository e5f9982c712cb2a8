"""Posterior predictive check: observed prevalence on the intervals of its replicates."""

from typing import Any

import pandas as pd

from muscle_bayes.plots.style import (
    GREY,
    INK,
    ORANGE,
    TWO_COLUMNS,
    house_style,
    mark_simulated_axes,
    new_figure,
    sample_text,
    text_width,
    write_caption,
    write_head,
)


def posterior_predictive(
    result: pd.DataFrame, ax: Any = None, *, width_mm: float = TWO_COLUMNS, title: str | None = None
) -> Any:
    """Draw the replicated prevalence of each group with its interval, and the observed one on it.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `posterior_predictive`.
    ax : matplotlib Axes, optional
        Draw here; by default a new figure.
    width_mm : float
        Width in print of a new figure.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        Groups whose observed prevalence lies outside the interval are orange and have a filled dot.
    """
    attrs, narrow = result.attrs, width_mm < 120
    lines: list[dict[str, Any]] = []
    for by, rows in result.groupby("term", sort=False):
        if by != "all":
            size = f" (n = {rows['n'].iloc[0]:,})" if "within" in rows else ""
            lines.append({"heading": f"{rows['label'].iloc[0]}{size}", "space": 1.25})
        lines += [{"row": row, "space": 1.0, "category": "within" in rows} for _, row in rows.iterrows()]
    title = title if title is not None else f"{attrs.get('outcome', '')}: observed and replicated".strip(": ")
    with house_style():
        figure = None
        if ax is None:
            figure = new_figure(width_mm, 3.6 * sum(line["space"] for line in lines) + (31 if narrow else 24))
            ax = figure.add_subplot()
        _draw(ax, lines, narrow=narrow)
        if figure is None:
            ax.set_title(title, loc="left")
            mark_simulated_axes(ax, attrs)
            return ax
        write_head(figure, title, attrs, width_mm)
        what = "share of each category" if "within" in result else "prevalence"
        level = f"{100 * attrs.get('interval', 0.95):g} %"
        caption = (
            f"{sample_text(attrs)}. Line and tick: {level} interval and median of the {what} in {attrs['draws_used']:,} "
            "replicated data sets; dot: observed (filled and orange where outside). p: posterior predictive p-value, "
            "near 0 or 1 where the model misses the group."
        )
        write_caption(figure, caption, width_mm)
        return figure


def _draw(ax: Any, lines: list[dict[str, Any]], *, narrow: bool) -> None:
    y, at, labels, beside, bold = 0.0, [], [], [], []
    for line in lines:
        centre = y + line["space"] / 2
        y += line["space"]
        at.append(centre)
        bold.append("heading" in line)
        if "heading" in line:
            labels.append(line["heading"])
            beside.append("")
            continue
        row = line["row"]
        everyone = row["term"] == "all"
        colour = ORANGE if row["outside"] else INK
        low, high = 100 * row["lower"], 100 * row["upper"]
        ax.plot([low, high], [centre, centre], color=GREY, lw=1.4, solid_capstyle="butt", zorder=2)
        ax.plot(100 * row["estimate"], centre, "|", color=GREY, ms=6, mew=1.2, zorder=3)
        face = colour if row["outside"] else "white"
        ax.plot(100 * row["observed"], centre, "o", ms=3.4, mfc=face, mec=colour, mew=0.9, zorder=4)
        name = "Everyone" if everyone else row["group"]
        labels.append(name if narrow or line["category"] else f"{name} (n = {row['n']:,})")
        beside.append(_p_text(row["p_value"]))
        bold[-1] = everyone
    ax.set_ylim(y, -0.9)
    ax.set_yticks(at, labels)
    ax.spines["left"].set_visible(False)
    ordered = any(line.get("category") for line in lines)
    ax.set_xlabel("Share of participants (%)" if ordered else "Prevalence (%)")
    ax.margins(x=0.04)
    right = ax.secondary_yaxis("right")
    right.set_yticks([-0.45, *at], ["p", *beside])
    right.tick_params(axis="y", length=0)
    right.spines["right"].set_visible(False)
    right.get_yticklabels()[0].set_fontweight("bold")
    for text, heavy in zip(ax.get_yticklabels(), bold, strict=True):
        text.set_horizontalalignment("left")
        text.set_fontweight("bold" if heavy else "normal")
    ax.tick_params(axis="y", length=0, pad=text_width(ax, ax.get_yticklabels()) + 3)


def _p_text(p: float) -> str:
    return "< 0.01" if p < 0.01 else "> 0.99" if p > 0.99 else f"{p:.2f}"
