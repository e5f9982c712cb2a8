"""Proportionality: the odds ratio of every cut of an ordered outcome on the common one."""

from typing import Any

import pandas as pd

from muscle_bayes.plots.forest_panels import forest_panels
from muscle_bayes.plots.style import TWO_COLUMNS, house_style, method_text, sample_text


def proportionality(result: pd.DataFrame, *, width_mm: float = TWO_COLUMNS, title: str | None = None) -> Any:
    """Draw one line a cut of the scale, one panel a contrast, on the common odds ratio with its interval.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `proportionality`.
    width_mm : float
        Width in print; numbers are left out below 120 mm.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure
        With the p-values of Brant's test in the caption.
    """
    attrs, narrow = result.attrs, width_mm < 120
    panels: dict[str, str] = {}
    common: dict[str, Any] = {}
    tests = []
    for term, rows in result.groupby("term", sort=False):
        first = rows[rows["cut"] == ""].iloc[0].to_dict()
        size = str(first["contrast"])
        panels[str(term)] = f"{first['label']}\n{size.split(' (')[0] if narrow else size}"
        common[str(term)] = first
        p = first["brant_p"]
        if pd.notna(p):
            tests.append(f"{first['label']} p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}")
    lines: list[dict[str, Any]] = [{"label": "All cuts together", "rows": common, "bold": True}]
    for cut, rows in result[result["cut"] != ""].groupby("cut", sort=False):
        events = f"{rows['events'].iloc[0]:,.0f}"
        label = f"{cut} or more" if narrow else f"{cut} or more (n = {events})"
        lines.append({"label": label, "rows": {row["term"]: row.to_dict() for _, row in rows.iterrows()}})
    caption = (
        f"{sample_text(attrs)}. Each cut: logistic regression of that event; all cuts together: one odds ratio for all "
        f"(proportional odds), its interval grey in every line. {method_text({**attrs, 'method': None})}"
    )
    if attrs.get("method") == "ml":
        caption += " All cuts together: maximum likelihood with its Wald interval."
    if tests:
        tested = attrs.get("tested_cuts") or [""]
        which = "" if len(tested) == len(attrs.get("cuts", tested)) else f" (cuts {tested[0]} to {tested[-1]})"
        caption += f" Brant's test of one odds ratio for all cuts{which}: {'; '.join(dict.fromkeys(tests))}."
    with house_style():
        return forest_panels(
            lines,
            panels,
            attrs=attrs,
            title=title if title is not None else f"{attrs.get('outcome', '')}: odds ratio by cut of the scale",
            caption=caption,
            width_mm=width_mm,
            references=common,
            one_axis=True,
        )
