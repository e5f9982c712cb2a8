"""Forest plot of odds ratios that vary by group: the average, each group, and a group not in the data."""

from typing import Any

import pandas as pd

from muscle_bayes.plots.forest_panels import forest_panels
from muscle_bayes.plots.style import TWO_COLUMNS, house_style, method_text, sample_text


def forest_by_group(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw odds ratios by group, one panel an exposure.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `odds_ratios` with `by`.
    width_mm : float
        Width in print; numbers are left out below 120 mm.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure
        Broken line and grey band: the average over groups. Hollow: a group that is not in the data.
    """
    attrs, narrow = result.attrs, width_mm < 120
    panels = {}
    for _, row in result[result["group"] == "average"].iterrows():
        size = str(row["contrast"])
        panels[str(row["term"])] = f"{row['label']}\n{size.split(' (')[0] if narrow else size}"
    lines: list[dict[str, Any]] = []
    for group, rows in result.groupby("group", sort=False):
        first = rows.iloc[0]
        known = pd.notna(first["n"]) and group != "average"
        sizes = f"{int(first['n']):,}" if known else ""
        if known and pd.notna(first["events"]):
            sizes += f"; {int(first['events']):,} events"
        words = str(first["group_label"])
        parts = words.split(", ") if narrow else [words]
        label = words[:1].upper() + words[1:]
        if narrow and len(parts) > 1:
            # One column has no room for two names: the caption says which comes first.
            label = ", ".join(part.rpartition(" ")[2] for part in parts)
        elif narrow and group == "average":
            label = "Average"
        if sizes and not narrow:
            label += f" (n = {sizes})"
        lines.append(
            {
                "label": label,
                "bold": group == "average",
                "hollow": group == "new",
                "small": f"n = {sizes}" if narrow and sizes else "",
                "rows": {str(row["term"]): row.to_dict() for _, row in rows.iterrows()},
            }
        )
    over = str(result["by_label"].iloc[0])
    words = over[:1].lower() + over[1:]
    caption = (
        f"{sample_text(attrs)}. {method_text(attrs)} Slopes vary over {words} around their average (broken line and grey band), "
        "to which each is drawn the more the less its group tells."
    )
    if narrow and " and " in words:
        caption += f" Groups: {words.replace(' and ', ', ')}."
    if "new" in set(result["group"]):
        caption += f" Hollow: a {words} that is not in the data."
    if (result["note"] != "").any():
        caption += " Without an interval: the most likely value of a group."
    with house_style():
        return forest_panels(
            lines, panels, attrs=attrs, title=title if title is not None else f"{attrs.get('outcome', '')}, by {words}",
            caption=caption, width_mm=width_mm, references=dict(lines[0]["rows"]),
        )  # fmt: skip
