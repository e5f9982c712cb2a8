"""Images of matched participants: slices with intermuscular fat and lean muscle, and the fat signal fraction inside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.estimands.matching import matching_words
from muscle_bayes.plots.style import (
    BLUE,
    CAPTION_LINE,
    ORANGE,
    TWO_COLUMNS,
    axes_at,
    caption_lines,
    house_style,
    new_figure,
    write_caption,
    write_head,
)

_MARGIN_MM = 8.0
#: Fat signal fraction: lightness rises all the way, and no colour vision loses it.
_FRACTION_MAP = "viridis"


@dataclass(frozen=True)
class _Slice:
    """One slice of one participant, in mm from the image's corner."""

    background: np.ndarray
    muscle: np.ndarray
    adipose: np.ndarray
    fraction: np.ndarray | None
    step: tuple[float, float]
    body: tuple[float, float, float, float]
    inside: tuple[float, float, float, float]
    brightest: float


def images_panel(
    selection: pd.DataFrame,
    images: Mapping[Any, Any] | Sequence[Any],
    *,
    muscle: str = "autochthonous",
    level: float = 0.5,
    simulated: bool | None = None,
    width_mm: float = TWO_COLUMNS,
    title: str = "",
) -> Any:
    """Draw a slice of each selected participant, with intermuscular fat and lean muscle, at one scale.

    Parameters
    ----------
    selection : pandas.DataFrame
        Of `select_matched`: one row a participant.
    images : mapping of participant_id to image, or sequence in the order of the rows
        A `Scan` of `read_scan`; a phantom; or paths such as ``{"water": ..., "fat": ..., "labels": ...}``.
    muscle : str
        Muscle that is shown; all muscles of the label map where it has none of that name.
    level : float
        Which slice: 0 at the lower and 1 at the upper end of the muscle in the image.
    simulated : bool, optional
        Write "Simulated data" into the figure; by default where the selection says so or an image is a phantom.
    width_mm : float
        Width in print.
    title : str
        Above the figure.

    Returns
    -------
    matplotlib Figure
        Seen from the feet: the person's right is on the left. The lower row needs a fat signal fraction (Dixon images).

    Raises
    ------
    InvalidValueError
        Where a participant has no image or an image no muscle.
    """
    if not 0 <= level <= 1:
        raise InvalidValueError("level", f"{level} is no place in the muscle", "Take a value from 0 to 1")
    sources = _in_order(selection, images)
    slices = [
        _slice(source, muscle, level, row) for source, row in zip(sources, selection.to_dict("records"), strict=True)
    ]
    if simulated is None:
        simulated = bool(selection.attrs.get("simulated")) or any(hasattr(source, "truth") for source in sources)
    attrs = {"simulated": simulated}
    fractions = all(one.fraction is not None for one in slices)
    caption = _caption(selection, muscle, fractions=fractions, units=width_mm < 120)
    with house_style():
        narrow, count = width_mm < 120, len(slices)
        bar = 11.0 if fractions else 0.0
        gap = 1.5 if narrow else 3.0
        wide = (width_mm - 3 - bar - gap * (count - 1)) / count
        rows = [("body", _common(slices, "body"))] + ([("inside", _common(slices, "inside"))] if fractions else [])
        heights = [wide * high / across for _, (across, high) in rows]
        words = [_words(row, selection.attrs, units=not narrow) for row in selection.to_dict("records")]
        under = 2.8 * max(len(text.split("\n")) for text in words) + 2
        below = CAPTION_LINE * len(caption_lines(caption, width_mm)) + 3
        top, legend = 12.5, 5.0
        figure = new_figure(
            width_mm, top + sum(heights) + gap * (len(rows) - 1) + under + legend + below, constrained=False
        )
        for j, (kind, (across, high)) in enumerate(rows):
            y = top + sum(heights[:j]) + gap * j
            for i, one in enumerate(slices):
                ax = axes_at(figure, 1.5 + i * (wide + gap), y, wide, heights[j])
                _draw(ax, one, kind, across, high)
                if j == 0:
                    ax.set_title(_heading(selection.iloc[i], selection.attrs), fontsize=7, pad=2, loc="left")
                if i == 0:
                    _scale_bar(ax, across, narrow=narrow)
                if j == len(rows) - 1:
                    ax.annotate(words[i], (0, 0), xycoords="axes fraction", xytext=(0, -3), textcoords="offset points",
                                va="top", fontsize=6 if narrow else 6.5, linespacing=1.2)  # fmt: skip
        if fractions:
            y = top + heights[0] + gap
            _colour_bar(figure, width_mm - bar + 0.5, y, heights[1], narrow=narrow)
        _legend(figure, top + sum(heights) + gap * (len(rows) - 1) + under, narrow=narrow)
        write_head(figure, title, attrs, width_mm)
        write_caption(figure, caption, width_mm)
        return figure


