"""What is made of several fits together: symptom burden across outcomes, and predictive comparison of models."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.study.drawing import draw_figures, figure_files
from muscle_bayes.study.estimating import keep_frames, write_tables
from muscle_bayes.study.fitting import MadeFit
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.frames import read_frame
from muscle_bayes.study.lock import code_version, fingerprint

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit


@dataclass(frozen=True)
class Across:
    """Tables and figures of several fits together.

    Attributes
    ----------
    tables : dict of str to pandas.DataFrame
        `symptom_burden` and `model_comparison`, where the fits allow them.
    figures : dict of str to pathlib.Path
        `symptom_burden` -> the SVG.
    files : dict of str to str
        What the stage wrote -> SHA-256.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Path] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def across_fits(folder: StudyFolder, fits: Sequence[MadeFit]) -> Across:
    """Put the fits of a study side by side, where there are several.

    Parameters
    ----------
    folder : StudyFolder
        Of the results.
    fits : sequence of MadeFit
        In the order of study.toml; those that failed their gate are left out.

    Returns
    -------
    Across
        Empty where fewer than two fits can stand beside each other.
    """
    passed = [made for made in fits if not made.gate]
    if len(passed) < 2:
        return Across()
    out, stage = folder.out, "fits together"
    posteriors = [folder.lock.outputs(f"fit {made.section.label}") for made in passed]
    wanted = fingerprint(posteriors, code_version("estimands", "plots"))
    if folder.needs(stage, wanted):
        folder.progress.start(stage)
        named = {made.section.label: made.load() for made in passed}
        tables = _burden(named) | _comparison(named)
        figures = draw_figures(tables, "", out)
        files = [*write_tables(tables, "", out), *keep_frames(tables, out / "fits")]
        files += [path for svg in figures.values() for path in figure_files(svg)]
        names = {name: svg.relative_to(out).as_posix() for name, svg in figures.items()}
        folder.done(stage, wanted, files, {"tables": list(tables), "figures": names})
        folder.progress.finish(", ".join(name.replace("_", " ") for name in tables) or "nothing to put side by side")
    facts = folder.lock.facts(stage)
    return Across(
        {name: read_frame(out / "fits" / f"{name}.parquet") for name in facts.get("tables", [])},
        {name: out / svg for name, svg in facts.get("figures", {}).items()},
        folder.lock.outputs(stage),
    )


def _burden(fits: dict[str, "Fit"]) -> dict[str, pd.DataFrame]:
    """Return the odds ratios of shared exposures, one fit an outcome: the first of each."""
    from muscle_bayes.estimands import symptom_burden

    outcomes: dict[str, Fit] = {}
    for fit in fits.values():
        outcomes.setdefault(fit.model.outcome_label, fit)
    if len(outcomes) < 2:
        return {}
    try:
        return {"symptom_burden": symptom_burden(outcomes)}
    except EstimandError:
        return {}


def _comparison(fits: dict[str, "Fit"]) -> dict[str, pd.DataFrame]:
    """Return the predictive comparison of the first group of Bayesian fits of the same outcome and persons."""
    from muscle_bayes.estimands import loo

    groups: dict[tuple[str, int, int], dict[str, Fit]] = {}
    for name, fit in fits.items():
        if fit.method != "ml":
            groups.setdefault((str(fit.model.parsed_event), fit.n, fit.events), {})[name] = fit
    for group in groups.values():
        if len(group) < 2:
            continue
        try:
            return {"model_comparison": loo(group)}
        except EstimandError:
            continue
    return {}
