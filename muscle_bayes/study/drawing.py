"""Figures of a study: each in two print widths, as SVG, PDF and PNG."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd

from muscle_bayes.cohort.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from muscle_bayes.inference import Fit

FIGURE_FORMATS = ("svg", "pdf", "png")
#: Widths in print, in mm, and what file names of each end in: two columns, and one.
WIDTHS = {180.0: "", 85.0: "_85mm"}


def _ways(
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, pd.DataFrame], float], Any]]]:
    """Return for each figure the tables that it needs and how it is drawn, in the order of the report."""
    from muscle_bayes import plots

    def plain(table: str, draw: Any) -> tuple[tuple[str, ...], Any]:
        return (table,), lambda tables, width: draw(tables[table], width_mm=width)

    def nomogram(tables: Mapping[str, pd.DataFrame], width: float) -> Any:
        made = SimpleNamespace(points=tables["nomogram_points"], scale=tables["nomogram_scale"])
        return plots.nomogram(made, width_mm=width)

    return {
        "forest": plain("odds_ratios", plots.forest),
        "risks": plain("risks", plots.risks),
        "interaction": plain("interaction", plots.interaction),
        "surface": plain("surface", plots.surface),
        **{name: plain(name, plots.curve) for name in tables if name.startswith("curve_")},
        "nomogram": (("nomogram_points", "nomogram_scale"), nomogram),
        "subgroups": plain("subgroups", plots.subgroups),
        "distributions": plain("distributions", plots.distributions),
        "prior_predictive": plain("prior_predictive", plots.prior_predictive),
        "posterior_predictive": plain("posterior_predictive", plots.posterior_predictive),
        "residuals": plain("residuals", plots.residuals),
        "calibration": plain("calibration", plots.calibration),
        "leave_one_site_out": plain("leave_one_site_out", plots.leave_one_site_out),
        "proportionality": plain("proportionality", plots.proportionality),
        "sensitivity": plain("sensitivity", plots.specification_curve),
        "symptom_burden": plain("symptom_burden", plots.symptom_burden),
    }


def draw_figures(tables: Mapping[str, pd.DataFrame], label: str, out: Path) -> dict[str, Path]:
    """Draw every figure that the tables allow.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Estimand frames with their `.attrs`.
    label : str
        Name of the fit; empty for figures of the whole study.
    out : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict of str to pathlib.Path
        Name -> figures/LABEL_NAME.svg; the one-column version beside it is LABEL_NAME_85mm.svg.
    """
    made = {}
    for name, (needed, draw) in _ways(tables).items():
        if any(table not in tables for table in needed):
            continue
        stem = out / "figures" / (f"{label}_{name}" if label else name)
        for width, ending in WIDTHS.items():
            save_figure(draw(tables, width), stem.with_name(stem.name + ending))
        made[name] = stem.with_name(f"{stem.name}.svg")
    return made


def write_nomogram_page(fit: "Fit", label: str, out: Path) -> list[Path]:
    """Write the interactive nomogram as one page that opens from disk.

    Parameters
    ----------
    fit : Fit
        That has a nomogram.
    label : str
        Name of the fit.
    out : pathlib.Path
        Folder of the results.

    Returns
    -------
    list of pathlib.Path
        figures/LABEL_nomogram.html.
    """
    from muscle_bayes import plots
    from muscle_bayes.estimands import nomogram

    page = out / "figures" / f"{label}_nomogram.html"
    with whole_file(page) as path:
        path.write_text(plots.nomogram_html(nomogram(fit)), encoding="utf-8")
    return [page]


def save_figure(figure: "Figure", stem: Path) -> Path:
    """Write a figure as SVG, PDF and PNG, the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        To be written.
    stem : pathlib.Path
        Path without an ending.

    Returns
    -------
    pathlib.Path
        The SVG.
    """
    import matplotlib as mpl

    # No dates and no random ids: a file changes only when the picture does, and a resumed run can tell.
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with mpl.rc_context({"svg.hashsalt": stem.name}):
        for ending in FIGURE_FORMATS:
            with whole_file(stem.parent / f"{stem.name}.{ending}") as path:
                figure.savefig(path, format=ending, metadata=metadata[ending])
    return stem.parent / f"{stem.name}.svg"


def figure_files(svg: Path) -> list[Path]:
    """Return the files of a figure, whatever the format and the width.

    Parameters
    ----------
    svg : pathlib.Path
        As `draw_figures` or `save_figure` returns it.

    Returns
    -------
    list of pathlib.Path
        SVG, PDF and PNG of each width that was drawn.
    """
    stems = [f"{svg.stem}{ending}" for ending in WIDTHS.values()]
    files = [svg.parent / f"{stem}.{ending}" for stem in stems for ending in FIGURE_FORMATS]
    return [path for path in files if path.is_file()]
