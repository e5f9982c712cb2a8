"""The nomogram on paper: a points axis, one axis a predictor in raw units, total points, probability with its band."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from muscle_bayes.plots.style import (
    BLUE,
    CAPTION_LINE,
    GREY,
    INK,
    LIGHT,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    is_simulated,
    method_text,
    new_figure,
    printed_width,
    sample_text,
    write_caption,
    write_head,
)

_FINE, _TEXT = 5.6, 6.5
_ROW, _TIGHT, _HEADING, _FOLD = 7.4, 6.2, 4.2, 5.0
_LEADER, _LONGEST_LEADER = 1.4, 4.0
_PROBABILITIES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def nomogram(result: Any, ax: Any = None, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw a nomogram in the layout of R's rms, with the credible band of the probability under its axis.

    Parameters
    ----------
    result : Nomogram
        With `points` and `scale`.
    ax : matplotlib Axes, optional
        Draw here, without caption; give it about the proportions of a page. By default a new figure.
    width_mm : float
        Width in print of a new figure.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        Text stays text in SVG and PDF.
    """
    points, scale, attrs = result.points, result.scale, result.points.attrs
    title = title if title is not None else f"{attrs.get('outcome', 'Outcome')}: nomogram"
    with house_style():
        if ax is not None:
            box = ax.get_window_extent()
            across, down = (25.4 * side / ax.figure.dpi for side in (box.width, box.height))
            _draw(ax, _Page(points, scale, across), down)
            ax.set_title(title + (" (Simulated data)" if is_simulated(attrs) else ""), loc="left")
            return ax
        page = _Page(points, scale, width_mm)
        caption = _caption(attrs, points)
        foot = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 4
        figure = new_figure(width_mm, 8 + page.height + foot, constrained=False)
        _draw(axes_at(figure, 0, 8, width_mm, page.height), page, page.height)
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


@dataclass
class _Row:
    """One axis: its words at the left, its ticks, and how much room it takes."""

    words: str
    bold: bool
    at: np.ndarray
    labels: list[str]
    numeric: bool
    supported: np.ndarray
    fanned: list[bool]
    height: float = _ROW
    indent: float = 0.0
    heading: str = ""

    @property
    def runs(self) -> list[np.ndarray]:
        """Ticks of each line: an axis that turns goes on in the next line, from the tick where it turns."""
        return _lines(self.at, self.numeric)

    @property
    def downs(self) -> np.ndarray:
        """How far below the row's first axis each line lies, and last where the row ends, in mm."""
        steps = [_FOLD] * (len(self.runs) - 1) + [0.0]
        return np.cumsum([0.0, *(step + _LEADER * fan for step, fan in zip(steps, self.fanned, strict=True))])


class _Page:
    """Where everything lies, in mm from the upper left corner."""

    def __init__(self, points: pd.DataFrame, scale: pd.DataFrame, width_mm: float) -> None:
        self.points, self.scale, self.width = points, scale, width_mm
        self.narrow = width_mm < 120
        self.left, self.right = (25.0 if self.narrow else 46.0), width_mm - 5.0
        self.panel = 30.0 if self.narrow else 34.0
        self.rows = [self._row(axis) for _, axis in points.groupby("axis", sort=True)]
        self.height = _ROW + sum(row.height for row in self.rows) + 2 * _ROW + 3 + self.panel + 10

    def _row(self, axis: pd.DataFrame) -> _Row:
        first = axis.iloc[0]
        name = f"{first['label']} ({first['unit']})" if first["unit"] else str(first["label"])
        mark = "" if first["role"] == "exposure" else " †"
        words = name + mark
        if first["unit"] and printed_width(words, _TEXT, "normal" if mark else "bold") > self.left - 3.5:
            words = f"{first['label']}{mark}\n({first['unit']})"
        numeric = bool(axis["value"].notna().all()) and not set(axis["level"]) <= {"no", "yes"}
        at, labels = axis["points"].to_numpy(), list(axis["level"])
        fanned = [numeric and _cramped(self.x_points(at[k]), [labels[i] for i in k]) for k in _lines(at, numeric)]
        row = _Row(words, first["role"] == "exposure", at, labels, numeric, axis["supported"].to_numpy(), fanned)
        if first["held"]:
            leader = self.points[self.points["predictor"] == first["predictor"]]["axis"].min() == first["axis"]
            row.heading = f"{name} at …" if leader else ""
            short, unit = str(first["held_short"]), str(first["held"]).removeprefix(str(first["held_short"])).strip()
            if leader and self.narrow and unit and ", " not in short:
                # One column has no room for the unit in each line.
                row.heading = f"{name} at {short.split(' = ')[0]} in {unit} …"
            row.words, row.bold = (first["held_short"] if self.narrow else first["held"]), False
            row.indent, row.height = 2.0, _TIGHT + (_HEADING if leader else 0.0)
        row.height += row.downs[-1]
        return row

    def x_points(self, points: Any) -> Any:
        """Place points 0 to 100."""
        return self.left + (self.right - self.left) * np.asarray(points, dtype=float) / 100

    def x_total(self, total: Any) -> Any:
        """Place total points; the scale's last row is the right end."""
        ends = self.scale["total_points"].iloc[[0, -1]].to_numpy()
        return self.left + (self.right - self.left) * (np.asarray(total, dtype=float) - ends[0]) / (ends[1] - ends[0])


