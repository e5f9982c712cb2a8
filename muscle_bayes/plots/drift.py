"""Control charts of measurements: means of months at each site against the site's limits, scanners and software told apart."""

import math
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.plots.style import (
    BLUE,
    CAPTION_LINE,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    new_figure,
    write_caption,
    write_head,
)

_MEASURES = {"intermat_percent": "InterMAT (%)", "lean_cm3": "Lean volume (cm³)", "undefined_percent": "Undefined (%)"}
_ACROSS = 3


def drift(monthly: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw one panel a measure and site.

    Parameters
    ----------
    monthly : pandas.DataFrame
        Of `muscle_bayes.cohort.drift.monthly_means`; `changes` in its attrs: site -> {month: what begins there}.
    width_mm : float
        Width in print.
    title : str, optional
        By default says what is drawn.

    Returns
    -------
    matplotlib Figure
        Months outside the limits are orange; dashed lines stand where a scanner or its software changes.
    """
    measures, sites = list(dict.fromkeys(monthly["measure"])), list(dict.fromkeys(monthly["site"]))
    changes: dict[str, dict[str, str]] = monthly.attrs.get("changes", {})
    months = {month: place for place, month in enumerate(_every_month(monthly["month"]))}
    with house_style():
        across = min(_ACROSS if width_mm > 120 else 1, len(sites))
        bands = math.ceil(len(sites) / across)
        caption = _caption(monthly, bool(changes))
        left, top, gap, high = 13.0, 13.0, 5.0, 30.0
        wide = (width_mm - left - 3 - gap * (across - 1)) / across
        row_height = high + 6.0
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 2
        # Every band of sites has a heading and its own axis of months.
        band_height = len(measures) * row_height + 10
        figure = new_figure(width_mm, top + bands * band_height + below, constrained=False)
        for number, site in enumerate(sites):
            band, column = divmod(number, across)
            for row, measure in enumerate(measures):
                y = top + band * band_height + row * row_height
                ax = axes_at(figure, left + column * (wide + gap), y, wide, high)
                own = monthly[(monthly["site"] == site) & (monthly["measure"] == measure)]
                _panel(ax, own, months, changes.get(site, {}) if row == 0 else dict.fromkeys(changes.get(site, {}), ""))
                _limits(ax, monthly[monthly["measure"] == measure])
                if row == 0:
                    ax.set_title(str(site), fontsize=7.5, pad=7 if changes else 3)
                if column == 0:
                    ax.set_ylabel(_MEASURES.get(measure, measure), labelpad=2)
                else:
                    ax.tick_params(labelleft=False)
                _month_axis(ax, list(months), labelled=row == len(measures) - 1)
        write_head(figure, title if title is not None else "Measurements by site and month", monthly.attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _panel(ax: Any, own: pd.DataFrame, months: dict[str, int], changes: dict[str, str]) -> None:
    x = own["month"].map(months).to_numpy(dtype=float)
    centre = float(own["centre"].iloc[0])
    edges = np.column_stack([x - 0.5, x + 0.5]).ravel()
    for side in ("limit_lower", "limit_upper"):
        ax.plot(edges, np.repeat(own[side].to_numpy(), 2), color=GREY, lw=0.6, zorder=2)
    ax.fill_between(
        edges,
        np.repeat(own["limit_lower"].to_numpy(), 2),
        np.repeat(own["limit_upper"].to_numpy(), 2),
        color=LIGHT,
        alpha=0.45,
        lw=0,
        zorder=1,
    )
    ax.plot([-0.5, len(months) - 0.5], [centre, centre], color=GREY, lw=0.6, ls=(0, (4, 3)), zorder=2)
    ax.plot(x, own["mean"], color=BLUE, lw=0.6, alpha=0.6, zorder=3)
    outside = own["outside"].to_numpy() == 1
    ax.plot(x[~outside], own["mean"][~outside], "o", color=BLUE, ms=2.6, mec="white", mew=0.3, zorder=4)
    ax.plot(x[outside], own["mean"][outside], "D", color=ORANGE, ms=3.4, mec="white", mew=0.3, zorder=5)
    for month, words in changes.items():
        if month in months:
            ax.axvline(months[month] - 0.5, color=INK, lw=0.6, ls=(0, (2, 2)), zorder=2)
            ax.text(months[month] - 0.5, 1.01, words, transform=ax.get_xaxis_transform(), fontsize=5.4, ha="left",
                    va="bottom", color=INK)  # fmt: skip
    ax.set_xlim(-0.8, len(months) - 0.2)


def _limits(ax: Any, all_sites: pd.DataFrame) -> None:
    """Give all sites of a measure one scale, so that levels can be compared."""
    values = all_sites[["mean", "limit_lower", "limit_upper"]].to_numpy(dtype=float)
    low, high = np.nanmin(values), np.nanmax(values)
    room = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - room, high + room)


def _month_axis(ax: Any, months: list[str], *, labelled: bool) -> None:
    step = max(1, math.ceil(len(months) / 4))
    places = list(range(0, len(months), step))
    ax.set_xticks(places, [months[place] for place in places] if labelled else [])


def _every_month(known: "pd.Series[str]") -> list[str]:
    """Return all months from the first to the last, so that gaps are seen as gaps."""
    span = pd.period_range(min(known), max(known), freq="M")
    return [str(month) for month in span]


def _caption(monthly: pd.DataFrame, changes: bool) -> str:
    outside, judged = int((monthly["outside"] == 1).sum()), int(monthly["limit_lower"].notna().sum())
    return (
        "Dots: means of months. Dashed: mean of the site. Band: three standard errors of a month's mean, from the spread within "
        f"months of the site (Shewhart). Orange: outside, {outside} of {judged} months that have limits; without drift about 3 in "
        "1,000 lie outside."
        + (" Dashed verticals: another scanner or software begins." if changes else "")
        + " Whether people differed or machines did, the chart cannot say."
    )
