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
        Broken line and grey band: everyone. A subgroup without an estimate says so, and the caption says why.
    """
    attrs, narrow = result.attrs, width_mm < 120
    shown = result[(result["estimand"] == "odds ratio") & (result["role"] == "exposure")]
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
        if not narrow:
            label += f" (n = {first['n']:,}; {first['events']:,} events)"
        lines.append(
            {"label": label, "bold": by == "all", "rows": {row["term"]: row.to_dict() for _, row in rows.iterrows()}}
        )
    everyone = lines[0]["rows"]
    failed = result[~result["certified"].astype(bool)].drop_duplicates(["by", "group"])
    caption = (
        f"{sample_text(attrs)}. {method_text(attrs)} A separate fit to each subgroup ({attrs['refit_draws']:,} draws), not "
        "pooled; Z-scores of everyone. Broken line and grey band: everyone."
    )
    for _, row in failed.iterrows():
        caption += f" {row['by_label']} {row['group']}: {row['note']}."
    with house_style():
        return forest_panels(
            lines, panels, attrs=attrs, title=title if title is not None else f"{attrs.get('outcome', '')}, by subgroup",
            caption=caption, width_mm=width_mm, references=everyone,
        )  # fmt: skip
