"""Quality-control overlay: compartment outlines and adipose voxels on slices of the scan."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muscle_bayes.imaging.adipose import FAT_THRESHOLD
from muscle_bayes.imaging.scan import Scan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colour-blind safe (Okabe & Ito): outline of muscle, outline of bone, adipose voxels.
_MUSCLE, _BONE, _ADIPOSE = "#56B4E9", "#F0E442", "#D55E00"


def overlay_figure(
    scan: Scan, *, slices: int | None = 9, title: str | None = None, simulated: bool = False
) -> "Figure":
    """Draw slices of a scan with what was measured on them.

    Parameters
    ----------
    scan : Scan
        From `read_scan`.
    slices : int or None
        How many slices, evenly spaced over the muscles; None draws all.
    title : str
        Written above the figure.
    simulated : bool
        Write "Simulated data" into the figure.

    Returns
    -------
    Figure
        Slices seen from the feet: the person's right is on the left, as radiologists read them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    muscles = [number for number, structure in scan.scheme.items() if structure.is_muscle]
    bones = [number for number, structure in scan.scheme.items() if structure.name == "bone"]
    muscle, bone = np.isin(scan.labels, muscles), np.isin(scan.labels, bones)
    adipose = muscle & adipose_voxels(scan)
    chosen = _chosen_slices(muscle, slices)
    box = _window(muscle | bone, scan.background.spacing, 15.0)

    x_mm, y_mm, _ = scan.background.spacing
    width = (box[0].stop - box[0].start) * x_mm
    height = (box[1].stop - box[1].start) * y_mm
    columns = _columns(len(chosen), width / height)
    rows = -(-len(chosen) // columns)
    panel = 10.0 / columns
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    figure = Figure(figsize=(10.0, rows * (panel * height / width + 0.2) + 0.6), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    brightest = float(np.percentile(scan.background.data[muscle], 99.5))
    for axis, k in zip(axes.flat, chosen, strict=False):
        here = (box[0], box[1], k)
        # x grows to the person's right, and the axis is drawn backwards, so that right is on the left.
        extent = (0.0, width, 0.0, height)
        axis.imshow(
            scan.background.data[here].T,
            cmap="gray",
            vmin=0,
            vmax=brightest,
            origin="lower",
            extent=extent,
            aspect="equal",
        )
        layer = np.ma.masked_equal(adipose[here].T.astype(np.uint8), 0)
        axis.imshow(layer, cmap=_single(_ADIPOSE), origin="lower", extent=extent, interpolation="nearest", alpha=0.9)
        for number in muscles:
            _outline(axis, scan.labels[here] == number, (x_mm, y_mm), _MUSCLE)
        _outline(axis, bone[here], (x_mm, y_mm), _BONE)
        axis.set_title(f"slice {k + 1}", fontsize=8, pad=2)
    for axis in axes.flat:
        axis.set_axis_off()
        axis.set_xlim(width, 0.0)
        axis.set_ylim(0.0, height)
    axes.flat[0].text(0.01, 0.02, "R", transform=axes.flat[0].transAxes, color="white", fontsize=9)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_MUSCLE, label=f"muscle compartment ({scan.backend}, {scan.compartment})")
    ]
    if bone.any():
        handles.append(Line2D([], [], color=_BONE, label="bone (excluded)"))
    rule = f"FF ≥ {FAT_THRESHOLD:g}" if scan.fraction is not None else "mixture, share ≥ 0.5"
    handles.append(Patch(color=_ADIPOSE, label=f"adipose voxels ({rule})"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    heading = " · ".join(part for part in (title, "Simulated data" if simulated else None) if part)
    if heading:
        figure.suptitle(heading, fontsize=10)
    return figure


def save_overlay(
    scan: Scan, path: str | Path, *, slices: int | None = 9, title: str | None = None, simulated: bool = False
) -> None:
    """Draw the overlay into a file.

    Parameters
    ----------
    scan, slices, title, simulated
        As in `overlay_figure`.
    path : path
        File; its ending says the format.
    """
    overlay_figure(scan, slices=slices, title=title, simulated=simulated).savefig(path, dpi=150)


def adipose_voxels(scan: Scan) -> np.ndarray:
    """Return which voxels hold mostly fat: a fat signal fraction of 0.5 or more, or else half of the mixture.

    Parameters
    ----------
    scan : Scan
        From `read_scan`.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        Over the whole image; undefined voxels count as not adipose.
    """
    if scan.fraction is not None:
        return np.nan_to_num(scan.fraction, nan=0.0) >= FAT_THRESHOLD
    if scan.mixture is None:
        return np.zeros(scan.labels.shape, dtype=bool)
    values = np.nan_to_num(scan.intensity).ravel()
    return (scan.mixture.adipose_share(values, scan.mixture.weights) >= 0.5).reshape(scan.labels.shape)


def _chosen_slices(muscle: np.ndarray, slices: int | None) -> list[int]:
    used = np.flatnonzero(muscle.any(axis=(0, 1)))
    if slices is None or slices >= used.size:
        return used.tolist()
    return np.unique(used[np.linspace(0, used.size - 1, slices).round().astype(int)]).tolist()


def _window(mask: np.ndarray, spacing: tuple[float, float, float], margin_mm: float) -> tuple[slice, slice]:
    """In-plane box around all slices' structures."""
    sides = []
    for axis in (0, 1):
        used = np.flatnonzero(mask.any(axis=(1 - axis, 2)))
        margin = int(margin_mm / spacing[axis])
        sides.append(slice(max(int(used[0]) - margin, 0), min(int(used[-1]) + margin + 1, mask.shape[axis])))
    return sides[0], sides[1]


def _columns(panels: int, aspect: float) -> int:
    """Columns that make the figure about 3:2."""
    best = min(range(1, panels + 1), key=lambda n: abs(np.log(n * aspect / -(-panels // n) / (3 / 2))))
    return int(best)


def _outline(axis: object, mask: np.ndarray, step: tuple[float, float], colour: str) -> None:
    if not mask.any() or mask.all():
        return
    nx, ny = mask.shape
    centres_x = (np.arange(nx) + 0.5) * step[0]
    centres_y = (np.arange(ny) + 0.5) * step[1]
    axis.contour(centres_x, centres_y, mask.T, levels=[0.5], colors=[colour], linewidths=0.7)  # type: ignore[attr-defined]


def _single(colour: str) -> object:
    from matplotlib.colors import ListedColormap

    return ListedColormap([colour])
