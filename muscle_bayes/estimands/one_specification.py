"""One specification of a sensitivity analysis: its persons and columns, its fit, its rows; or the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.cohort.exclusions import excluded_rows
from muscle_bayes.errors import EstimandError, MuscleBayesError
from muscle_bayes.estimands import derived_exposures as derived
from muscle_bayes.estimands.followed import ESTIMANDS, followed, summary_rows
from muscle_bayes.estimands.refitting import REFIT_DRAWS, certificate, refit, without
from muscle_bayes.estimands.specifications import (
    Specification,
    adipose_definitions,
    with_adipose,
    with_adjustment,
    with_age,
    with_covariates,
    with_fixed_site,
    with_lean_muscle,
    with_priors,
)
from muscle_bayes.specification import Standardise
from muscle_bayes.specification.columns import group_names
from muscle_bayes.specification.published import require_new_data

#: Designs that are kept: specifications come in an order in which those of one design follow each other.
_KEPT = 2


@dataclass(frozen=True)
class Settings:
    """What all specifications of one analysis share; travels to the processes that compute them.

    Attributes
    ----------
    models : dict of str to Model
        By name.
    table : pandas.DataFrame, n rows
        Persons, raw units.
    simulated : bool
        Whether they are.
    own : str
        The adipose definition that the table's plain columns follow.
    rules : dict of str to dict
        Exclusions by name: column, op, value.
    stated_priors : dict
        Priors of one's own by name.
    let_in : tuple of str
        Models whose published priors a fit has been allowed to take.
    estimands : tuple of str
        What is followed.
    per : float
        Z-scores that a contrast spans.
    draws, seed : int
        Of each fit.
    """

    models: dict[str, Any]
    table: pd.DataFrame
    simulated: bool
    own: str = "threshold"
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    stated_priors: dict[str, Any] = field(default_factory=dict)
    let_in: tuple[str, ...] = ()
    estimands: tuple[str, ...] = tuple(ESTIMANDS)
    per: float = 2.0
    draws: int = REFIT_DRAWS
    seed: int = 1


@dataclass(frozen=True)
class _Prepared:
    """A model with its persons, Z-scores and their constants, before priors and exclusions."""

    model: Any
    frame: pd.DataFrame
    constants: dict[str, Any]
    design: Any
    site: str | None


class Computer:
    """Computes specifications one after another and keeps the designs that the next ones may share.

    Parameters
    ----------
    settings : Settings
        Of the analysis.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._standing: dict[str, pd.DataFrame] = {}
        self._prepared: dict[tuple[str, ...], _Prepared] = {}

    def compute(self, specification: Specification) -> dict[str, Any]:
        """Fit one specification.

        Parameters
        ----------
        specification : Specification
            What to fit.

        Returns
        -------
        dict
            Plain values: `rows` (of `followed.summary_rows`), `certified`, `note` (why not, or empty), `n`, `events`, `khat`,
            `ess`, `seconds`, `cpu_seconds`, `provenance` of the fit.
        """
        wall, cpu = perf_counter(), process_time()
        result: dict[str, Any] = {
            "rows": [], "certified": False, "note": "", "n": None, "events": None, "khat": None, "ess": None,
            "provenance": None,
        }  # fmt: skip
        try:
            self._fit(specification, result)
        except MuscleBayesError as error:
            result["note"] = f"not fitted: {error.where}: {error.problem}"
        except (ArithmeticError, LookupError, TypeError, ValueError, np.linalg.LinAlgError) as error:
            # A sweep of hours must not end at one specification; the row says what happened.
            result["note"] = f"not fitted: {type(error).__name__}: {error}"
        return result | {"seconds": perf_counter() - wall, "cpu_seconds": process_time() - cpu}

    def _fit(self, specification: Specification, result: dict[str, Any]) -> None:
        settings = self.settings
        prepared = self._prepare(specification)
        persons = self._persons(specification, prepared)
        event = prepared.model.parsed_event
        result["n"] = len(persons)
        if persons.empty:
            raise EstimandError("persons", "nobody is left", "Look at the exclusion")
        result["events"] = int(event.happened(persons[event.column]).sum())
        model = with_priors(prepared.model, specification.priors, specification.site_sd, settings.stated_priors)
        if model.priors.set == "published" and specification.model not in settings.let_in:
            require_new_data(model, prepared.design)
        model = _left(model, persons)
        if specification.site_term == "fixed effect" and prepared.site:
            persons = persons.assign(**{prepared.site: group_names(persons[prepared.site])})
            model = with_fixed_site(model, prepared.site, sorted(persons[prepared.site].unique()))
        constants = {name: prepared.constants[name] for name in model.standardise}
        fit = refit(model, persons, constants, draws=settings.draws, seed=settings.seed, simulated=settings.simulated)
        result["note"] = certificate(fit)
        result["certified"] = not result["note"]
        measures = fit.diagnostics.measures
        result["khat"], result["ess"] = (float(measures.get(key, np.nan)) for key in ("k-hat", "ESS of the weights"))
        rows = summary_rows(fit, followed(fit, settings.estimands, settings.per))
        if specification.site_term == "fixed effect":
            own = rows["estimand"].isin(["risk difference", "RERI"])
            rows["site"] = rows["site"].where(~own, "own site (fixed effect)")
        result["rows"] = rows.to_dict("records")
        result["provenance"] = fit.provenance()

    def _prepare(self, specification: Specification) -> _Prepared:
        key = specification.design
        if key not in self._prepared:
            while len(self._prepared) >= _KEPT:
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[key] = self._design(specification)
        return self._prepared[key]

    def _design(self, specification: Specification) -> _Prepared:
        settings = self.settings
        model = settings.models[specification.model]
        table = self._analysis_set(specification.model)
        if adipose_definitions(model):
            model = with_adipose(model, specification.adipose, [*map(str, table)], settings.own)
        model, table = with_lean_muscle(model, specification.lean_muscle, table, settings.own)
        model = with_adjustment(model, specification.adjustment, [*map(str, table)])
        model = with_age(model, specification.age_term)
        exposures = [name for name in model.exposures if name in model.standardise]
        if specification.site_term == "Z within site":
            site = _site_of(model, specification)
            rules = {
                name: Standardise.model_validate({"from": model.standardise[name].source, "over": site})
                for name in exposures
            }
            model = model.model_copy(update={"standardise": {**model.standardise, **rules}})
        design = model.design(table)
        frame, constants = design.frame, dict(design.recipe.constants)
        site = design.recipe.site
        if specification.site_term in ("centred exposures", "within and between", "fixed effect"):
            site = _site_of(model, specification)
        if specification.site_term == "centred exposures":
            for name in exposures:
                constants[name] = derived.centred_within_site(constants[name], frame, str(site))
                frame = frame.assign(**{name: constants[name].score(frame)})
        if specification.site_term == "within and between":
            means = {f"{name}_site_mean": derived.site_mean(frame[name], frame[site]) for name in exposures}
            frame, model = frame.assign(**means), with_covariates(model, list(means))
        return _Prepared(model, frame, constants, design, site)

    def _analysis_set(self, name: str) -> pd.DataFrame:
        """Return the persons who are complete on a model as it stands, so that specifications differ in nothing else."""
        if name not in self._standing:
            model = self.settings.models[name]
            frame = model.design(self.settings.table).frame
            self._standing[name] = frame.drop(columns=[z for z in model.standardise if z in frame])
        return self._standing[name]

    def _persons(self, specification: Specification, prepared: _Prepared) -> pd.DataFrame:
        if specification.excluded == "nobody":
            return prepared.frame
        if specification.excluded.startswith("site "):
            level = specification.excluded.removeprefix("site ")
            return prepared.frame[group_names(prepared.frame[prepared.site]) != level]
        rule = {"name": specification.excluded, **self.settings.rules[specification.excluded]}
        raw = self.settings.table.loc[prepared.frame.index]
        return prepared.frame[~excluded_rows(raw, rule)]


