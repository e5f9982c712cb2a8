"""Measured against true: what measuring makes of phantoms whose truth is known."""

from typing import TYPE_CHECKING

import pandas as pd

from muscle_bayes.plots.style import (
    BLUE,
    GREY,
    ONE_COLUMN,
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

#: Columns that the figure is drawn from.
AGREEMENT_COLUMNS = (
    "participant_id",
    "image",
    "intermat_percent",
    "intermat_percent_true",
    "lean_cm3",
    "lean_cm3_true",
)

_IMAGES = {
    "trunk": ("trunk, true labels", BLUE, "o"),
    "thigh": ("thighs, backend hull", ORANGE, "s"),
}


def agreement_figure(table: pd.DataFrame, width_mm: float = TWO_COLUMNS) -> "Figure":
    """Draw measured InterMAT and lean volume against the truth, one mark a phantom.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a phantom: image, intermat_percent(_true), lean_cm3(_true).
    width_mm : float
        Width in print; at one column the panels stand one below the other.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels; on the dashed line measured and true are equal.
    """
    stacked = width_mm <= ONE_COLUMN
    with house_style():
        figure = new_figure(width_mm, 235 if stacked else 75)
        intermat, trunk, thigh = figure.subplots(3, 1) if stacked else figure.subplots(1, 3)
        _panel(intermat, table, "intermat_percent", "InterMAT by threshold (%)")
        intermat.legend(loc="upper left", handletextpad=0.2, borderaxespad=0.0)
        _panel(trunk, table[table["image"] == "trunk"], "lean_cm3", "Lean volume of the back (cm³)")
        _panel(thigh, table[table["image"] == "thigh"], "lean_cm3", "Lean volume of the thighs (cm³)")
        mark_simulated_axes(intermat if stacked else thigh, {"simulated": True})
        n = table["participant_id"].nunique()
        write_caption(
            figure,
            f"{len(table)} phantom images of {n} members of the simulated cohort; one mark an image, left and right "
            "together; measured equals true on the dashed line. The threshold counts whole voxels and does not see streaks "
            "thinner than a voxel: with true labels InterMAT reads low and lean volume high, the more so the larger the "
            "voxels. hull draws its compartment at the fascia and takes in fat there, so its InterMAT and volume read higher.",
            width_mm - 6,
        )
    return figure


def _panel(ax: "Axes", table: pd.DataFrame, column: str, label: str) -> None:
    """Draw one quantity, measured over true."""
    ax.set(xlabel=f"{label}, true", ylabel="Measured")
    if table.empty:
        return
    true, measured = table[f"{column}_true"], table[column]
    low, high = min(true.min(), measured.min()), max(true.max(), measured.max())
    # With few phantoms of nearly one size the axes would show nothing but noise.
    pad = max(0.08 * (high - low), 0.1 * high)
    limits = (max(0.0, low - pad), high + pad)
    ax.plot(limits, limits, color=GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=1)
    for image, (name, colour, marker) in _IMAGES.items():
        rows = table["image"] == image
        if rows.any():
            ax.scatter(
                true[rows], measured[rows], s=16, color=colour, marker=marker, linewidths=0, label=name, zorder=2
            )
    ax.set(xlim=limits, ylim=limits)
    ax.locator_params(nbins=4)
    if high >= 1000:
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:,.0f}")
    ax.set_aspect("equal")