def _in_order(selection: pd.DataFrame, images: Mapping[Any, Any] | Sequence[Any]) -> list[Any]:
    if isinstance(images, Mapping):
        absent = [one for one in selection["participant_id"] if one not in images]
        if absent:
            raise InvalidValueError(
                f"participant {absent[0]!r}",
                "there is no image of this participant",
                "Choose with select_matched(among=[...])",
            )
        return [images[one] for one in selection["participant_id"]]
    if len(images) != len(selection):
        raise InvalidValueError("images", f"{len(images)} for {len(selection)} participants", "Give one for each row")
    return list(images)


def _scan(source: Any) -> Any:
    # Here and not at the top: whoever draws a forest plot should not wait for the readers of images.
    from muscle_bayes.imaging.scan import Scan, read_scan

    if isinstance(source, Scan):
        return source
    if isinstance(source, Mapping):
        return read_scan(**source)
    return read_scan(source.water, source.fat, source.labels)


def _slice(source: Any, muscle: str, level: float, row: Mapping[Any, Any]) -> _Slice:
    from muscle_bayes.imaging.overlay import adipose_voxels

    scan = _scan(source)
    muscles = {number: structure.name for number, structure in scan.scheme.items() if structure.is_muscle}
    named = [number for number, name in muscles.items() if name == muscle] or list(muscles)
    mask = np.isin(scan.labels, named)
    used = np.flatnonzero(mask.any(axis=(0, 1)))
    if not len(used):
        raise InvalidValueError(f"image of {row.get('participant_id')!r}", "it holds no muscle", "Give its label map")
    k = int(used[round(level * (len(used) - 1))])
    values = scan.background.data
    # What is far darker than muscle is air.
    body = values[:, :, k] > 0.25 * float(np.median(values[mask]))
    body |= mask[:, :, k]
    step = scan.background.spacing[:2]
    return _Slice(
        values[:, :, k], mask[:, :, k], mask[:, :, k] & adipose_voxels(scan)[:, :, k],
        None if scan.fraction is None else scan.fraction[:, :, k], step, _box(body, step), _box(mask[:, :, k], step),
        float(np.percentile(values[:, :, k][body], 99)),
    )  # fmt: skip


