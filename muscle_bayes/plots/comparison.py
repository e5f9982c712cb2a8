"""Comparison of methods: for each odds ratio, every estimate of it under the other."""

import re
from typing import Any, Literal

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.inference.references import FEW_CLUSTERS, LABELS
from muscle_bayes.plots.forest_panels import forest_panels
from muscle_bayes.plots.style import TWO_COLUMNS, house_style, sample_text

_POSTERIOR = "posterior"
_KEY = "■ posterior   □ other methods"


def comparison(
    result: pd.DataFrame,
    *,
    show: Literal["exposures", "all", "sites"] = "exposures",
    width_mm: float = TWO_COLUMNS,
    title: str | None = None,
) -> Any:
    """Draw the estimates of several methods under each other.

    Parameters
    ----------
    result : pandas.DataFrame
        Of `compare`.
    show : {"exposures", "all", "sites"}
        The exposures' odds ratios, those of every term, or the sites' odds against the mean of the sites.
    width_mm : float
        Width in print; below 120 mm the numbers are left out.
    title : str, optional
        By default the outcome.

    Returns
    -------
    matplotlib Figure
        Filled marks: posteriors; hollow ones: every other method. Beside the numbers, the interval's width against the first
        fit's, on the log scale.

    Raises
    ------
    EstimandError
        Where there is nothing to show.
    """
    rows = result[result["estimand"] == ("site effect" if show == "sites" else "odds ratio")]
    if show == "exposures":
        rows = rows[rows["role"] == "exposure"]
    if rows.empty:
        raise EstimandError(f"show={show!r}", "the comparison has no such rows", "Take show='all'")
    attrs, baseline = result.attrs, str(result.attrs["baseline"])
    lines: list[dict[str, Any]] = []
    clustered = set() if attrs["sites"] >= FEW_CLUSTERS else {LABELS["gee"], LABELS["cluster_robust"]}
    for (_, contrast), group in rows.groupby(["term", "contrast"], sort=False):
        label = str(group["label"].iloc[0])
        lines.append({"heading": label if show == "sites" else f"{label}, {_short(contrast, width_mm)}"})
        for row in group.to_dict("records"):
            few = row["source"] in clustered
            label = f"{row['source']} †" if few else row["source"]
            lines.append({"label": label, "rows": {"": _shown(row)}, "hollow": row["kind"] != _POSTERIOR})
    axis = "Odds against the mean of the sites (log scale)" if show == "sites" else "Odds ratio (log scale)"
    caption = (
        f"{sample_text(attrs)}. 95 % intervals: equal-tailed around the posterior median, Wald or Student's t around the "
        "maximum."
    )
    if width_mm >= 120:
        caption += f" ×: width of the interval against that of {baseline}, on the log scale."
    if clustered & set(rows["source"]):
        caption += f" †: clustered by {attrs['sites']} sites, which is too few: the interval can be far too narrow or too wide."
    if show == "sites":
        caption += " Maximum likelihood gives its sites' modes no interval here."
    heading = title if title is not None else f"{attrs.get('outcome', '')}: methods compared"
    with house_style():
        return forest_panels(
            lines,
            {"": _KEY},
            attrs=attrs,
            title=heading,
            caption=caption,
            width_mm=width_mm,
            axis=axis,
            headings_across=True,
        )


def _short(contrast: Any, width_mm: float) -> str:
    """Return a contrast without its size in raw units, where there is no room for it; where it holds is kept."""
    return re.sub(r" \((?:[^()]|\([^()]*\))*\)", "", str(contrast)) if width_mm < 120 else str(contrast)


def _shown(row: dict[Any, Any]) -> dict[str, Any]:
    """Return a row on the ratio scale, with the width of its interval in its text."""
    values = {name: float(row[name]) for name in ("estimate", "lower", "upper")}
    text = str(row["text"])
    if row["scale"] == "log odds":
        values = {name: float(np.exp(value)) for name, value in values.items()}
        text = f"{values['estimate']:.2f}" + (
            f" ({values['lower']:.2f} to {values['upper']:.2f})" if np.isfinite(values["lower"]) else ""
        )
    if np.isfinite(row["width_ratio"]):
        text += f"   ×{row['width_ratio']:.2f}"
    return {**values, "text": text}
