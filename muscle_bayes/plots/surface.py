"""The odds-ratio surface of two exposures: how large, how sure, and where there are data at all."""

from typing import Any

import matplotlib.patheffects as halo
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FixedFormatter, FixedLocator, MultipleLocator, NullFormatter, NullLocator

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.plots.style import (
    CAPTION_LINE,
    DIVERGING,
    GREY,
    INK,
    SEXES,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    mark_simulated_axes,
    method_text,
    new_figure,
    ratio_ticks,
    sample_text,
    write_caption,
    write_head,
)

_HATCH = "//////"
# Two patterns, so that a print in grey still tells the sexes apart.
_DASHES: dict[str, Any] = {"female": (0, (5, 2)), "male": (0, (1.5, 1.3))}


def surface(
    result: pd.DataFrame,
    ax: Any = None,
    *,
    sex: str | None = None,
    interval: str = "contour",
    width_mm: float = TWO_COLUMNS,
    title: str | None = None,
) -> Any:
    """Draw the odds ratio of two exposures against a reference, with its probability of exceeding 1.

    Colours are logarithmic and centred at 1; labelled contours say the same without colour. The heavy line encloses
    where the interval excludes 1. Combinations that the analysis set does not hold are hatched.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `odds_ratio_surface`; of several models, a row of panels for each, with one scale of colours and the same cells
        (below 120 mm the odds ratios alone, whose heavy lines hold the intervals).
    ax : matplotlib Axes, optional
        Draw the odds ratios here, alone; by default a new figure with edge densities and the second panel.
    sex : str, optional
        Mask by the support of this sex; by default by either sex's, with each sex's own outline.
    interval : {"contour", "panels"}
        Show the interval by the heavy contour, or also as two panels of its lower and upper limit.
    width_mm : float
        Width in print; panels are stacked below 120 mm.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure, or Axes where one was given
        Axes in Z, with raw units beside them.
    """
    sheets = _sheets(result, sex)
    title = title if title is not None else str(result.attrs.get("outcome", ""))
    with house_style():
        if ax is not None:
            if len(sheets) > 1:
                raise InvalidValueError(
                    "ax=", f"{len(sheets)} models need a panel each", "Leave ax out, or give one model's rows"
                )
            _odds_panel(ax, sheets[0], "estimate", sexes=sex is None)
            ax.set_title(title, loc="left")
            mark_simulated_axes(ax, result.attrs)
            return ax
        figure = _figure(sheets, sex, interval == "panels", width_mm)
        write_head(figure, title, result.attrs, width_mm)
        write_caption(figure, _caption(sheets, sex), width_mm)
        return figure


def _sheets(result: pd.DataFrame, sex: str | None) -> list["_Sheet"]:
    """Return one sheet a model, all with the scale of colours that holds every one."""
    names = result.attrs.get("models", [""])
    parts = [result if name == "" else result[result["model"] == name] for name in names]
    sheets = [_Sheet(part, sex, name) for part, name in zip(parts, names, strict=True)]
    reach = max(sheet.reach for sheet in sheets)
    for sheet in sheets:
        sheet.reach, sheet.norm = reach, LogNorm(1 / reach, reach)
    return sheets


class _Sheet:
    """A surface's columns as matrices, shape (values of the second exposure, values of the first)."""

    def __init__(self, result: pd.DataFrame, sex: str | None, name: str = "") -> None:
        self.attrs = result.attrs
        self.name = name
        self.first, self.second = result.attrs["exposures"]
        self.frame = result
        self.x = np.unique(result[self.first])
        self.y = np.unique(result[self.second])
        self.supported = self.matrix("supported" if sex is None else f"supported_{sex}").astype(bool)
        # Colours are for what is shown: the masked corners would take the range otherwise.
        shown = np.abs(np.log(self.matrix("estimate")[self.supported])) if self.supported.any() else np.array([0.2])
        reach = float(np.exp(max(np.quantile(shown, 1.0), 0.1)))
        self.reach = reach
        self.norm = LogNorm(1 / reach, reach)

    def matrix(self, column: str) -> np.ndarray:
        """Return one column as a matrix."""
        ordered = self.frame.sort_values([self.second, self.first])
        return ordered[column].to_numpy().reshape(len(self.y), len(self.x))


