"""Standardised risks: the risk under either exposure of everyone, and the cases per 1,000 that lie between them."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.plots.style import (
    BLUE,
    CAPTION_LINE,
    INK,
    ORANGE,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    method_text,
    new_figure,
    printed_width,
    sample_text,
    value_ticks,
    wrapped_lines,
    write_caption,
    write_head,
)

_LINE, _HEAD, _SIZE = 5.2, 5.0, 6.5


def risks(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw the risks under the lower and the higher exposure, and their difference as cases per 1,000 persons.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `risks`, of everyone or by subgroup.
    width_mm : float
        Width in print; numbers are left out below 120 mm.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure
        Open dots: the lower exposure (of a category or a curve: the reference), filled ones: the higher.
        Populations beyond the support of the data are marked.
    """
    attrs, narrow = result.attrs, width_mm < 120
    lines = _lines(result, narrow=narrow)
    caption = _caption(result)
    labels = max(printed_width(line.get("heading") or line["label"], _SIZE, "bold") for line in lines) + 3
    # Headings may go on above the risks, the populations' names may not.
    names = max(printed_width(line["label"], _SIZE, "bold") for line in lines if "label" in line) + 3
    labels = min(labels, 24.0 if narrow else max(names, 54.0))
    texts = [line["difference"]["text"] for line in lines if "difference" in line]
    numbers = 0.0 if narrow else max(printed_width(text, _SIZE) for text in texts) + 4
    top, gap = 14.0, 8.0
    below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 4
    room = width_mm - labels - numbers - gap - 4
    for line in lines:
        if "heading" in line:
            # It may run over the risks, where its row is empty, but not into the differences.
            line["heading"] = "\n".join(wrapped_lines(line["heading"], labels + 0.56 * room + gap - 3, _SIZE, "bold"))
    heights = [_HEAD + 2.9 * line["heading"].count("\n") if "heading" in line else _LINE for line in lines]
    height = sum(heights)
    with house_style():
        figure = new_figure(width_mm, top + height + 10 + below, constrained=False)
        levels = axes_at(figure, labels, top, 0.56 * room, height)
        between = axes_at(figure, labels + 0.56 * room + gap, top, 0.44 * room, height)
        for ax in (levels, between):
            ax.set_ylim(height, 0)
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
        y = 0.0
        for line, size in zip(lines, heights, strict=True):
            centre = y + size / 2
            y += size
            heavy = "heading" in line
            levels.text(-(labels - 1.5) / (0.56 * room), centre, line.get("heading") or line["label"],
                        transform=levels.get_yaxis_transform(), va="center", fontsize=_SIZE,
                        fontweight="bold" if heavy else "normal")  # fmt: skip
            if not heavy:
                _risk(levels, line["low"], centre - 0.85, hollow=True)
                _risk(levels, line["high"], centre + 0.85, hollow=False)
                _difference(between, line["difference"], centre, numbers=not narrow)
        between.axvline(0, color=INK, lw=0.6, zorder=1)
        for ax, share in ((levels, 0.56), (between, 0.44)):
            ax.margins(x=0.06)
            low, high = ax.get_xlim()
            ax.set_xticks(value_ticks(ax, low, high, share * room, 4 if narrow else 6))
            ax.set_xlim(low, high)
        levels.set_title("Risk", fontsize=7, pad=3, loc="left")
        between.set_title(
            "Difference" if narrow else f"Difference, {_difference_words(result)}", fontsize=7, pad=3, loc="left"
        )
        levels.set_xlabel("Risk (%)", labelpad=1)
        between.set_xlabel("Cases per 1,000" if narrow else "Cases per 1,000 persons", labelpad=1)
        title = title if title is not None else f"{attrs.get('outcome', '')}: standardised risks".strip(": ")
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _lines(result: pd.DataFrame, *, narrow: bool) -> list[dict[str, Any]]:
    """Return one heading a contrast and one line a population, everyone first."""
    lines: list[dict[str, Any]] = []
    for _, own in result.groupby("term", sort=False):
        difference = own[own["estimand"] == "cases per 1,000"]
        named = list(dict.fromkeys(own["population"]))
        # A category or a curve has a contrast for each further level; they share the risk at the reference, told once.
        for k, contrast in enumerate(dict.fromkeys(difference["contrast"].astype(str))):
            lines.append({"heading": contrast.split(":")[0] if narrow else contrast})
            # Everyone comes last in the frame, and first in print.
            for population in [named[-1], *named[:-1]]:
                rows = own[own["population"] == population]
                risk = rows[rows["estimand"] == "risk"]
                between = rows[
                    (rows["estimand"] == "cases per 1,000") & (rows["contrast"].astype(str) == contrast)
                ].iloc[0]
                lines.append(
                    {
                        "label": _label(str(population), narrow=narrow)
                        + (" *" if str(between["flag"]).startswith("more") else ""),
                        "low": risk[risk["level"] == "low"].iloc[0],
                        "high": risk[risk["level"] == "high"].iloc[k],
                        "difference": between,
                    }
                )
    return lines