def _draw(ax: Any, page: _Page, height: float) -> None:
    ax.set_xlim(0, page.width)
    ax.set_ylim(height, 0)
    ax.set_axis_off()
    y = _ROW * 0.55
    ticks = np.arange(0, 101, 10)
    for x in page.x_points(ticks):
        ax.plot([x, x], [y, y + sum(r.height for r in page.rows) + 2], color=LIGHT, lw=0.3, zorder=0)
    _axis(ax, page, y, page.x_points(ticks), [f"{t:d}" for t in ticks], above=True)
    _words(ax, y, "Points", bold=True)
    y += 2.0
    for row in page.rows:
        y += row.height
        first = y - row.downs[-1]
        if row.heading:
            _words(ax, first - _TIGHT + 1.0, row.heading, bold=True)
        _words(ax, first, row.words, bold=row.bold, indent=row.indent)
        if row.numeric:
            at = page.x_points(row.at)
            for line, run in enumerate(row.runs):
                down = first + row.downs[line]
                labels = [row.labels[k] for k in run]
                _axis(ax, page, down, at[run], labels, supported=row.supported[run])
                if line:
                    ax.plot([at[run[0]]] * 2, [first + row.downs[line - 1], down], color=GREY, lw=0.5, ls=":", zorder=2)
        else:
            _categories(ax, y, page.x_points(row.at), row.labels)
    _probability(ax, page, y + _ROW + 2)


def _probability(ax: Any, page: _Page, y: float) -> None:
    scale = page.scale
    total, estimate = scale["total_points"].to_numpy(), scale["estimate"].to_numpy()
    inside = ~scale["extrapolated"].to_numpy()
    step = _round_step(total[-1] - total[0], 8 if page.narrow else 14)
    ticks = np.arange(max(0.0, np.ceil(total[0] / step)), np.floor(total[-1] / step) + 1) * step
    _axis(ax, page, y, page.x_total(ticks), [f"{t:g}" for t in ticks])
    _words(ax, y, "Total points", bold=True)

    y += _ROW
    marks = [p for p in _PROBABILITIES if estimate[0] <= p <= estimate[-1]]
    x = page.x_total(np.interp(marks, estimate, total))
    with_data = np.interp(np.interp(marks, estimate, total), total, inside.astype(float)) > 0.99
    _axis(ax, page, y, x, [f"{100 * p:g}" for p in marks], supported=with_data)
    _words(ax, y, "Probability (%)", bold=True)

    top, bottom = y + 5.5, y + 5.5 + page.panel
    highest = _ceiling(float(np.nanmax(np.where(inside, scale["upper"].fillna(scale["estimate"]), np.nan))))

    def down(p: Any) -> Any:
        return bottom - (bottom - top) * np.asarray(p, dtype=float) / highest

    step = _round_step(highest, 4)
    for p in np.arange(0, highest + 1e-9, step):
        ax.plot([page.left, page.right], [down(p)] * 2, color=LIGHT, lw=0.3, zorder=0)
        ax.text(page.left - 1.2, down(p), f"{100 * p:g}", ha="right", va="center", fontsize=_FINE)
    persons = scale["n"].to_numpy() / max(scale["n"].max(), 1)
    ax.fill_between(page.x_total(total), bottom, bottom - 5.0 * persons, color=LIGHT, lw=0, zorder=1)
    xs = page.x_total(total)
    if scale["lower"].notna().any():
        band = inside & scale["lower"].notna().to_numpy()
        ax.fill_between(xs[band], down(scale["lower"][band]), down(scale["upper"][band]), color=BLUE, alpha=0.25, lw=0)
    ax.plot(xs[inside], down(estimate[inside]), color=BLUE, lw=1.1)
    beyond = (total > total[inside].max() - 1e-9) & (estimate <= highest)
    for part in (total < total[inside].min() + 1e-9, beyond):
        ax.plot(xs[part], down(estimate[part]), color=GREY, lw=0.8, ls=":")
    for t in ticks:
        ax.plot([page.x_total(t)] * 2, [bottom, bottom + 0.9], color=INK, lw=0.5)
        ax.text(page.x_total(t), bottom + 1.3, f"{t:g}", ha="center", va="top", fontsize=_FINE)
    ax.plot([page.left, page.right], [bottom, bottom], color=INK, lw=0.6)
    ax.text((page.left + page.right) / 2, bottom + 4.0, "Total points", ha="center", va="top", fontsize=_TEXT)
    level = f"{100 * scale['interval'].iloc[0]:g} %"
    words = (
        ["Probability (%)", "and its", f"{level} interval"]
        if page.narrow
        else ["Probability (%)", f"and its {level} interval"]
    )
    for k, line in enumerate(words):
        _words(ax, top + 3 + 3.2 * k, line, bold=k == 0)
    _words(ax, bottom - 2.0, "Grey: persons", bold=False)


