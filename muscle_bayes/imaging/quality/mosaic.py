"""One picture a scan for reviewers: axial slices, a coronal and a sagittal view, labels outlined, findings in words."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muscle_bayes.imaging.images import ImageSource, Volume, read_volume
from muscle_bayes.imaging.label_schemes import Scheme, read_label_map
from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.quality.findings import Finding, worst_first

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe & Ito, colour-blind safe, blue lightened for a dark ground; muscles take them in the order of the label scheme.
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#B8A1FF", "#FFFFFF")
_MARK = {"fail": "#FF6B5E", "review": "#FFC24B", "note": "#B8C4CE"}
#: Images are thinned to about this many pixels along a panel's longer side.
_PANEL_PIXELS = 300
_BEHIND = {"facecolor": "#000000", "alpha": 0.55, "edgecolor": "none", "pad": 1.2}
#: The entry of the PNG that says how many pixels at its foot hold the findings.
FINDINGS_HEIGHT = "muscle-bayes findings height"
_DPI = 100
#: Width of the picture, what its panels are high together at most, and its margin.
_WIDE_INCHES, _TALLEST_INCHES, _MARGIN = 11.0, 7.5, 0.06


def draw_mosaic(
    water: ImageSource | Volume,
    fat: ImageSource | Volume | None,
    labels: ImageSource | Volume | None,
    path: str | Path,
    *,
    title: str = "",
    findings: Sequence[Finding] = (),
    scheme: Scheme | str | Path | None = None,
    structures: Mapping[int, Structure] | None = None,
    simulated: bool = False,
    axial: int = 8,
) -> Path:
    """Draw one scan for review.

    Parameters
    ----------
    water : path, nibabel image or Volume
        What is drawn: the water image, or the single contrast.
    fat : path, nibabel image or Volume, optional
        Fat image; its coronal view stands beside the water's, which shows exchanges at a glance.
    labels : path, nibabel image or Volume, optional
        Label map on the same grid. A Volume needs `structures`.
    path : path
        PNG.
    title : str
        Participant and session.
    findings : sequence of Finding
        Written below the picture, worst first; slices concerned have a coloured frame.
    scheme : as in `quantify`
        What label ids mean.
    structures : mapping, optional
        id -> Structure, where the labels are a Volume.
    simulated : bool
        Write "Simulated data" into the picture.
    axial : int
        Axial slices shown; those with findings come first.

    Returns
    -------
    pathlib.Path
        `path`. Axial slices are seen from the feet and coronal views from the front: the person's right is on the left.
    """
    volume = water if isinstance(water, Volume) else read_volume(water, "water")
    second = None if fat is None else fat if isinstance(fat, Volume) else read_volume(fat, "fat")
    numbers, meaning = None, dict(structures or {})
    if isinstance(labels, Volume):
        numbers = labels.data
    elif labels is not None:
        map_ = read_label_map(labels, scheme)
        numbers, meaning = map_.volume.data, dict(map_.structures)
    figure, foot = _figure(volume, second, numbers, meaning, title, worst_first(findings), simulated, axial)
    path = Path(path)
    # Pages that write the findings themselves cut them off the picture.
    figure.savefig(
        path,
        dpi=_DPI,
        facecolor=figure.get_facecolor(),
        format="png",
        metadata={FINDINGS_HEIGHT: str(round(_DPI * foot))},
    )
    return path


def _figure(
    water: Volume,
    fat: Volume | None,
    labels: np.ndarray | None,
    structures: Mapping[int, Structure],
    title: str,
    findings: Sequence[Finding],
    simulated: bool,
    axial: int,
) -> tuple["Figure", float]:
    """Return the figure and how many inches at its foot hold the findings."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    data, spacing = water.data, water.spacing
    lines = [
        line
        for finding in findings[:6]
        for line in textwrap.wrap(f"{finding.severity}: {finding.message}", 160, subsequent_indent="    ")
    ]
    if len(findings) > 6:
        lines.append(f"and {len(findings) - 6} more")
    marks = [finding.severity for finding in findings[:6]]
    colours = _colours(structures)
    brightest = float(np.percentile(data[data > 0], 99.5)) if (data > 0).any() else 1.0
    crop = _window(data, brightest)
    worst = {k: finding.severity for finding in reversed(findings) for k in finding.slices}
    chosen = _chosen_slices(data.shape[2], labels, worst, axial)
    middle = _middle(data, labels, structures, brightest)
    views: list[tuple[str, np.ndarray, np.ndarray | None, float]] = [
        ("coronal", data[crop[0], middle[1]], _plane(labels, (crop[0], middle[1])), spacing[0])
    ]
    if fat is not None:
        views.append(("coronal, fat", fat.data[crop[0], middle[1]], None, spacing[0]))
    views.append(("sagittal", data[middle[0], crop[1]], _plane(labels, (middle[0], crop[1])), spacing[1]))

    # Everything below is in inches: axial slices, planes along the body below or beside them, words at the foot.
    sides = [(part.stop - part.start) * step for part, step in zip(crop, spacing, strict=False)]
    planes = [(plane.shape[0] * step, plane.shape[1] * spacing[2]) for _, plane, _, step in views]
    boxes, tall = _arranged([(sides[0], sides[1])] * len(chosen), planes, _WIDE_INCHES - 2 * _MARGIN)
    foot, head = 0.2 + 0.19 * max(len(lines), 1), 0.42
    whole = (_WIDE_INCHES, tall + foot + head)
    figure = Figure(figsize=whole, facecolor="#11151A")
    FigureCanvasAgg(figure)

    def axes_at(box: tuple[float, float, float, float]) -> Any:
        left, top, wide, high = box
        place = (_MARGIN + left + 0.02, foot + tall - top - high + 0.02, wide - 0.04, high - 0.04)
        return figure.add_axes((place[0] / whole[0], place[1] / whole[1], place[2] / whole[0], place[3] / whole[1]))

    for place, k in enumerate(chosen):
        axes = axes_at(boxes[place])
        here = (crop[0], crop[1], k)
        _panel(axes, data[here], None if labels is None else labels[here], (spacing[0], spacing[1]), brightest, colours)
        axes.invert_xaxis()
        _words(axes, f"slice {k + 1}", 0.98, 0.03, "right", _MARK.get(worst.get(k, ""), "#E8EDF2"))
        _sides(axes, "RL" if water.orientation_known else "??")
        if k in worst:
            for side in axes.spines.values():
                side.set(visible=True, color=_MARK[worst[k]], linewidth=1.6)
    for (words, plane, drawn, step), box in zip(views, boxes[len(chosen) :], strict=True):
        axes = axes_at(box)
        top = brightest if "fat" not in words else max(float(np.percentile(plane, 99.5)), 1e-6)
        _panel(axes, plane, drawn, (step, spacing[2]), top, colours)
        if words != "sagittal":
            axes.invert_xaxis()
        # Beside the ticks of slices with findings.
        _sides(axes, "PA" if words == "sagittal" else "RL" if water.orientation_known else "??", 0.04)
        _words(axes, words, 0.98, 0.03, "right", "#E8EDF2")
        for k, severity in worst.items():
            axes.plot([0, 0.02], [(k + 0.5) / data.shape[2]] * 2, color=_MARK[severity], lw=2, transform=axes.transAxes)
    line_of_head = 1 - 0.2 / whole[1]
    figure.text(0.01, line_of_head, title or "scan", color="#FFFFFF", fontsize=12, weight="bold", va="center")
    if simulated:
        figure.text(0.99, line_of_head, "Simulated data", color="#FFC24B", fontsize=11, ha="right", va="center")
    names = list(dict.fromkeys(item.name for key, item in structures.items() if item.is_muscle and key in colours))
    present = set() if labels is None else {structures[k].name for k in np.unique(labels).tolist() if k in colours}
    handles = [Line2D([], [], color=_of_name(colours, structures, n), lw=2, label=n) for n in names if n in present]
    if handles:
        figure.legend(
            handles=handles, loc="center", bbox_to_anchor=(0.5, line_of_head), ncols=8, fontsize=8,
            frameon=False, labelcolor="#E8EDF2", handlelength=1.2, columnspacing=1.2,
        )  # fmt: skip
    mark = iter(marks)
    colour = "#9FD8B4"
    for i, line in enumerate(lines or ["no finding"]):
        if not line.startswith("    ") and lines:
            colour = _MARK[next(mark, "note")]
        figure.text(0.012, (foot - 0.17 - 0.19 * i) / whole[1], line, color=colour, fontsize=9, va="center")
    return figure, foot


