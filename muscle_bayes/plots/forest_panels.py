"""Forest plots side by side: one panel an exposure, one line a group, on one ratio axis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from muscle_bayes.plots.style import (
    BLUE,
    CAPTION_LINE,
    GREY,
    INK,
    LIGHT,
    axes_at,
    caption_lines,
    new_figure,
    printed_width,
    ratio_ticks,
    wrapped_lines,
    write_caption,
    write_head,
)

_LINE, _HEAD, _SIZE = 3.7, 4.4, 6.5
_SMALL = 5.5
#: Height of a line with a second estimate beside the first, and how far each lies from its middle.
_PAIR, _APART = 6.0, 1.35


def forest_panels(
    lines: Sequence[Mapping[str, Any]],
    panels: Mapping[str, str],
    *,
    attrs: Mapping[Any, Any],
    title: str,
    caption: str,
    width_mm: float,
    axis: str = "Odds ratio (log scale)",
    references: Mapping[str, Mapping[str, float]] | None = None,
    one_axis: bool = False,
    headings_across: bool = False,
) -> Any:
    """Draw lines of estimates in panels that share their axis and their labels.

    Parameters
    ----------
    lines : sequence of mapping
        From top to bottom: ``{"heading": text}``, or ``{"label": text, "rows": {panel: row}}`` with `estimate, lower,
        upper, text` of each panel and, where there is no estimate, `note`; `bold` and `hollow` where wanted, `beside` (a
        second estimate of each panel, drawn hollow below the first), and `small` (words under the label).
    panels : mapping of str to str
        Name -> what stands above it.
    attrs : mapping
        Of the result, for the mark on simulated data.
    title, caption : str
        Words above and below.
    width_mm : float
        Width in print; below 120 mm numbers stand under each other's panels and are left out.
    axis : str
        Label of the axis, shortened below 120 mm.
    references : mapping of str to row, optional
        An estimate that a panel shows behind all lines, with its interval.
    one_axis : bool
        All panels span the same range; else each its own.
    headings_across : bool
        Headings may run on over the panels, which need no room for them then.

    Returns
    -------
    matplotlib Figure
        Placed in mm.
    """
    narrow = width_mm < 120
    height = sum(_height(line) for line in lines)
    words = [line.get("label", "" if headings_across else line.get("heading", "")) for line in lines]
    small = max(printed_width(str(line.get("small", "")), _SMALL) for line in lines)
    labels = max(small, *(printed_width(str(word), _SIZE, "bold") for word in words)) + 2.5
    texts = [
        str(row.get("text", "")) for line in lines for key in ("rows", "beside") for row in line.get(key, {}).values()
    ]
    numbers = 0.0 if narrow else max(printed_width(text, _SIZE) for text in texts) + 2.5
    gap = 3.0
    room = (width_mm - 2.5 - labels - len(panels) * numbers - (len(panels) - 1) * gap) / len(panels)
    below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 3
    # A head keeps to its own panel, and pushes all panels down where it needs more than two lines for that.
    heads = {
        name: [
            part for line in above.split("\n") for part in wrapped_lines(line, room + numbers + gap - 1.5, 7, "bold")
        ]
        for name, above in panels.items()
    }
    top = 13.5 + 3.0 * max(0, max(map(len, heads.values())) - 2)
    figure = new_figure(width_mm, top + height + 9.5 + below, constrained=False)
    for i, name in enumerate(panels):
        low, high = _range(lines, list(panels) if one_axis else [name])
        ax = axes_at(figure, labels + i * (room + numbers + gap), top, room, height)
        _panel(ax, lines, name, low, high, height, gap=min(6.5 / room, 0.4), numbers=not narrow)
        if references and name in references:
            one = references[name]
            ax.axvspan(one["lower"], one["upper"], color=LIGHT, alpha=0.6, lw=0, zorder=0)
            ax.axvline(one["estimate"], color=GREY, lw=0.7, ls=(0, (4, 3)), zorder=1)
        ax.set_title("\n".join(heads[name]), fontsize=7, pad=3, loc="left")
        ax.set_xlabel(axis.replace("Odds ratio", "OR") if narrow else axis, labelpad=1)
        if i == 0:
            _labels(ax, lines, height, labels, room)
    write_head(figure, title, attrs, width_mm)
    write_caption(figure, caption, width_mm)
    return figure


def _range(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[float, float]:
    rows = [
        line[key][name] for line in lines for key in ("rows", "beside") for name in names if name in line.get(key, {})
    ]
    values = [row[key] for row in rows for key in ("lower", "upper")]
    shown = np.array([value for value in values if np.isfinite(value)] or [0.8, 1.25])
    # A tiny group's interval may reach beyond what others need; it is cut with an arrow there.
    low, high = max(shown.min(), 0.2), min(shown.max(), 5.0)
    margin = (high / low) ** 0.04
    return min(low / margin, 0.93), max(high * margin, 1.07)


def _height(line: Mapping[str, Any]) -> float:
    return _HEAD if "heading" in line else _PAIR if line.get("beside") or line.get("small") else _LINE


def _centres(lines: Sequence[Mapping[str, Any]]) -> list[float]:
    y, out = 0.0, []
    for line in lines:
        size = _height(line)
        out.append(y + size / 2)
        y += size
    return out


def _panel(
    ax: Any,
    lines: Sequence[Mapping[str, Any]],
    name: str,
    low: float,
    high: float,
    height: float,
    *,
    gap: float,
    numbers: bool,
) -> None:
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.set_ylim(height, 0)
    ticks = ratio_ticks(low, high, gap)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.axvline(1, color=INK, lw=0.6, zorder=1)
    for line, centre in zip(lines, _centres(lines), strict=True):
        row, second = line.get("rows", {}).get(name), line.get("beside", {}).get(name)
        apart = _APART if line.get("beside") else 0.0
        if row is not None:
            _estimate(ax, row, centre - apart, low, high, hollow=bool(line.get("hollow")), bold=bool(line.get("bold")),
                      numbers=numbers)  # fmt: skip
        if second is not None:
            _estimate(ax, second, centre + apart, low, high, hollow=True, bold=False, numbers=numbers)


def _estimate(
    ax: Any, row: Mapping[str, Any], y: float, low: float, high: float, *, hollow: bool, bold: bool, numbers: bool
) -> None:
    """Draw one estimate with its interval, cut with an arrow where it leaves the panel."""
    if not np.isfinite(row["estimate"]):
        ax.text(0.5, y, "no estimate", transform=ax.get_yaxis_transform(), ha="center", va="center",
                fontsize=6, color=GREY, style="italic", zorder=6,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
        return
    colour = BLUE if hollow else INK
    ends = np.clip([row["lower"], row["upper"]], low, high)
    ax.plot(ends, [y, y], color=colour, lw=1.2, solid_capstyle="butt", zorder=3)
    for end, marker in ((row["lower"] < low, "<"), (row["upper"] > high, ">")):
        if end:
            ax.plot(low if marker == "<" else high, y, marker, color=colour, ms=3, clip_on=False, zorder=4)
    if low <= row["estimate"] <= high:
        ax.plot(row["estimate"], y, "s", mfc="white" if hollow else colour, mec=colour if hollow else "white", ms=3.4,
                mew=0.6, zorder=5)  # fmt: skip
    if numbers:
        ax.annotate(row["text"], (1, y), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                    va="center", fontsize=_SIZE, fontweight="bold" if bold else "normal")  # fmt: skip


def _labels(ax: Any, lines: Sequence[Mapping[str, Any]], height: float, labels: float, room: float) -> None:
    for line, centre in zip(lines, _centres(lines), strict=True):
        heavy = "heading" in line or line.get("bold")
        small = line.get("small")
        if small:
            ax.text(-(labels - 1.5) / room, centre + 1.4, small, transform=ax.get_yaxis_transform(), ha="left", va="center",
                    fontsize=_SMALL, color=GREY)  # fmt: skip
            centre -= 1.2
        ax.text(-(labels - 1.5) / room, centre, line.get("heading") or line["label"], transform=ax.get_yaxis_transform(),
                ha="left", va="center", fontsize=_SIZE, fontweight="bold" if heavy else "normal",
                # A heading may run on over the panel: its letters keep clear of the line of no effect.
                bbox={"fc": "white", "ec": "none", "pad": 0.6} if "heading" in line else None)  # fmt: skip