def _left(model: Any, persons: pd.DataFrame) -> Any:
    """Take out covariates that an exclusion has made the same for everyone, and levels of which nobody is left."""
    constant, levels = [], dict(model.levels)
    for name in model.parsed.names:
        if name in model.exposures or name not in persons:
            continue
        if name in levels:
            present = set(persons[name].drop_duplicates().dropna().astype("str"))
            levels[name] = [level for level in levels[name] if level in present]
        if (persons[name] == persons[name].iloc[0]).all():
            constant.append(name)
    if levels != model.levels:
        model = model.model_copy(update={"levels": levels})
    return without(model, constant) if constant else model


def _site_of(model: Any, specification: Specification) -> str:
    groups = model.parsed.groups
    if not groups:
        raise EstimandError(f"site_term={specification.site_term!r}", "the model has no site term", "Leave it out")
    return str(groups[0].factor)


def missing_rows(model: Any, estimands: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of a specification that could not be fitted, without numbers.

    Parameters
    ----------
    model : Model
        As it stands.
    estimands : sequence of str
        That are followed.

    Returns
    -------
    list of dict
        `estimand, term, scale, role`.
    """
    terms = [
        (name, [f"{name}[{level}]" for level in model.levels[name][1:]] if name in model.levels else [name])
        for name in model.exposures
    ]
    scored = [name for name in model.exposures if name in model.standardise]
    rows = []
    if "odds ratio" in estimands:
        rows += [("odds ratio", label) for _, labels in terms for label in labels]
    if "risk difference" in estimands:
        rows += [("risk difference", name) for name in scored]
    if "RERI" in estimands and len(scored) >= 2:
        rows.append(("RERI", " × ".join(scored[:2])))
    return [{"estimand": e, "term": t, "scale": ESTIMANDS[e], "role": "exposure"} for e, t in rows]
