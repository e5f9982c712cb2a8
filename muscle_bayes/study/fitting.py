"""The fit stage and what is made of a fit: posterior, diagnostics, estimand tables, figures."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from muscle_bayes.cohort import Cohort
from muscle_bayes.cohort.files import whole_file
from muscle_bayes.errors import EstimandError, UnconvergedFitError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from muscle_bayes.estimands import Nomogram
    from muscle_bayes.inference import Fit
    from muscle_bayes.specification import Model

FIGURE_FORMATS = ("svg", "pdf", "png")


def fit_model(
    model: "Model",
    cohort: Cohort,
    folder: Path,
    *,
    method: str,
    seed: int,
    overlaps_nako: bool = False,
    force_published: bool = False,
) -> tuple["Fit", list[Path]]:
    """Fit a model and write posterior.nc and diagnostics.json.

    Parameters
    ----------
    model : Model
        With the priors that are wanted.
    cohort : Cohort
        Raw units.
    folder : pathlib.Path
        `fits/NAME`.
    method : {"auto", "nuts", "laplace", "ml"}
        Engine.
    seed : int
        Seed of the fit.
    overlaps_nako, force_published : bool
        Whether the `published` priors come from the same people, and whether they are taken all the same; see `mb.fit`.

    Returns
    -------
    fit : Fit
        Whether or not it passed its gate.
    files : list of pathlib.Path
        What was written.
    """
    from muscle_bayes.inference import fit as fit_to

    fit = fit_to(
        model,
        cohort,
        method=method,  # type: ignore[arg-type]
        seed=seed,
        overlaps_nako=overlaps_nako,
        force_published=force_published,
    )
    posterior = fit.save(folder / "posterior.nc")
    described = {
        "model": model.name,
        "method": fit.method,
        "seed": seed,
        "passed": fit.diagnostics.passed,
        "findings": [{"kind": finding.kind, "text": finding.text} for finding in fit.diagnostics.findings],
        "measures": fit.diagnostics.measures,
        "parameters": json.loads(fit.diagnostics.parameters.reset_index().to_json(orient="records")),
    }
    with whole_file(folder / "diagnostics.json") as path:
        path.write_text(json.dumps(described, indent=2, ensure_ascii=False, default=_plain) + "\n", encoding="utf-8")
    return fit, [posterior, folder / "diagnostics.json"]


def _plain(value: Any) -> Any:
    """Return a NumPy scalar or array as JSON."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


class Estimates:
    """Estimand frames of one fit, and why some are not there.

    Attributes
    ----------
    tables : dict of str to pandas.DataFrame
        odds_ratios, surface, nomogram_points, nomogram_scale.
    nomogram : Nomogram or None
        For the figure.
    problems : list of str
        One sentence for each estimand that is not defined, or one for a failed gate.
    """

    def __init__(self, fit: "Fit") -> None:
        self.tables: dict[str, pd.DataFrame] = {}
        self.nomogram: Nomogram | None = None
        self.problems: list[str] = []
        try:
            fit.require_converged(allow_unconverged=False)
        except UnconvergedFitError as error:
            self.problems.append(str(error))
            return
        self._estimate(fit)

    def _estimate(self, fit: "Fit") -> None:
        from muscle_bayes.estimands import nomogram, odds_ratio_surface, odds_ratios

        self._try("odds_ratios", lambda: odds_ratios(fit))
        exposures = list(fit.model.exposures)
        if len(exposures) >= 2:
            self._try("surface", lambda: odds_ratio_surface(fit, exposures[0], exposures[1]))
        try:
            self.nomogram = nomogram(fit)
        except EstimandError as error:
            self.problems.append(f"No nomogram: {error}")
        else:
            self.tables["nomogram_points"] = self.nomogram.points
            self.tables["nomogram_scale"] = self.nomogram.scale

    def _try(self, name: str, make: Callable[[], pd.DataFrame]) -> None:
        try:
            self.tables[name] = make()
        except EstimandError as error:
            self.problems.append(f"No {name}: {error}")


def write_tables(tables: Mapping[str, pd.DataFrame], label: str, out: Path) -> list[Path]:
    """Write estimand frames as tables/LABEL_NAME.csv.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Name -> frame.
    label : str
        Name of the fit.
    out : pathlib.Path
        Folder of the results.

    Returns
    -------
    list of pathlib.Path
        The files. A column `simulated` says so in every row where the data are simulated.
    """
    paths = []
    for name, table in tables.items():
        path = out / "tables" / f"{label}_{name}.csv"
        marked = table.assign(simulated=1) if table.attrs.get("simulated") and "simulated" not in table else table
        with whole_file(path) as temporary:
            marked.to_csv(temporary, index=False, lineterminator="\n")
        paths.append(path)
    return paths


def draw_figures(estimates: Estimates, label: str, out: Path) -> dict[str, Path]:
    """Draw forest plot, heatmap and nomogram, each as SVG, PDF and PNG.

    Parameters
    ----------
    estimates : Estimates
        Frames of one fit.
    label : str
        Name of the fit.
    out : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict of str to pathlib.Path
        forest, surface, nomogram -> figures/LABEL_NAME.svg.
    """
    from muscle_bayes import plots

    drawn: dict[str, Figure] = {}
    if "odds_ratios" in estimates.tables:
        drawn["forest"] = plots.forest(estimates.tables["odds_ratios"])
    if "surface" in estimates.tables:
        drawn["surface"] = plots.surface(estimates.tables["surface"])
    if estimates.nomogram is not None:
        drawn["nomogram"] = plots.nomogram(estimates.nomogram)
    return {name: save_figure(figure, out / "figures" / f"{label}_{name}") for name, figure in drawn.items()}


def write_nomogram_page(estimates: Estimates, label: str, out: Path) -> list[Path]:
    """Write the interactive nomogram as one page that opens from disk.

    Parameters
    ----------
    estimates : Estimates
        Frames of one fit.
    label : str
        Name of the fit.
    out : pathlib.Path
        Folder of the results.

    Returns
    -------
    list of pathlib.Path
        figures/LABEL_nomogram.html; empty where the fit has no nomogram.
    """
    from muscle_bayes import plots

    if estimates.nomogram is None:
        return []
    page = out / "figures" / f"{label}_nomogram.html"
    with whole_file(page) as path:
        path.write_text(plots.nomogram_html(estimates.nomogram), encoding="utf-8")
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
    """Return the files of a figure, whatever the format.

    Parameters
    ----------
    svg : pathlib.Path
        As `save_figure` returns it.

    Returns
    -------
    list of pathlib.Path
        SVG, PDF and PNG.
    """
    return [svg.parent / f"{svg.stem}.{ending}" for ending in FIGURE_FORMATS]