def _box(mask: np.ndarray, step: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return centre and size of what is true, in mm; half a percent of the voxels on each side may be noise."""
    out = []
    for axis in (0, 1):
        share = np.cumsum(mask.sum(axis=1 - axis)) / mask.sum()
        low, high = np.searchsorted(share, [0.001, 0.999])
        out.append(((low + high + 1) / 2 * step[axis], (high + 1 - low) * step[axis] + 2 * _MARGIN_MM))
    return out[0][0], out[1][0], out[0][1], out[1][1]


def _common(slices: Sequence[_Slice], kind: str) -> tuple[float, float]:
    """Return width and height in mm that hold every participant, so that all are at one scale."""
    boxes = np.array([getattr(one, kind) for one in slices])
    return float(boxes[:, 2].max()), float(boxes[:, 3].max())


def _draw(ax: Any, one: _Slice, kind: str, across: float, high: float) -> None:
    nx, ny = one.background.shape
    extent = (0.0, nx * one.step[0], 0.0, ny * one.step[1])
    ax.imshow(one.background.T, cmap="gray", vmin=0, vmax=one.brightest, origin="lower", extent=extent, aspect="equal")
    if kind == "inside" and one.fraction is not None:
        shown = np.ma.masked_where(~one.muscle | np.isnan(one.fraction), 100 * one.fraction)
        ax.imshow(shown.T, cmap=_FRACTION_MAP, vmin=0, vmax=100, origin="lower", extent=extent, interpolation="nearest")
    else:
        for mask, colour, alpha in ((one.muscle & ~one.adipose, BLUE, 0.45), (one.adipose, ORANGE, 1.0)):
            layer = np.ma.masked_equal(mask.T.astype(np.uint8), 0)
            paint = ListedColormap([to_rgba(colour, alpha)])
            ax.imshow(layer, cmap=paint, origin="lower", extent=extent, interpolation="nearest")
    x, y, _, _ = getattr(one, kind)
    # x grows to the person's right, and the axis is drawn backwards, so that right is on the left.
    ax.set_xlim(x + across / 2, x - across / 2)
    ax.set_ylim(y - high / 2, y + high / 2)
    ax.set_facecolor("black")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _scale_bar(ax: Any, across: float, *, narrow: bool) -> None:
    length = max([size for size in (10, 20, 50, 100) if size <= across / 5] or [10])
    x, bottom = ax.get_xlim(), ax.get_ylim()[0]
    # Distances in points, so that words and bar keep apart whatever the size of the image.
    unit = across / (72 * ax.get_position().width * ax.figure.get_size_inches()[0])
    right, low = x[1] + 4 * unit, bottom + 4 * unit
    ax.add_patch(Rectangle((right, low), length, 1.6 * unit, color="white", lw=0))
    ax.text(
        right, low + 3.2 * unit, f"{length} mm", color="white", ha="right", va="bottom", fontsize=5 if narrow else 6
    )
    ax.text(x[0] - 4 * unit, low, "R", color="white", ha="left", va="bottom", fontsize=5 if narrow else 6.5)


def _colour_bar(figure: Any, left: float, top: float, height: float, *, narrow: bool) -> None:
    ax = axes_at(figure, left, top + 3.5, 2.2, max(height - 3.5, 6.0))
    ramp = np.linspace(0, 100, 101)[:, None]
    ax.imshow(ramp, cmap=_FRACTION_MAP, vmin=0, vmax=100, origin="lower", extent=(0, 1, 0, 100), aspect="auto")
    ax.set_xticks([])
    ax.yaxis.tick_right()
    ax.set_yticks([0, 100] if narrow else [0, 50, 100])
    ax.tick_params(pad=1, labelsize=5.5 if narrow else 6.5)
    ax.set_title("FF (%)", fontsize=5.5 if narrow else 6, fontweight="normal", pad=3.5, loc="left")


def _legend(figure: Any, top: float, *, narrow: bool) -> None:
    from muscle_bayes.imaging.adipose import FAT_THRESHOLD

    height = 25.4 * figure.get_size_inches()[1]
    handles: list[Line2D | Patch] = [
        Patch(color=ORANGE, label=f"intermuscular fat (FF ≥ {FAT_THRESHOLD:g})"),
        Patch(color=to_rgba(BLUE, 0.6), label="lean muscle"),
    ]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1 - top / height), ncols=2, fontsize=6 if narrow else 6.5,
                  borderaxespad=0.2, handlelength=1.2, columnspacing=1.2)  # fmt: skip


def _heading(row: Any, attrs: Mapping[Any, Any]) -> str:
    return f"{row['percentile']:g}th percentile" if "percentile" in row else str(row.get("participant_id", ""))


def _words(row: Mapping[Any, Any], attrs: Mapping[Any, Any], *, units: bool) -> str:
    lines = []
    for name in (attrs["across"], attrs["matched"]):
        # A column of print has no room for cm³/(kg/m²) under each image; the caption has it.
        unit = f" {unit_of(name)}" if units or len(unit_of(name)) < 3 else ""
        lines.append(f"{label_of(name)} {row[name]:.1f}{unit}")
    person = []
    if "sex" in row:
        person.append({"female": "woman", "male": "man"}.get(str(row["sex"]), str(row["sex"])))
    if "age_years" in row and not pd.isna(row["age_years"]):
        person.append(f"{row['age_years']:.0f} years")
    lines += [", ".join(person)] if person else []
    if "bmi_kg_m2" in row and not pd.isna(row["bmi_kg_m2"]):
        lines.append(f"BMI {row['bmi_kg_m2']:.1f}" + (" kg/m²" if units else ""))
    return "\n".join(lines)


def _caption(selection: pd.DataFrame, muscle: str, *, fractions: bool, units: bool) -> str:
    text = f"{matching_words(selection)}. Slices at one scale, seen from the feet; overlay on the {muscle} muscles."
    if fractions:
        text += " Lower row: fat signal fraction (FF) inside them."
    across, matched = (selection.attrs[name] for name in ("across", "matched"))
    stated = f" ({label_of(across)} in {unit_of(across)}, {label_of(matched)} in {unit_of(matched)})" if units else ""
    return f"{text} Values are those of the cohort table{stated}."