def _axis(
    ax: Any,
    page: _Page,
    y: float,
    x: np.ndarray,
    labels: list[str],
    *,
    supported: np.ndarray | None = None,
    above: bool = False,
) -> None:
    """Draw a numeric axis; the stretch that no data support is thin and dotted."""
    supported = np.ones(len(x), dtype=bool) if supported is None else np.asarray(supported, dtype=bool)
    order = np.argsort(x)
    for i, j in pairwise(order):
        held = supported[i] and supported[j]
        ax.plot(
            [x[i], x[j]],
            [y, y],
            color=INK if held else GREY,
            lw=0.7 if held else 0.5,
            ls="-" if held else ":",
            zorder=3,
        )
    side = -1 if above else 1
    shown = _labels_that_fit(x, labels)
    if _cramped(x, labels):
        _fan(ax, page, y, x, labels, supported)
        return
    for k, (at, text) in enumerate(zip(x, labels, strict=True)):
        colour = INK if supported[k] else GREY
        ax.plot([at, at], [y, y + side * (0.9 if shown[k] else 0.55)], color=colour, lw=0.5, zorder=3)
        if shown[k]:
            ax.text(
                at, y + side * 1.2, text, ha="center", va="bottom" if above else "top", fontsize=_FINE, color=colour
            )


def _cramped(x: np.ndarray, labels: list[str]) -> bool:
    """Say whether an axis has no room for three labels, though it has that many ticks."""
    return bool(_labels_that_fit(x, labels).sum() <= 2 < len(x))


def _fan(ax: Any, page: _Page, y: float, x: np.ndarray, labels: list[str], supported: np.ndarray) -> None:
    """Write the labels of a short axis side by side beneath it, each with a line to its tick."""
    order = np.argsort(x, kind="stable")
    widths = np.array([printed_width(text, _FINE) for text in labels])
    for count in range(len(x), 1, -1):
        # Both ends stay; the ticks between them are thinned until no line is long.
        kept = order[np.unique(np.round(np.linspace(0, len(x) - 1, count)).astype(int))]
        apart = np.cumsum([0.0, *((widths[kept][:-1] + widths[kept][1:]) / 2 + 1.1)])
        # Nearest places in the same order that are far enough apart: an isotonic regression once the distances are taken off.
        centres = isotonic_regression(x[kept] - apart).x + apart
        centres += max(page.left - 0.5 - (centres[0] - widths[kept[0]] / 2), 0.0)
        centres -= max(centres[-1] + widths[kept[-1]] / 2 - page.width + 0.5, 0.0)
        if np.abs(centres - x[kept]).max() <= _LONGEST_LEADER:
            break
    for at, held in zip(x, supported, strict=True):
        ax.plot([at, at], [y, y + 0.7], color=INK if held else GREY, lw=0.4, zorder=3)
    for k, centre in zip(kept, centres, strict=True):
        colour = INK if supported[k] else GREY
        ax.plot([x[k], centre], [y + 0.7, y + 1.1 + _LEADER], color=colour, lw=0.35, zorder=3)
        ax.text(centre, y + 1.4 + _LEADER, labels[k], ha="center", va="top", fontsize=_FINE, color=colour)