def _panel(
    axes: Any,
    plane: np.ndarray,
    labels: np.ndarray | None,
    step: tuple[float, float],
    brightest: float,
    colours: Mapping[int, str],
) -> None:
    """Draw one plane with its outlines, thinned to what the panel can show."""
    thin = max(1, round(max(plane.shape) / _PANEL_PIXELS))
    plane = plane[::thin, ::thin]
    extent = (0.0, plane.shape[0] * step[0] * thin, 0.0, plane.shape[1] * step[1] * thin)
    axes.imshow(plane.T, cmap="gray", vmin=0, vmax=brightest, origin="lower", extent=extent, aspect="equal")
    if labels is not None:
        labels = labels[::thin, ::thin]
        x = (np.arange(plane.shape[0]) + 0.5) * step[0] * thin
        y = (np.arange(plane.shape[1]) + 0.5) * step[1] * thin
        for number in np.unique(labels).tolist():
            mask = labels == number
            if number in colours and min(mask.shape) > 1 and not mask.all():
                axes.contour(x, y, mask.T, levels=[0.5], colors=[colours[number]], linewidths=1.3)
    axes.set_facecolor("#000000")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _words(axes: Any, text: str, x: float, y: float, side: str, colour: str) -> None:
    axes.text(x, y, text, transform=axes.transAxes, color=colour, fontsize=8, ha=side, va="bottom", bbox=_BEHIND)