def _has_reference(result: pd.DataFrame) -> bool:
    """Say whether levels are compared with a reference, which need not be the lower one."""
    known = result[result["estimand"] == "risk"]["contrast"].astype(str)
    return bool((~known.str.contains("own value")).any())


def _difference_words(result: pd.DataFrame) -> str:
    return "filled less open" if _has_reference(result) else "higher less lower"


def _label(population: str, *, narrow: bool) -> str:
    who, _, size = population.partition(" (n = ")
    who = "Everyone" if who in ("analysis set", "persons given") else who.split(" = ")[-1]
    return who if narrow else f"{who} (n = {size}"


def _risk(ax: Any, row: pd.Series, y: float, *, hollow: bool) -> None:
    colour = BLUE if hollow else ORANGE
    ax.plot([100 * row["lower"], 100 * row["upper"]], [y, y], color=colour, lw=1.2, solid_capstyle="butt", zorder=2)
    ax.plot(100 * row["estimate"], y, "o", ms=3.4, mfc="white" if hollow else colour, mec=colour, mew=0.9, zorder=3)


def _difference(ax: Any, row: pd.Series, y: float, *, numbers: bool) -> None:
    ax.plot([row["lower"], row["upper"]], [y, y], color=INK, lw=1.2, solid_capstyle="butt", zorder=2)
    ax.plot(row["estimate"], y, "s", color=INK, ms=3.4, mec="white", mew=0.4, zorder=3)
    if numbers:
        ax.annotate(row["text"], (1, y), xycoords=("axes fraction", "data"), xytext=(5, 0), textcoords="offset points",
                    va="center", fontsize=_SIZE)  # fmt: skip


def _caption(result: pd.DataFrame) -> str:
    attrs = result.attrs
    flagged = result["flag"].astype(str).str.startswith("more")
    levels = result[result["estimand"] == "risk"].drop_duplicates(["term", "contrast"])
    stated = "; ".join(dict.fromkeys(str(row["contrast"]) for _, row in levels.iterrows()))
    site = f" Site: {attrs['site_meaning']}." if attrs.get("sites") and attrs.get("site_meaning") else ""
    dots = "Open: the lower, filled: the higher exposure of everyone"
    if _has_reference(result):
        dots = "Open: everyone at the reference level, filled: everyone at the level compared with it"
        if result["contrast"].astype(str).str.contains("own value").any():
            dots += "; of other exposures the lower and the higher"
    words = (
        f"{sample_text(attrs)}; risks averaged over {attrs.get('n_averaged', attrs.get('n', 0)):,} persons. "
        f"{method_text(attrs)} {dots} ({stated}).{site}"
    )
    if flagged.any():
        most = 100 * float(np.nanmax(result["outside_share"]))
        words += (
            f" * The contrast puts more than 5 % of the persons (at most {most:.0f} %) outside the range of the exposure among "
            "their own sex and age band: there the risk is the model's."
        )
    return words