def _lines(x: np.ndarray, numeric: bool) -> list[np.ndarray]:
    """Return the ticks of each line of an axis; categories have one."""
    return _runs(x) if numeric else [np.arange(len(x))]


def _runs(x: np.ndarray) -> list[np.ndarray]:
    """Return the ticks of an axis as stretches that rise or fall; the tick where it turns is in both."""
    steps = np.diff(x)
    signs = np.where(np.abs(steps) > 1e-9 * max(np.ptp(x), 1e-9), np.sign(steps), 0.0)
    for i in np.flatnonzero(signs == 0):
        signs[i] = signs[i - 1] if i else 1.0
    turns = np.flatnonzero(np.diff(signs) != 0) + 1
    ends = [0, *turns, len(x) - 1]
    return [np.arange(a, b + 1) for a, b in pairwise(ends)] if len(x) > 1 else [np.arange(len(x))]


def _categories(ax: Any, y: float, x: np.ndarray, labels: list[str]) -> None:
    """Draw an axis of categories; a label that would touch its neighbour goes above the line."""
    ax.plot([x.min(), x.max()], [y, y], color=INK, lw=0.7, zorder=3)
    ends = {1: -np.inf, -1: -np.inf}
    for k in np.argsort(x, kind="stable"):
        half = printed_width(labels[k], _FINE) / 2
        side = 1 if x[k] - half > ends[1] + 1.0 or ends[1] <= ends[-1] else -1
        # Pushed right where both sides are taken; the tick still says where it belongs.
        centre = max(x[k], ends[side] + 1.0 + half)
        ends[side] = centre + half
        ax.plot([x[k], x[k]], [y, y + side * 0.9], color=INK, lw=0.5, zorder=3)
        ax.text(centre, y + side * 1.2, labels[k], ha="center", va="top" if side > 0 else "bottom", fontsize=_FINE)


def _words(ax: Any, y: float, text: str, *, bold: bool, indent: float = 0.0) -> None:
    ax.text(1.8 + indent, y, text, ha="left", va="center", fontsize=_TEXT, fontweight="bold" if bold else "normal")


def _labels_that_fit(x: np.ndarray, labels: list[str]) -> np.ndarray:
    """Thin labels evenly until none touches its neighbour."""
    widths = np.array([printed_width(text, _FINE) for text in labels])
    order = np.argsort(x)
    for stride in range(1, len(x) + 1):
        kept = order[::stride]
        gaps = np.diff(x[kept]) - (widths[kept][:-1] + widths[kept][1:]) / 2
        if len(kept) < 2 or gaps.min() > 1.1:
            break
    shown = np.zeros(len(x), dtype=bool)
    if len(x):
        shown[kept] = True
    return shown


def _round_step(length: float, most: int) -> float:
    rough = length / most
    power = 10.0 ** np.floor(np.log10(rough))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= rough - 1e-12))


def _ceiling(probability: float) -> float:
    step = _round_step(probability, 4)
    return float(min(1.0, np.ceil(probability / step - 1e-9) * step))


def _caption(attrs: dict[Any, Any], points: pd.DataFrame) -> str:
    text = (
        f"{attrs['note']} {sample_text(attrs)}. {method_text(attrs)} Read each predictor's points off the top axis, "
        f"add them, and go down from the total. Points: {attrs['points_from']}. Band: {attrs['band']}; dotted: no such "
        f"persons in the data. Site: {attrs['site']}, {attrs['site_meaning']}."
    )
    if any(len(_runs(axis["points"].to_numpy())) > 1 for _, axis in points[points["value"].notna()].groupby("axis")):
        text += " An axis that turns goes on in the next line."
    if (points["role"] == "adjustment").any():
        text += " † Adjustment terms: part of the prediction, but their points are not effects."
    return text.strip()