# Print layout of one panel, in mm: room for two axes (Z, raw units) at the left and below, edges above and at the right.
_LEFT, _EDGE, _HEAD, _BELOW, _BAR, _TITLE = 20.0, 9.0, 6.0, 16.5, 12.0, 14.0


def _figure(sheets: list[_Sheet], sex: str | None, panels: bool, width_mm: float) -> Any:
    narrow = width_mm < 120
    # Of several models in one column the odds ratios alone, or the figure would be longer than a page.
    short = narrow and len(sheets) > 1 and not panels
    sheet, each_count = sheets[0], 4 if panels else 1 if short else 2
    across = 1 if narrow else 2
    side = (width_mm - across * (_LEFT + _EDGE) - 3) / across
    down = side * 0.97
    count = each_count * len(sheets)
    rows = -(-count // across)
    each = _HEAD + down + _BELOW + _BAR
    caption = _caption(sheets, sex)
    height = _TITLE + rows * each + CAPTION_LINE * len(caption_lines(caption, width_mm)) + 3
    figure = new_figure(width_mm, height, constrained=False)
    places = [
        (_LEFT + (k % across) * (_LEFT + side + _EDGE), _TITLE + (k // across) * each + _HEAD) for k in range(count)
    ]
    boxes = [axes_at(figure, left, top, side, down) for left, top in places]
    bars = [axes_at(figure, left, top + down + _BELOW, side, 2.0) for left, top in places]
    headings: list[str] = []
    level = 100 * sheet.attrs.get("interval", 0.95)
    for at, one in zip(range(0, count, each_count), sheets, strict=True):
        _odds_panel(boxes[at], one, "estimate", sexes=sex is None, bar=bars[at])
        if not short:
            _probability_panel(boxes[at + 1], one, bar=bars[at + 1])
        words = ["Odds ratio", "P(odds ratio > 1)" if one.name else "Probability that it exceeds 1"]
        if panels:
            for k, column in ((2, "lower"), (3, "upper")):
                _odds_panel(boxes[at + k], one, column, sexes=False, bar=bars[at + k])
                words.append(f"Odds ratio, {column} limit ({level:g} %)")
        headings += [f"{one.name}: {text.replace('Odds', 'odds')}" if one.name else text for text in words[:each_count]]
    for k, ((left, top), heading) in enumerate(zip(places, headings, strict=True)):
        y = 1 - (top - (_EDGE + 1.5 if k == 0 else 1.5)) / height
        figure.text((left - 4) / width_mm, y, chr(ord("a") + k), fontsize=8, fontweight="bold", va="bottom")
        figure.text(left / width_mm, y, heading, fontsize=7, fontweight="bold", va="bottom")
    densities = sheet.attrs.get("densities", {})
    if densities:
        left, top = places[0]
        above = axes_at(figure, left, top - _EDGE, side, _EDGE - 1, sharex=boxes[0])
        beside = axes_at(figure, left + side + 1, top, _EDGE - 1, down, sharey=boxes[0])
        _edge(above, densities[sheet.first], sex, vertical=False)
        _edge(beside, densities[sheet.second], sex, vertical=True)
        names = [name for name in densities[sheet.first] if name != "z" and sex in (None, name)]
        for k, name in enumerate(names):
            x, y = (left + side + 1) / width_mm, 1 - (top - 4.2 + 2.6 * k) / height
            figure.text(x, y, name, fontsize=6, color=SEXES.get(name, GREY), va="center")
    return figure


def _odds_panel(ax: Any, sheet: _Sheet, column: str, *, sexes: bool, bar: Any = None) -> None:
    values = sheet.matrix(column)
    mesh = ax.pcolormesh(sheet.x, sheet.y, values, norm=sheet.norm, cmap=DIVERGING, shading="gouraud", rasterized=True)
    shown = np.where(sheet.supported, values, np.nan)
    levels = _inside(ratio_ticks(float(np.nanmin(values)), float(np.nanmax(values)), 0.1), shown)
    if levels:
        lines = ax.contour(sheet.x, sheet.y, shown, levels=levels, colors=INK, linewidths=0.5)
        _label(ax, lines, {v: f"{v:g}" for v in levels})
    if column == "estimate":
        for limit in ("lower", "upper"):
            edge = np.where(sheet.supported, sheet.matrix(limit), np.nan)
            if _inside([1.0], edge):
                ax.contour(sheet.x, sheet.y, edge, levels=[1.0], colors="white", linewidths=2.4)
                ax.contour(sheet.x, sheet.y, edge, levels=[1.0], colors=INK, linewidths=1.4)
    _mask(ax, sheet, sexes=sexes)
    _axes(ax, sheet)
    bar = _bar(ax, mesh, bar, f"Odds ratio against {_reference(sheet)} (log scale)")
    ticks = ratio_ticks(1 / sheet.reach, sheet.reach, 0.12)
    bar.xaxis.set_major_locator(FixedLocator(ticks))
    bar.xaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in ticks]))
    bar.xaxis.set_minor_locator(NullLocator())
    bar.xaxis.set_minor_formatter(NullFormatter())


