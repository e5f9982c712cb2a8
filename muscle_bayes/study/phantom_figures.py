"""Measured against true: what measuring makes of phantoms whose truth is known."""

from typing import TYPE_CHECKING

import pandas as pd

from muscle_bayes.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    TWO_COLUMNS,
    house_style,
    mark_simulated_axes,
    new_figure,
    write_caption,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_IMAGES = {
    "trunk": ("trunk, true labels", BLUE, "o"),
    "thigh": ("thighs, backend hull", ORANGE, "s"),
}


def agreement_figure(table: pd.DataFrame) -> "Figure":
    """Draw measured InterMAT and lean volume against the truth, one mark a phantom.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a phantom: image, intermat_percent(_true), lean_cm3(_true).

    Returns
    -------
    matplotlib.figure.Figure
        Two panels; on the dashed line measured and true are equal.
    """
    with house_style():
        figure = new_figure(TWO_COLUMNS, 92)
        left, right = figure.subplots(1, 2)
        _panel(left, table, "intermat_percent", "InterMAT by threshold (%)", 1.0)
        _panel(right, table, "lean_cm3", "Lean volume (L)", 1000.0)
        left.legend(loc="upper left")
        mark_simulated_axes(right, {"simulated": True})
        n = table["participant_id"].nunique()
        write_caption(
            figure,
            f"{len(table)} phantom images of {n} members of the simulated cohort; one mark an image, left and right together. "
            "The threshold counts whole voxels, so that streaks thinner than a voxel are not seen: InterMAT reads low and lean "
            "volume high by design, and the more so the larger the voxels.",
            TWO_COLUMNS,
        )
    return figure


def _panel(ax: "Axes", table: pd.DataFrame, column: str, label: str, unit: float) -> None:
    """Draw one quantity, measured over true."""
    true, measured = table[f"{column}_true"] / unit, table[column] / unit
    low, high = min(true.min(), measured.min()), max(true.max(), measured.max())
    pad = 0.06 * (high - low or 1.0)
    limits = (max(0.0, low - pad), high + pad)
    ax.plot(limits, limits, color=GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=1)
    for image, (name, colour, marker) in _IMAGES.items():
        rows = table["image"] == image
        if rows.any():
            ax.scatter(
                true[rows], measured[rows], s=16, color=colour, marker=marker, linewidths=0, label=name, zorder=2
            )
    ax.set(xlim=limits, ylim=limits, xlabel=f"{label}, true", ylabel=f"{label}, measured")
    ax.set_aspect("equal")
