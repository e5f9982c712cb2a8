"""Everything that is estimated from one fit, by name; what is not defined for it says why."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from muscle_bayes.cohort import Cohort
from muscle_bayes.cohort.files import whole_file
from muscle_bayes.errors import MuscleBayesError, UnconvergedFitError
from muscle_bayes.study.frames import write_frame

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit

#: What a study estimates from each fit unless study.toml names fewer, in the order of the report.
ESTIMATES = (
    "odds_ratios", "risks", "interaction", "surface", "curve", "nomogram", "subgroups", "distributions", "proportionality",
    "prior_predictive", "posterior_predictive", "residuals", "calibration", "discrimination", "leave_one_site_out", "loo",
)  # fmt: skip
#: What takes minutes and is made where study.toml names it.
ON_REQUEST = ("optimism",)


@dataclass
class Estimates:
    """Estimand frames of one fit, and why some are not there.

    Attributes
    ----------
    tables : dict of str to pandas.DataFrame
        By the names of `ESTIMATES`; the nomogram as `nomogram_points` and `nomogram_scale`.
    problems : list of str
        One sentence for each estimand that is not defined, or one for a failed gate.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def estimate(
    fit: "Fit", cohort: Cohort, names: Iterable[str] = ESTIMATES, *, told: Callable[[str], None] | None = None
) -> Estimates:
    """Estimate everything that a fit and its model allow.

    Parameters
    ----------
    fit : Fit
        With its persons.
    cohort : Cohort
        Raw units, for what is drawn from priors.
    names : iterable of str
        Of `ESTIMATES` and `ON_REQUEST`.
    told : callable, optional
        Told the name of each estimand that is done.

    Returns
    -------
    Estimates
        Empty where the fit failed its gate.
    """
    made = Estimates()
    try:
        fit.require_converged(allow_unconverged=False)
    except UnconvergedFitError as error:
        made.problems.append(str(error))
        return made
    wanted = set(names)
    for name, make in _ways(fit, cohort).items():
        if name not in wanted:
            continue
        try:
            found = make()
        except MuscleBayesError as error:
            made.problems.append(f"No {name.replace('_', ' ')}: {error}")
            continue
        made.tables |= found if isinstance(found, dict) else {name: found}
        if told is not None:
            told(name)
    return made


def _ways(fit: "Fit", cohort: Cohort) -> dict[str, Callable[[], Any]]:
    """Return how each estimand that this model has is made."""
    from muscle_bayes import estimands as of

    exposures, site = list(fit.model.exposures), fit.recipe.site
    persons = fit.cohort if fit.cohort is not None else pd.DataFrame()
    ways: dict[str, Callable[[], Any]] = {"odds_ratios": lambda: of.odds_ratios(fit)}
    if exposures:
        ways["risks"] = lambda: of.risks(fit, by="sex" if "sex" in persons else None)
    if len(exposures) >= 2:
        ways["interaction"] = lambda: of.interaction(fit, exposures[0], exposures[1])
        ways["surface"] = lambda: of.odds_ratio_surface(fit, exposures[0], exposures[1])
    bent = list(dict.fromkeys(name for smooth in fit.recipe.smooths for name in smooth.call.variables))
    if bent:
        ways["curve"] = lambda: {f"curve_{name}": of.odds_ratio_curve(fit, name) for name in bent}
    ways["nomogram"] = lambda: _nomogram_tables(of.nomogram(fit))
    if exposures:
        ways["subgroups"] = lambda: of.subgroups(fit)
        groups = [name for name in ("osteoarthritis", "osteoporosis") if name in persons]
        ways["distributions"] = lambda: of.exposure_distributions(fit, by=groups)
    if fit.model.family == "cumulative":
        # Probabilities need an event (fit.at_least); an ordered outcome has odds ratios, whose one-for-all-cuts is checked.
        kept = ("odds_ratios", "surface", "curve")
        ways = {name: make for name, make in ways.items() if name in kept}
        if fit.method != "ml":
            ways["prior_predictive"] = lambda: of.prior_predictive(fit.model, cohort)
        ways["posterior_predictive"] = lambda: of.posterior_predictive(fit)
        return ways | {"proportionality": lambda: of.proportionality(fit)}
    if fit.method != "ml":
        ways["prior_predictive"] = lambda: of.prior_predictive(fit.model, cohort)
    ways["posterior_predictive"] = lambda: of.posterior_predictive(fit)
    if exposures:
        ways["residuals"] = lambda: of.residuals(fit)
    ways["calibration"] = lambda: of.calibration(fit, by=site)
    ways["discrimination"] = lambda: of.discrimination(fit)
    if len(fit.recipe.site_levels) >= 3:
        ways["leave_one_site_out"] = lambda: of.leave_one_site_out(fit)
    ways["optimism"] = lambda: of.optimism(fit)
    if fit.method != "ml":
        ways["loo"] = lambda: of.loo(fit)
    return ways


def _nomogram_tables(made: Any) -> dict[str, pd.DataFrame]:
    return {"nomogram_points": made.points, "nomogram_scale": made.scale}


def keep_frames(tables: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write estimand frames with their `.attrs`, for figures and report of a later run.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Name -> frame.
    folder : pathlib.Path
        `fits/NAME/estimates`.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    return [write_frame(table, folder / f"{name}.parquet") for name, table in tables.items()]


def write_tables(tables: Mapping[str, pd.DataFrame], label: str, out: Path) -> list[Path]:
    """Write estimand frames as tables/LABEL_NAME.csv.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Name -> frame.
    label : str
        Name of the fit; empty for tables of the whole study.
    out : pathlib.Path
        Folder of the results.

    Returns
    -------
    list of pathlib.Path
        The files. A column `simulated` says so in every row where the data are simulated.
    """
    paths = []
    for name, table in tables.items():
        path = out / "tables" / f"{label}_{name}.csv" if label else out / "tables" / f"{name}.csv"
        marked = table.assign(simulated=1) if table.attrs.get("simulated") and "simulated" not in table else table
        with whole_file(path) as temporary:
            marked.to_csv(temporary, index=False, lineterminator="\n")
        paths.append(path)
    return paths
