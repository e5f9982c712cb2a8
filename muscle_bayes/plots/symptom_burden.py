"""Symptom burden: the odds ratios of the same exposures for several outcomes (Fig 1b of the 2025 paper)."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.plots.forest_panels import forest_panels
from muscle_bayes.plots.style import TWO_COLUMNS, house_style, method_text


def symptom_burden(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw one line an outcome, one panel an exposure.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `symptom_burden`.
    width_mm : float
        Width in print; numbers are left out below 120 mm.
    title : str, optional
        By default "Symptom burden".

    Returns
    -------
    matplotlib Figure
        All on one axis.
    """
    attrs, narrow = result.attrs, width_mm < 120
    panels: dict[str, str] = {}
    for term, rows in result.groupby("term", sort=False):
        size = str(rows["contrast"].iloc[0]).split(" at ")[0]
        panels[str(term)] = f"{rows['label'].iloc[0]}\n{size.split(' (')[0] if narrow else size}"
    lines = []
    for outcome, rows in result.groupby("outcome", sort=False):
        label = str(outcome).split(" (")[0] if narrow else str(outcome)
        if _ordered(rows.iloc[0]):
            # Hollow: an odds ratio of something else than the event of the other lines.
            label += ": higher" if narrow else ": a higher answer"
        lines.append(
            {
                "label": label,
                "hollow": _ordered(rows.iloc[0]),
                "rows": {row["term"]: row.to_dict() for _, row in rows.iterrows()},
            }
        )
    sizes = result.drop_duplicates("outcome")
    # Fits of one figure may come from different engines; what estimate and interval are does not depend on which.
    methods = {said["method"] for said in attrs.get("fits", [attrs])}
    shown = attrs if len(methods) == 1 else {**attrs, "method": None}
    caption = f"{_sizes(sizes)} {method_text(shown)}"
    if len(methods) > 1 and "ml" in methods:
        ours = [said["outcome"] for said in attrs["fits"] if said["method"] == "ml"]
        caption += f" By maximum likelihood with Wald intervals: {', '.join(ours)}."
    if not attrs.get("comparable", True):
        caption += " Z-SCORES DIFFER BETWEEN THE FITS: per 2 Z is not the same contrast in each."
    with house_style():
        return forest_panels(
            lines, panels, attrs=attrs, title=title if title is not None else "Symptom burden", caption=caption,
            width_mm=width_mm, one_axis=True,
        )  # fmt: skip


def _ordered(row: Any) -> bool:
    return bool(pd.notna(row.get("categories", np.nan)))


def _sizes(sizes: pd.DataFrame) -> str:
    """Say how many had each event, and in how many categories each ordered outcome is."""
    events = [
        f"{row['outcome']}: {row['events']:,.0f} of {row['n']:,}" for _, row in sizes.iterrows() if not _ordered(row)
    ]
    ordered = [
        f"{row['outcome']}: {row['n']:,} participants in {row['categories']:.0f} categories"
        for _, row in sizes.iterrows()
        if _ordered(row)
    ]
    text = f"Events: {'; '.join(events)}." if events else ""
    if ordered:
        text += f" Ordered outcomes (hollow): odds ratio of a higher answer wherever the scale is cut; {'; '.join(ordered)}."
    return text.strip()