def _sides(axes: Any, letters: str, inset: float = 0.02) -> None:
    """Write which side of the body either edge of a panel is."""
    for letter, x, side in zip(letters, (inset, 1 - inset), ("left", "right"), strict=True):
        axes.text(
            x, 0.5, letter, transform=axes.transAxes, color="#E8EDF2", fontsize=8, ha=side, va="center", bbox=_BEHIND
        )


def _colours(structures: Mapping[int, Structure]) -> dict[int, str]:
    """Return a colour for each muscle's ids, both sides alike."""
    names = list(dict.fromkeys(item.name for item in structures.values() if item.is_muscle))
    return {key: _COLOURS[names.index(item.name) % len(_COLOURS)] for key, item in structures.items() if item.is_muscle}


def _of_name(colours: Mapping[int, str], structures: Mapping[int, Structure], name: str) -> str:
    return next(colours[key] for key, item in structures.items() if item.name == name and key in colours)


def _plane(labels: np.ndarray | None, where: tuple[Any, ...]) -> np.ndarray | None:
    return None if labels is None else labels[where]


def _window(data: np.ndarray, brightest: float) -> tuple[slice, slice]:
    """In-plane box around the body, with a little air."""
    body = data[:, :, :: max(1, data.shape[2] // 24)] > 0.12 * brightest
    box = []
    for axis in (0, 1):
        used = np.flatnonzero(body.any(axis=2).mean(axis=1 - axis) > 0.03)
        low, high = (int(used[0]), int(used[-1])) if used.size else (0, data.shape[axis] - 1)
        box.append(slice(max(low - 3, 0), min(high + 4, data.shape[axis])))
    return box[0], box[1]


def _chosen_slices(tall: int, labels: np.ndarray | None, worst: Mapping[int, str], count: int) -> list[int]:
    """Slices evenly spread over the labels; up to half make room for slices with findings."""
    used = np.arange(tall) if labels is None else np.flatnonzero((labels > 0).any(axis=(0, 1)))
    if used.size == 0:
        used = np.arange(tall)
    even = used[np.linspace(0, used.size - 1, count + 2).round().astype(int)[1:-1]].tolist()
    if 0 < len(worst) < 0.5 * tall:
        marked = sorted(k for k in worst if k < tall)
        few = [
            marked[i]
            for i in np.unique(np.linspace(0, len(marked) - 1, min(count // 2, len(marked))).round().astype(int))
        ]
        rest = [k for k in even if k not in few]
        while len(few) + len(rest) > count:
            # The even slice nearest to a marked one shows the least that is new.
            rest.remove(min(rest, key=lambda k: min(abs(k - other) for other in few)))
        even = few + rest
    return sorted(set(even))


def _arranged(
    axial: list[tuple[float, float]], planes: list[tuple[float, float]], wide: float
) -> tuple[list[tuple[float, float, float, float]], float]:
    """Place axial slices in rows, with the planes along the body in a row below them or beside them, over the whole width.

    Parameters
    ----------
    axial, planes : list of (width, height)
        In mm. Axial slices have one size, planes one height.
    wide : float
        Width of the picture, inches.

    Returns
    -------
    boxes : list of (left, top, width, height)
        Inches, axial slices first.
    tall : float
        Height of all, inches: of the arrangements that are not too tall, the one whose smaller scale is largest.
    """
    (width, height), along = axial[0], sum(width for width, _ in planes)
    stack = max(height for _, height in planes)
    best: tuple[tuple[bool, float], list[tuple[float, float, float, float]], float] | None = None
    # Full rows, where the number allows it.
    for columns in [n for n in (4, 3, 2) if len(axial) % n == 0] or [4, 3, 2]:
        rows = -(-len(axial) // columns)
        below = (wide / (columns * width), wide / along, 0.0, rows * height * wide / (columns * width))
        # Beside each other both are as tall as the picture.
        tall = wide / (columns * width / (rows * height) + along / stack)
        beside = (tall / (rows * height), tall / stack, columns * width * tall / (rows * height), 0.0)
        for scale, other, left, top in (below, beside):
            boxes = [
                (i % columns * width * scale, i // columns * height * scale, width * scale, height * scale)
                for i in range(len(axial))
            ]
            for across, high in planes:
                boxes.append((left, top, across * other, high * other))
                left += across * other
            full = max(up + high for _, up, _, high in boxes)
            rank = (full <= _TALLEST_INCHES, min(scale, other) if full <= _TALLEST_INCHES else -full)
            if best is None or rank > best[0]:
                best = (rank, boxes, full)
    assert best is not None
    return best[1], best[2]


def _middle(
    data: np.ndarray, labels: np.ndarray | None, structures: Mapping[int, Structure], brightest: float
) -> tuple[int, int]:
    """Planes of the sagittal and the coronal view: through most muscle, or most body."""
    mask = np.isin(labels, [key for key, item in structures.items() if item.is_muscle]) if labels is not None else None
    if mask is None or not mask.any():
        mask = data > 0.2 * brightest
    if not mask.any():
        return data.shape[0] // 2, data.shape[1] // 2
    return int(mask.sum(axis=(1, 2)).argmax()), int(mask.sum(axis=(0, 2)).argmax())