def _probability_panel(ax: Any, sheet: _Sheet, bar: Any = None) -> None:
    values = sheet.matrix("prob_gt_null")
    if np.isnan(values).all():
        ax.set_axis_off()
        bar.set_axis_off()
        ax.text(0.5, 0.5, "Maximum likelihood states\nno probability of OR > 1", ha="center", va="center", color=GREY)
        return
    # At the reference itself there is nothing to exceed; the dot covers it.
    values = np.where(np.isnan(values), 0.5, values)
    settings = {"cmap": DIVERGING, "shading": "gouraud", "rasterized": True}
    mesh = ax.pcolormesh(sheet.x, sheet.y, values, norm=Normalize(0, 1), **settings)
    shown = np.where(sheet.supported, values, np.nan)
    widths = {0.025: 1.4, 0.1: 0.5, 0.5: 0.5, 0.9: 0.5, 0.975: 1.4}
    levels = _inside(list(widths), shown)
    if levels:
        heavy = [v for v in levels if widths[v] > 1]
        if heavy:
            ax.contour(sheet.x, sheet.y, shown, levels=heavy, colors="white", linewidths=2.4)
        lines = ax.contour(sheet.x, sheet.y, shown, levels=levels, colors=INK, linewidths=[widths[v] for v in levels])
        _label(ax, lines, {v: f"{v:g}" for v in levels})
    _mask(ax, sheet, sexes=False)
    _axes(ax, sheet)
    bar = _bar(ax, mesh, bar, "Posterior probability of an odds ratio above 1")
    bar.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def _bar(ax: Any, mesh: Any, bar: Any, label: str) -> Any:
    place = {"cax": bar, "orientation": "horizontal"} if bar is not None else {"ax": ax, "location": "bottom"}
    drawn = ax.figure.colorbar(mesh, **place)
    drawn.outline.set_visible(False)
    drawn.set_label(label, labelpad=2)
    return drawn.ax


def _inside(levels: list[float], values: np.ndarray) -> list[float]:
    """Return the contour levels that some shown value lies on either side of."""
    if not np.isfinite(values).any():
        return []
    return [level for level in levels if np.nanmin(values) < level < np.nanmax(values)]


def _label(ax: Any, lines: Any, words: dict[float, str]) -> None:
    for text in ax.clabel(lines, fmt=words, fontsize=6, inline=True, inline_spacing=2):
        text.set_path_effects([halo.withStroke(linewidth=1.4, foreground="white")])


