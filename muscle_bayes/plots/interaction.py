"""Interaction of two exposures: the risks of the four cells, and what departs from adding up and from multiplying."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from muscle_bayes.estimands.rounding import estimate_text, probability_text
from muscle_bayes.plots.style import (
    CAPTION_LINE,
    GREY,
    INK,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    method_text,
    new_figure,
    printed_width,
    ratio_ticks,
    sample_text,
    value_ticks,
    write_caption,
    write_head,
)

_LINE, _SIZE = 4.6, 6.5
_CELLS = ("00", "10", "01", "11")
_ADDITIVE = {"RERI": "RERI", "AP": "AP"}
_RATIOS = {"S": "S", "ratio of risk ratios": "Ratio of risk ratios", "ratio of odds ratios": "Ratio of odds ratios"}


def interaction(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw the four cells of two exposures, and below them the measures of interaction.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `interaction`; without risks (case-control) the cells are odds ratios.
    width_mm : float
        Width in print.
    title : str, optional
        By default the outcome and the exposures.

    Returns
    -------
    matplotlib Figure
        Measures that are refused say so.
    """
    attrs, narrow = result.attrs, width_mm < 120
    with_risks = bool((result["estimand"] == "risk").any())
    cells = result[result["cell"].isin(_CELLS) & (result["estimand"] == ("risk" if with_risks else "odds ratio"))]
    suffix = "" if with_risks else " (odds ratios)"
    additive = _measures(result, {f"{name}{suffix}": words for name, words in _ADDITIVE.items()})
    ratios = _measures(result, {f"{k}{suffix}" if k == "S" else k: words for k, words in _RATIOS.items()})
    caption = _caption(result, with_risks=with_risks)
    blocks = [
        (_cell_lines(cells, narrow=narrow), "Risk (%)" if with_risks else "Odds ratio (log scale)"),
        (additive, "Departure from adding up (0: none)"),
        (ratios, "Ratio, log scale (1: none)" if narrow else "Ratio (1: none; log scale)"),
    ]
    words = [line["label"] for lines, _ in blocks for line in lines]
    texts = [line["text"] for lines, _ in blocks for line in lines]
    labels = max(printed_width(word, _SIZE) for text in words for word in text.split("\n")) + 3
    numbers = max(printed_width(text, _SIZE) for text in texts) + 4
    room = width_mm - labels - numbers - 3
    with house_style():
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 3
        heights = [sum(_height(line) for line in lines) for lines, _ in blocks]
        top, foot, head = 9.0, 10.5, 4.5
        figure = new_figure(width_mm, top + sum(heights) + len(blocks) * (foot + head) + below, constrained=False)
        y = top
        for k, ((lines, axis), height) in enumerate(zip(blocks, heights, strict=True)):
            ax = axes_at(figure, labels, y + head, room, height)
            _panel(ax, lines, height, 100.0 if k == 0 and with_risks else 1.0, labels, room)
            ax.set_xlabel(axis, labelpad=1)
            if k == 2 or (k == 0 and not with_risks):
                _log(ax, lines, room, gap=0.16 if narrow else 0.1)
            elif k == 1:
                ax.axvline(0, color=INK, lw=0.6, zorder=1)
            down = 1 - (y + head - 1) / (25.4 * figure.get_size_inches()[1])
            figure.text(1.5 / width_mm, down, "abc"[k], fontsize=8, fontweight="bold", va="bottom")
            y += height + foot + head
        names = " × ".join(part.split(" = ")[0] for part in str(cells["contrast"].iloc[0]).split(", "))
        title = title if title is not None else f"{attrs.get('outcome', '')}: {names}".strip(": ")
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _cell_lines(cells: pd.DataFrame, *, narrow: bool) -> list[dict[str, Any]]:
    lines = []
    for _, row in cells.iterrows():
        label = str(row["contrast"]).replace(", ", ",\n") if narrow else str(row["contrast"])
        if row["estimand"] == "risk":
            shown = {key: 100 * row[key] for key in ("estimate", "lower", "upper")}
            lines.append({"label": label, "text": _percent(row), **shown})
        else:
            lines.append(
                {"label": label, "text": str(row["text"]), **{k: row[k] for k in ("estimate", "lower", "upper")}}
            )
    return lines


