"""Forest plot by subgroup, with everyone's estimate behind."""

from typing import Any

import pandas as pd

from muscle_bayes.plots.forest_panels import forest_panels
from muscle_bayes.plots.style import TWO_COLUMNS, house_style, method_text, sample_text


def subgroups(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw the odds ratios of each exposure within subgroups, one panel an exposure.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `subgroups`.
    width_mm : float
        Width in print; numbers are left out below 120 mm.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure
        Broken line and grey band: everyone. Filled: a separate fit; hollow below it: partially pooled. A subgroup without
        an estimate says so, and the caption says why.
    """
    attrs, narrow = result.attrs, width_mm < 120
    shown = result[(result["estimand"] == "odds ratio") & (result["role"] == "exposure")]
    pooling = shown["pooling"] if "pooling" in shown else pd.Series("separate", index=shown.index)
    shown, partial = shown[pooling != "partial"], shown[pooling == "partial"]
    panels = {}
    for _, row in shown[shown["by"] == "all"].iterrows():
        size = str(row["contrast"]).split(" at ")[0]
        panels[row["term"]] = f"{row['label']}\n{size.split(' (')[0] if narrow else size}"
    lines: list[dict[str, Any]] = []
    for (by, group), rows in shown.groupby(["by", "group"], sort=False):
        first = rows.iloc[0]
        if by == "all":
            label = "Everyone"
        else:
            label = str(group)
            if not any(line.get("heading") == first["by_label"] for line in lines):
                lines.append({"heading": first["by_label"]})
        sizes = f"n = {int(first['n']):,}; {int(first['events']):,} events"
        if not narrow:
            label += f" ({sizes})"
        below = partial[(partial["by"] == by) & (partial["group"] == group)]
        lines.append(
            {
                "label": label,
                "bold": by == "all",
                "small": f"{int(first['n']):,}; {int(first['events']):,} events" if narrow else "",
                "rows": {row["term"]: row.to_dict() for _, row in rows.iterrows()},
                "beside": {row["term"]: row.to_dict() for _, row in below.iterrows()},
            }
        )
    everyone = lines[0]["rows"]
    failed = result[~result["certified"].astype(bool)].drop_duplicates(["by", "group"])
    filled = "Filled: a" if len(partial) else "A"
    caption = (
        f"{sample_text(attrs)}. {method_text(attrs)} {filled} separate fit to each subgroup ({attrs['refit_draws']:,} draws), not "
        "pooled; Z-scores of everyone."
    )
    if len(partial):
        caption += (
            " Hollow: partially pooled, from one model for each variable in which the odds ratios vary over its groups and all "
            "other terms are shared by everyone."
        )
    caption += " Broken line and grey band: everyone."
    for _, row in failed.iterrows():
        caption += f" {row['by_label']} {row['group']}: {row['note']}."
    for label, note in attrs.get("pooled_notes", {}).items():
        caption += f" {label}, partially pooled: {note}."
    with house_style():
        return forest_panels(
            lines, panels, attrs=attrs, title=title if title is not None else f"{attrs.get('outcome', '')}, by subgroup",
            caption=caption, width_mm=width_mm, references=everyone,
        )  # fmt: skip
