"""Symptom burden: the odds ratios of the same exposures for several outcomes (Fig 1b of the 2025 paper)."""

from typing import Any

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
        lines.append({"label": label, "rows": {row["term"]: row.to_dict() for _, row in rows.iterrows()}})
    sizes = result.drop_duplicates("outcome")
    who = "; ".join(f"{row['outcome']}: {row['events']:,} of {row['n']:,}" for _, row in sizes.iterrows())
    caption = f"Events: {who}. {method_text(attrs)}"
    if not attrs.get("comparable", True):
        caption += " Z-SCORES DIFFER BETWEEN THE FITS: per 2 Z is not the same contrast in each."
    with house_style():
        return forest_panels(
            lines, panels, attrs=attrs, title=title if title is not None else "Symptom burden", caption=caption,
            width_mm=width_mm, one_axis=True,
        )  # fmt: skip
