"""Specification curve: an estimate under every specification, in order, over the choices that make it."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from muscle_bayes.plots.style import (
    CAPTION_LINE,
    INK,
    LIGHT,
    ORANGE,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    new_figure,
    printed_width,
    ratio_ticks,
    sample_text,
    write_caption,
    write_head,
)

_HEADINGS = {
    "model": "Model",
    "priors": "Priors of exposures",
    "site_sd": "Scale of the site SD's prior",
    "excluded": "Left out",
    "adipose": "Adipose tissue by",
    "adjustment": "Covariates",
    "lean_muscle": "Lean muscle as",
    "site_term": "Study site",
    "age_term": "Age",
}
_LABELS = {"intermat_z": "InterMAT", "lmm_z": "LMM"}
_NULL = {"odds ratio": 1.0, "risk difference": 0.0, "RERI": 0.0}

#: What needs no line of its own: under a heading without a mark the model is as it stands.
_STANDING = "as specified"

#: Shorter names for a single column of print.
_SHORT = {
    "without osteoarthritis and osteoporosis": "without OA and OP",
    "with BMI, without osteoarthritis and osteoporosis": "with BMI, no OA, OP",
    "volume given height and weight": "volume given size",
    "volume beside height and weight": "volume beside size",
    "without physical activity": "without activity",
    "within and between": "within, between",
    "with osteoarthritis": "with OA",
    "with osteoporosis": "with OP",
}
_SHORT_WORDS = " OA: osteoarthritis; OP: osteoporosis; size: height and weight."
_NARROW = 120.0


def specification_curve(
    result: pd.DataFrame, *, estimand: str = "odds ratio", width_mm: float = TWO_COLUMNS, title: str | None = None
) -> Any:
    """Draw the estimates of all specifications from lowest to highest, with the choices of each below.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `sensitivity`.
    estimand : str
        Which of its estimands.
    width_mm : float
        Width in print. Below 120 mm exposures are stacked in one order, that of the first, over one table of choices.
    title : str, optional
        By default the outcome and the number of specifications.

    Returns
    -------
    matplotlib Figure
        The model as it stands is orange; a specification without a certified estimate stands at the right, with a cross.
    """
    attrs = result.attrs
    shown = result[result["estimand"] == estimand]
    terms = list(dict.fromkeys(shown["term"]))
    narrow = width_mm < _NARROW
    lines = _lines(shown)
    certified = shown.drop_duplicates("specification")["certified"].astype(bool)
    scale = {"odds ratio": f"odds ratio per {attrs.get('per', 2):g} Z"}.get(estimand, estimand)
    missing = int((~certified).sum())
    order = (
        "in one order" if narrow and len(terms) > 1 else "each panel in its own order" if len(terms) > 1 else "in order"
    )
    caption = (
        f"{sample_text(attrs)}. Posterior median and {100 * attrs.get('interval', 0.95):g} % interval of the {scale} in "
        f"each of {len(certified):,} specifications, {order}; {int(certified.sum()):,} certified"
        + (f", {missing:,} without estimate (crosses)" if missing else "")
        + ". Darker intervals exclude no effect. Orange: the model as it stands; a heading without a mark: as the model has it. "
        "Specifications share their persons: how many agree is no probability."
    )
    if narrow and any(value in _SHORT for _, value in lines):
        caption += _SHORT_WORDS
    if title is None:
        title = f"{attrs.get('outcome', '')}: {len(certified)} specifications".strip(": ")
    with house_style():
        across = 1 if narrow else min(len(terms), 2)
        down = math.ceil(len(terms) / across)
        labels = max((printed_width(_text(*line, narrow=narrow), 6, "bold") for line in lines), default=8.0) + 4
        curve, step, left, gap_x, gap_y, top = 34.0, 2.7, max(labels, 12.0), 13.0, 12.0, 13.0
        room = (width_mm - left - 2 - gap_x * (across - 1)) / across
        table = step * len(lines)
        # Stacked panels share one table below the last; side by side each has its own, in its own order.
        block = curve + 2 + (0 if narrow else table)
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 3
        height = top + down * block + (down - 1) * gap_y + (table if narrow else 0) + 4 + below
        figure = new_figure(width_mm, height, constrained=False)
        first = _ordered(shown, terms[0])
        for i, term in enumerate(terms):
            row, column = divmod(i, across)
            x, y = left + column * (room + gap_x), top + row * (block + gap_y)
            own = _ordered(shown, term, first["specification"] if narrow else None)
            _curve(axes_at(figure, x, y, room, curve), own, estimand, scale, term)
            if lines and (not narrow or i == len(terms) - 1):
                matrix = axes_at(figure, x, y + curve + 2, room, table)
                _choices(matrix, own, lines, named=column == 0, pad=left - 2, narrow=narrow)
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _lines(shown: pd.DataFrame) -> list[tuple[str, Any]]:
    """Return the lines of the table of choices: each choice that varies, then its values; numbers in order."""
    lines: list[tuple[str, Any]] = []
    for name in _HEADINGS:
        if name not in shown:
            continue
        values = list(shown[name].drop_duplicates())
        if len(values) < 2:
            continue
        if pd.api.types.is_numeric_dtype(shown[name]):
            values.sort(key=lambda value: (math.isnan(value), float(value)))
        lines += [(name, None), *((name, value) for value in values if value != _STANDING)]
    return lines


def _ordered(shown: pd.DataFrame, term: str, order: pd.Series | None = None) -> pd.DataFrame:
    """Return the rows of a term from lowest to highest, or in a given order of the specifications."""
    own = shown[shown["term"] == term]
    if order is not None:
        return own.set_index("specification").loc[order].reset_index()
    return own.sort_values("estimate", na_position="last", kind="stable").reset_index(drop=True)


def _curve(ax: Any, own: pd.DataFrame, estimand: str, scale: str, term: str) -> None:
    null, x = _NULL.get(estimand, 0.0), np.arange(len(own))
    excludes = (own["lower"] > null) | (own["upper"] < null)
    # Bars fill six tenths of their room, whatever the number of specifications and the size of the figure.
    room = 72 * ax.get_position().width * ax.figure.get_size_inches()[0] / (len(own) + 1)
    width = float(np.clip(0.6 * room, 0.3, 2.0))
    ax.vlines(x, own["lower"], own["upper"], colors=np.where(excludes, "#8c8c8c", LIGHT), lw=width, zorder=2)
    ax.scatter(x, own["estimate"], s=float(np.clip(room, 0.8, 3.0)) ** 2, c=INK, zorder=3, lw=0)
    at = np.flatnonzero(own["reference"].astype(bool))
    ax.vlines(x[at], own["lower"].iloc[at], own["upper"].iloc[at], colors=ORANGE, lw=1.6, zorder=4)
    ax.scatter(x[at], own["estimate"].iloc[at], s=14, c=ORANGE, zorder=5, lw=0)
    ax.axhline(null, color=INK, lw=0.6, zorder=1)
    without = np.flatnonzero(own["estimate"].isna())
    if len(without):
        ax.scatter(x[without], np.full(len(without), 0.04), marker="x", s=float(np.clip(room, 2, 4)) ** 2, c=INK, lw=0.6,
                   transform=ax.get_xaxis_transform(), clip_on=False)  # fmt: skip
    if estimand == "odds ratio" and own["estimate"].notna().any():
        ax.set_yscale("log")
        low, high = min(float(own["lower"].min()), 0.97), max(float(own["upper"].max()), 1.03)
        margin = (high / low) ** 0.05
        ax.set_ylim(low / margin, high * margin)
        ticks = ratio_ticks(low / margin, high * margin, 0.12)
        ax.yaxis.set_major_locator(FixedLocator(ticks))
        ax.yaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in ticks]))
        ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlim(-1, len(own))
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.set_ylabel(scale[:1].upper() + scale[1:], labelpad=2)
    ax.set_title(" × ".join(_LABELS.get(name, name) for name in term.split(" × ")), fontsize=7, pad=3, loc="left")


def _choices(
    ax: Any, own: pd.DataFrame, lines: list[tuple[str, Any]], *, named: bool, pad: float, narrow: bool
) -> None:
    x = np.arange(len(own))
    width = float(ax.get_position().width * ax.figure.get_size_inches()[0] * 25.4)
    for y, (name, value) in enumerate(lines):
        heading = value is None
        if not heading:
            ax.axhline(y, color=LIGHT, lw=0.4, zorder=0)
            chosen = (own[name].isna() if pd.isna(value) else own[name] == value).to_numpy()
            colours = np.where(own["reference"].astype(bool)[chosen], ORANGE, INK)
            ax.scatter(x[chosen], np.full(chosen.sum(), y), s=5, c=colours, marker="|", lw=0.7, zorder=2)
        if named:
            ax.text(-pad / width, y, _text(name, value, narrow=narrow), transform=ax.get_yaxis_transform(), va="center",
                    ha="left", fontsize=6, fontweight="bold" if heading else "normal")  # fmt: skip
    ax.set_xlim(-1, len(own))
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.set_axis_off()


def _text(name: str, value: Any, *, narrow: bool) -> str:
    if value is None:
        return _HEADINGS[name]
    if isinstance(value, float):
        return "no random effect" if math.isnan(value) else f"{value:g}"
    return _SHORT.get(value, str(value)) if narrow else str(value)