def _mask(ax: Any, sheet: _Sheet, *, sexes: bool) -> None:
    """Hatch what the data do not hold, mark the reference, and outline each sex's support."""
    outside = np.where(sheet.supported, 0.0, 1.0)
    if outside.any():
        ax.contourf(sheet.x, sheet.y, outside, levels=[0.5, 1.5], colors=["#f4f4f4"])
        hatched = ax.contourf(sheet.x, sheet.y, outside, levels=[0.5, 1.5], colors="none", hatches=[_HATCH])
        hatched.set_edgecolor("#b5b5b5")
        hatched.set_linewidth(0)
    if sexes:
        for name in sheet.attrs.get("sexes", []):
            own = sheet.matrix(f"supported_{name}").astype(float)
            if own.min() < own.max() and name in SEXES:
                ax.contour(
                    sheet.x,
                    sheet.y,
                    own,
                    levels=[0.5],
                    colors=SEXES[name],
                    linewidths=0.8,
                    linestyles=[_DASHES.get(name, "--")],
                )
    ax.plot(*sheet.attrs["reference"], "o", ms=3.5, mfc="white", mec=INK, mew=0.8, zorder=6)


def _axes(ax: Any, sheet: _Sheet) -> None:
    """Label both axes in Z, and a second time in raw units further out."""
    labels, units, constants = (sheet.attrs[key] for key in ("labels", "units", "constants"))
    ax.set_xlim(sheet.x[0], sheet.x[-1])
    ax.set_ylim(sheet.y[0], sheet.y[-1])
    ax.set_xlabel(f"{labels[0]} (Z)", labelpad=1)
    ax.set_ylabel(f"{labels[1]} (Z)", labelpad=0)
    ax.xaxis.set_major_locator(MultipleLocator(1))
    ax.yaxis.set_major_locator(MultipleLocator(1))
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(True)
    # The distance of the outer axis in print, as a share of the Axes: 8 mm below, 9.5 mm at the left.
    figure_width, figure_height = (25.4 * inches for inches in ax.figure.get_size_inches())
    box = ax.get_position()
    for which, distance in ((0, 8.0 / (box.height * figure_height)), (1, 9.5 / (box.width * figure_width))):
        mean, sd = constants[which]
        functions = (_to_raw(mean, sd), _to_z(mean, sd))
        outer = (ax.secondary_yaxis if which else ax.secondary_xaxis)(-distance, functions=functions)
        label = f"{labels[which]} ({units[which]})" if units[which] else labels[which]
        (outer.set_ylabel if which else outer.set_xlabel)(label, labelpad=0 if which else 1)


def _to_raw(mean: float, sd: float) -> Any:
    return lambda z: np.asarray(z) * sd + mean


def _to_z(mean: float, sd: float) -> Any:
    return lambda raw: (np.asarray(raw) - mean) / sd


def _edge(ax: Any, density: dict[str, list[float]], sex: str | None, *, vertical: bool) -> None:
    z = np.asarray(density["z"])
    for name, values in density.items():
        if name == "z" or (sex is not None and name != sex):
            continue
        colour = SEXES.get(name, GREY)
        if vertical:
            ax.fill_betweenx(z, 0, values, color=colour, alpha=0.25, lw=0, step="mid")
            ax.step(values, z, where="mid", color=colour, lw=0.8)
        else:
            ax.fill_between(z, 0, values, color=colour, alpha=0.25, lw=0, step="mid")
            ax.step(z, values, where="mid", color=colour, lw=0.8)
    ax.set_axis_off()


def _reference(sheet: _Sheet) -> str:
    labels, reference = sheet.attrs["labels"], sheet.attrs["reference"]
    return ", ".join(
        f"{label} {value:g} Z".replace("-", "\N{MINUS SIGN}") for label, value in zip(labels, reference, strict=True)
    )


def _caption(sheets: list[_Sheet], sex: str | None) -> str:
    sheet = sheets[0]
    who = f"{sex} persons" if sex else "either sex (broken lines: each sex's own limit)"
    level = f"{100 * sheet.attrs.get('interval', 0.95):g} %"
    shared = " Models share the scale of colours and the cells that are shown." if len(sheets) > 1 else ""
    return (
        f"{sample_text(sheet.attrs)}. {method_text(sheet.attrs)} Open dot: reference, odds ratio 1. Heavy line: the {level} "
        f"interval excludes 1 beyond it. Hatched: no support in the data of {who}; {sheet.attrs['support_rule']}.{shared}"
    )
