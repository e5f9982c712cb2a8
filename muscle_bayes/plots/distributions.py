"""Boxplots of the exposures by group and outcome (Fig 2b of the 2025 paper)."""

import math
from typing import Any

import pandas as pd

from muscle_bayes.plots.style import (
    BLUE,
    CAPTION_LINE,
    GREY,
    INK,
    ORANGE,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    new_figure,
    sample_text,
    write_caption,
    write_head,
)

# With the event darker, so that a print in grey tells them apart.
_FACES = {False: "#cfe3f1", True: "#e8935c"}
_EDGES = {False: BLUE, True: ORANGE}


def distributions(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw a box for each group with and without the outcome, one panel an exposure, in raw units.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `exposure_distributions`.
    width_mm : float
        Width in print; panels are stacked below 120 mm.
    title : str, optional
        By default the exposures by outcome.

    Returns
    -------
    matplotlib Figure
        Group sizes stand under each box; the caption has the tests.
    """
    attrs, narrow = result.attrs, width_mm < 120
    terms = list(dict.fromkeys(result["term"]))
    across = 1 if narrow else len(terms)
    down = math.ceil(len(terms) / across)
    outcome = str(attrs.get("outcome", "event"))
    caption = (
        f"{sample_text(attrs)}. Box: quartiles and median; whiskers: "
        f"{100 * attrs['whiskers'][0]:g}th to {100 * attrs['whiskers'][1]:g}th percentile; numbers: persons. "
        "p: Mann-Whitney, with against without, not adjusted."
    )
    title = title if title is not None else f"Exposures with and without {outcome[:1].lower()}{outcome[1:]}"
    with house_style():
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 3
        left, top, tall, gap_y, gap_x = 11.0, 16.0 if narrow else 13.0, 44.0, 14.0, 15.0
        wide = (width_mm - left - 2 - gap_x * (across - 1)) / across
        figure = new_figure(width_mm, top + down * tall + (down - 1) * gap_y + 10 + below, constrained=False)
        for i, term in enumerate(terms):
            row, column = divmod(i, across)
            ax = axes_at(figure, left + column * (wide + gap_x), top + row * (tall + gap_y), wide, tall)
            _panel(ax, result[result["term"] == term])
            if i == 0:
                _legend(ax, outcome)
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _panel(ax: Any, own: pd.DataFrame) -> None:
    # Cells of few persons have no quantiles, so that nobody can be told from them; a pilot may have no others.
    shown = bool(own["estimate"].notna().any())
    bottom, top = (own["q05"].min(), own["q95"].max()) if shown else (0.0, 1.0)
    reach = top - bottom
    ticks, names = [], []
    for k, ((by, group), rows) in enumerate(own.groupby(["by", "group"], sort=False)):
        ticks.append(k)
        label = rows["by_label"].iloc[0]
        names.append("Everyone" if by == "all" else label if group == "yes" else f"{label}:\n{group}")
        for _, row in rows.iterrows():
            at = k + (0.2 if row["outcome"] else -0.2)
            ax.text(at, -0.03, f"{row['n']:,}", transform=ax.get_xaxis_transform(), ha="center", va="top", fontsize=5.8,
                    color=GREY)  # fmt: skip
            if pd.isna(row["estimate"]):
                continue
            stats = {"whislo": row["q05"], "q1": row["lower"], "med": row["estimate"], "q3": row["upper"],
                     "whishi": row["q95"], "fliers": []}  # fmt: skip
            edge = {"color": _EDGES[row["outcome"]], "lw": 0.8}
            ax.bxp([stats], positions=[at], widths=0.32, patch_artist=True, showfliers=False, manage_ticks=False,
                   boxprops={"facecolor": _FACES[row["outcome"]], "edgecolor": edge["color"], "lw": 0.8},
                   medianprops={"color": INK, "lw": 1.2}, whiskerprops=edge, capprops=edge)  # fmt: skip
        p = rows["p_value"].iloc[0]
        if pd.notna(p) and rows["q95"].notna().any():
            ax.text(k, rows["q95"].max() + 0.03 * reach, "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}", ha="center",
                    va="bottom", fontsize=5.8)  # fmt: skip
    ax.set_xlim(-0.55, len(ticks) - 0.45)
    ax.set_ylim(bottom - 0.05 * reach, top + 0.12 * reach)
    if not shown:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "too few participants to show", transform=ax.transAxes, ha="center", va="center", fontsize=6.5,
                color=GREY)  # fmt: skip
    ax.set_xticks(ticks, names)
    ax.tick_params(axis="x", length=0, pad=11)
    unit = own["scale"].iloc[0]
    ax.set_ylabel(f"{own['label'].iloc[0]} ({unit})" if unit else own["label"].iloc[0], labelpad=2)


def _legend(ax: Any, outcome: str) -> None:
    from matplotlib.patches import Patch

    short = outcome.split(" (")[0]
    handles = [Patch(facecolor=_FACES[k], edgecolor=_EDGES[k], lw=0.8) for k in (False, True)]
    ax.legend(handles, [f"without {short[:1].lower()}{short[1:]}", "with"], loc="lower left",
              bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0.2, columnspacing=1.2, handlelength=1.2)  # fmt: skip
