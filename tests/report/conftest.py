"""One small study, fitted once, for the tests of the report."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes import plots
from muscle_bayes.estimands import nomogram, odds_ratio_surface, odds_ratios
from muscle_bayes.inference import Fit
from muscle_bayes.inference import fit as fit_model
from muscle_bayes.report import FitResults, StudyResults


@pytest.fixture(scope="session")
def cohort():
    return mb.read_cohort(mb.simulate_cohort(2_000, seed=1))


@pytest.fixture(scope="session")
def bayes(cohort) -> Fit:
    return fit_model("cbp_interaction", cohort, method="laplace", seed=1)


@pytest.fixture(scope="session")
def likelihood(cohort) -> Fit:
    return fit_model("cbp_interaction", cohort, method="ml", seed=1)


def estimates(fit: Fit, folder: Path, name: str, *, with_nomogram: bool = False) -> FitResults:
    """Return tables and drawn figures of a fit, as a study makes them."""
    tables = {"odds_ratios": odds_ratios(fit), "surface": odds_ratio_surface(fit, grid=0.5)}
    drawn = {"forest": plots.forest(tables["odds_ratios"]), "surface": plots.surface(tables["surface"])}
    if with_nomogram:
        made = nomogram(fit)
        tables |= {"nomogram_points": made.points, "nomogram_scale": made.scale}
        drawn["nomogram"] = plots.nomogram(made)
    figures = {}
    for kind, figure in drawn.items():
        figures[kind] = folder / f"{name}_{kind}.svg"
        figure.savefig(figures[kind], format="svg")
        figure.savefig(folder / f"{name}_{kind}_85mm.svg", format="svg")
    return FitResults(name, fit.model, fit, tables, figures)


@pytest.fixture(scope="session")
def item(bayes, tmp_path_factory) -> FitResults:
    return estimates(bayes, tmp_path_factory.mktemp("figures"), "cbp_interaction", with_nomogram=True)


@pytest.fixture(scope="session")
def study(cohort, tmp_path_factory) -> Callable[..., StudyResults]:
    """Build results of a study around fits."""

    def build(*fits: FitResults, **changed) -> StudyResults:
        results = StudyResults(
            name="A small study",
            seed=1,
            out=tmp_path_factory.mktemp("study"),
            simulated=True,
            flow=cohort.flow,
            dictionary=cohort.dictionary,
            summary=cohort.summary(),
            fits=fits,
            failures=pd.DataFrame(columns=["participant_id", "session_id", "where", "problem", "remedy"]),
        )
        return dataclasses.replace(results, **changed)

    return build
