"""What a study hands to the report: one object, made of tables, fits and drawn figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from muscle_bayes.cohort import Exposure
    from muscle_bayes.inference import Fit
    from muscle_bayes.specification import Model


@dataclass(frozen=True)
class FitResults:
    """One fit with what was made of it.

    Attributes
    ----------
    name : str
        Name of the fit, as its folder under `fits/` and the stem of its tables and figures.
    model : Model
        What was fitted.
    fit : Fit
        The posterior, with its diagnostics.
    tables : dict of str to pandas.DataFrame
        Estimand frames by name, with their `.attrs`: `odds_ratios`, `risks`, `surface`, `nomogram_points`, `nomogram_scale`
        and so on, as far as the model has them. Empty where the fit failed its gate.
    figures : dict of str to pathlib.Path
        `forest`, `surface`, `nomogram`, ... -> the SVG; PDF and PNG stand beside it under the same stem, and the one-column
        version as ``NAME_85mm``.
    problems : tuple of str
        Why tables or figures are not there, one sentence each: a failed gate, an estimand that is not defined.
    """

    name: str
    model: "Model"
    fit: "Fit"
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Path] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phantoms:
    """Phantom images of some participants, measured and held against their truth.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a phantom and muscle (left and right together): participant_id, region, backend, muscle, and for each of
        InterMAT, compartment and lean volume the measured and the true value.
    figures : dict of str to pathlib.Path
        `agreement` and `overlays` -> the SVG or PNG.
    note : str
        What a reader must know: which backend measured what, and that no measured value replaced a simulated one.
    """

    table: pd.DataFrame
    figures: Mapping[str, Path] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class StudyResults:
    """A whole study.

    Attributes
    ----------
    name : str
        The study's name.
    seed : int
        Its seed.
    out : pathlib.Path
        Folder that everything was written to; figure paths lie in it.
    simulated : bool
        Whether any row or image was simulated.
    flow : pandas.DataFrame
        Participant flow of the cohort: step, reason, n_removed, n_left. Complete cases are in each fit's `fit.flow`.
    dictionary : pandas.DataFrame
        column, unit, description.
    summary : pandas.DataFrame
        One row a column of the cohort: column, unit, missing, summary.
    fits : tuple of FitResults
        In the order of study.toml.
    failures : pandas.DataFrame
        Participants that could not be measured: participant_id, session_id, where, problem, remedy.
    notes : tuple of str
        What a reader should know about the cohort.
    phantoms : Phantoms or None
        For the demonstration.
    exposure : Exposure or None
        Which measurements the exposure columns are, with the backend that was found; for the methods.
    tables, figures : dict
        Of several fits together: `symptom_burden`, `model_comparison`.
    """

    name: str
    seed: int
    out: Path
    simulated: bool
    flow: pd.DataFrame
    dictionary: pd.DataFrame
    summary: pd.DataFrame
    fits: tuple[FitResults, ...]
    failures: pd.DataFrame
    notes: tuple[str, ...] = ()
    phantoms: Phantoms | None = None
    truth: Mapping[str, Mapping[str, float]] | None = None
    exposure: "Exposure | None" = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Path] = field(default_factory=dict)