def _percent(row: pd.Series) -> str:
    """Return a risk in percent, each number with the digits that its Monte Carlo error allows."""
    scaled = {
        key: 100 * row[key] for key in ("estimate", "lower", "upper", "mcse", "lower_mcse", "upper_mcse") if key in row
    }
    return estimate_text(scaled, most=1)


def _measures(result: pd.DataFrame, names: dict[str, str]) -> list[dict[str, Any]]:
    lines = []
    for name, words in names.items():
        rows = result[result["estimand"] == name]
        if rows.empty:
            continue
        row = rows.iloc[0]
        text = str(row["text"]) if np.isfinite(row["estimate"]) else "refused"
        lines.append({"label": words, "text": text, **{k: row[k] for k in ("estimate", "lower", "upper")}})
    return lines


def _height(line: dict[str, Any]) -> float:
    return _LINE + 2.6 * line["label"].count("\n")


def _panel(ax: Any, lines: list[dict[str, Any]], height: float, scale: float, labels: float, room: float) -> None:
    ax.set_ylim(height, 0)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    y = 0.0
    for line in lines:
        centre = y + _height(line) / 2
        y += _height(line)
        known = bool(np.isfinite(line["estimate"]))
        if known:
            ax.plot([line["lower"], line["upper"]], [centre] * 2, color=INK, lw=1.2, solid_capstyle="butt", zorder=3)
            ax.plot(line["estimate"], centre, "s", color=INK, ms=3.6, mec="white", mew=0.4, zorder=4)
        colour = INK if known else GREY
        ax.text(-(labels - 1.5) / room, centre, line["label"], transform=ax.get_yaxis_transform(), va="center",
                fontsize=_SIZE, color=colour, linespacing=1.1)  # fmt: skip
        ax.annotate(line["text"], (1, centre), xycoords=("axes fraction", "data"), xytext=(5, 0),
                    textcoords="offset points", va="center", fontsize=_SIZE, color=colour)  # fmt: skip
    ax.margins(x=0.05)
    low, high = ax.get_xlim()
    ax.set_xticks(value_ticks(ax, low, high, room, 4))
    ax.set_xlim(low, high)


def _log(ax: Any, lines: list[dict[str, Any]], room: float, *, gap: float) -> None:
    known = [line for line in lines if np.isfinite(line["estimate"])]
    low = min([0.95, *(line["lower"] for line in known if line["lower"] > 0)])
    high = max([1.05, *(line["upper"] for line in known)])
    margin = (high / low) ** 0.05
    ax.set_xscale("log")
    ax.set_xlim(low / margin, high * margin)
    ticks = ratio_ticks(low / margin, high * margin, gap, room)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axvline(1, color=INK, lw=0.6, zorder=1)


def _caption(result: pd.DataFrame, *, with_risks: bool) -> str:
    attrs = result.attrs
    kind = "risks with everyone of the analysis set at both levels" if with_risks else "odds ratios"
    site = f" Site: {attrs['site_meaning']}." if with_risks and attrs.get("sites") and attrs.get("site_meaning") else ""
    suffix, of_what = ("", "standardised risks") if with_risks else (" (odds ratios)", "odds ratios")
    words = (
        f"{sample_text(attrs)}. {method_text(attrs)} a: {kind}, the reference cell first; b, c: both exposures (last cell) "
        f"against neither. RERI: relative excess risk due to interaction; AP: proportion attributable to interaction; S: synergy "
        f"index, of {of_what}.{site}"
    )
    for _, row in result[(result["estimand"] == f"RERI{suffix}") & result["prob_gt_null"].notna()].iterrows():
        chance = probability_text(row["prob_gt_null"])
        words += f" P(RERI > 0) {chance if chance[:1] in '<>' else '= ' + chance}."
    # Both versions may be refused, with different probabilities: the caption speaks of the one that is drawn.
    drawn = result["estimand"].isin(f"{name}{suffix}" for name in ("AP", "S"))
    for note in dict.fromkeys(result.loc[drawn & result["note"].astype(str).str.startswith("refused"), "note"]):
        words += f" AP and S of {of_what} are {_with_names(str(note), attrs)}."
    return words


def _with_names(note: str, attrs: Mapping[Any, Any]) -> str:
    """Return a note with the level of the exposure that it calls the first or the second."""
    first, _, second = str(attrs.get("exposed_cell", "")).partition(", ")
    for which, level in (("first", first), ("second", second)):
        if level:
            note = note.replace(f"the {which} exposure alone", f"{level} alone")
    return note
