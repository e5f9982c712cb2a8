"""From a cohort to the analysis set and the design matrices of a model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulae import design_matrices

from muscle_bayes.errors import EmptyTableError, InvalidValueError, ModelFileError
from muscle_bayes.specification.columns import as_levels, as_numbers, group_names, require_columns
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.recipe import SMALLEST_GROUP, Column, Recipe, Standardisation


@dataclass(frozen=True)
class Design:
    """The analysis set of one model with its matrices.

    Attributes
    ----------
    recipe : Recipe
        What prediction needs; no individual rows.
    frame : pandas.DataFrame, n rows
        The analysis set: raw units and Z-scores, complete on the model's columns, categorical columns typed.
    y : numpy.ndarray, shape (n,), float64
        1 where the event happened, else 0.
    X : numpy.ndarray, shape (n, p), float64
        Design columns, centred, without the intercept.
    site : numpy.ndarray, shape (n,), int64
        Number of each person's site; zeros without a site term.
    flow : pandas.DataFrame
        Steps from the table that was read to the analysis set, with counts.
    simulated : bool
        Whether any row is simulated.
    """

    recipe: Recipe
    frame: pd.DataFrame
    y: np.ndarray
    X: np.ndarray
    site: np.ndarray
    flow: pd.DataFrame
    simulated: bool


def make_design(model: Model, cohort: Any) -> Design:
    """Make the analysis set: complete cases on the model's columns, then Z-scores over them, then matrices.

    Parameters
    ----------
    model : Model
        The model.
    cohort : Cohort or pandas.DataFrame
        One row a participant, raw units.

    Returns
    -------
    Design
        With constants, levels and column means kept in `recipe`.

    Raises
    ------
    MissingColumnError
        Where the table lacks a column that the model needs.
    EmptyTableError
        Where no complete case is left.
    InvalidValueError
        Where a column to be standardised is constant, or a categorical one has an unknown or an empty level.
    """
    table = getattr(cohort, "table", cohort)
    if not isinstance(table, pd.DataFrame):
        raise InvalidValueError(
            "cohort", f"it is a {type(cohort).__name__}", "Give a Cohort of read_cohort, or a DataFrame"
        )
    formula, event = model.parsed, model.parsed_event
    site = _site(model)
    sources = [model.standardise[name].source if name in model.standardise else name for name in formula.names]
    within = [rule.over for rule in model.standardise.values() if rule.over != "all"]
    needed = list(dict.fromkeys([event.column, *sources, *within, *([site] if site else [])]))
    require_columns(table, needed)

    complete = table[needed].notna().all(axis=1)
    frame = table.loc[complete].copy()
    flow = _flow(cohort, table, complete, needed)
    if frame.empty:
        raise EmptyTableError(
            f"model {model.name!r}",
            f"no participant is complete on {', '.join(needed)}",
            "Look at the missing values of these columns in the table",
        )

    levels = _levels(model, frame, site)
    constants = {}
    for name, rule in model.standardise.items():
        constants[name] = _standardisation(frame, rule.source, rule.over)
        frame[name] = constants[name].score(frame.assign(**{rule.source: as_numbers(frame[rule.source])}))
    for name in formula.names:
        frame[name] = as_levels(frame[name], levels[name]) if name in levels else as_numbers(frame[name])

    y = event.happened(frame[event.column])
    matrices = design_matrices(formula.common, frame[list(formula.names)]).common if formula.terms else None
    columns, X = _columns(model, matrices, len(frame))
    site_levels = tuple(sorted(frame[site].astype("str").unique())) if site else ()
    centre = X.mean(axis=0)
    recipe = Recipe(formula.common, formula.terms, columns, constants, levels, centre, site, site_levels)
    codes = recipe.site_index(frame) if site else np.zeros(len(frame), dtype=np.int64)
    simulated = bool(table.attrs.get("simulated", False)) or (cohort is not table and bool(cohort.simulated))
    if "simulated" in frame:
        simulated = simulated or bool((as_numbers(frame["simulated"]) == 1).any())
    return Design(recipe, frame, y, X - centre, codes, flow, simulated)


def _standardisation(frame: pd.DataFrame, source: str, over: str) -> Standardisation:
    """Return mean and SD of a column, over everyone and within groups."""
    raw = as_numbers(frame[source])
    mean = float(raw.mean())
    if over == "all":
        return Standardisation(source, mean, _spread(raw, f"column {source!r}"))
    groups, squares, freedom = {}, 0.0, 0
    for group, values in raw.groupby(group_names(frame[over]), sort=True):
        where = f"column {source!r} of {over} {group!r}"
        if len(values) < SMALLEST_GROUP:
            raise InvalidValueError(
                where,
                f"{len(values)} participants are too few for Z-scores of their own ({SMALLEST_GROUP} are needed)",
                'Standardise over = "all", or exclude or join the group',
            )
        sd = _spread(values, where)
        groups[str(group)] = (float(values.mean()), sd)
        squares, freedom = squares + (len(values) - 1) * sd**2, freedom + len(values) - 1
    return Standardisation(source, mean, float(np.sqrt(squares / freedom)), over, groups)


def _spread(values: pd.Series, where: str) -> float:
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if not sd > 0:
        raise InvalidValueError(where, "it is the same for everyone, so it has no Z-score", "Leave it out of the model")
    return sd


def _site(model: Model) -> str | None:
    groups = model.parsed.groups
    if not groups:
        return None
    if len(groups) > 1 or groups[0].slopes:
        raise ModelFileError(
            f"model {model.name!r}",
            "it has more than one random intercept",
            "Fit it with model.to_bambi(...); this version's engines take one (1|site)",
        )
    return groups[0].factor


def _levels(model: Model, frame: pd.DataFrame, site: str | None) -> dict[str, tuple[str, ...]]:
    levels = {name: tuple(values) for name, values in model.levels.items()}
    for name in model.parsed.names:
        if name in model.standardise or name in levels:
            continue
        if not pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name]):
            if name in model.exposures:
                raise InvalidValueError(
                    f"column {name!r}",
                    "it is an exposure and holds text, so its odds ratios need a reference that the model states",
                    f"List its levels in the model's [levels], the reference first, and leave [exposures] {name} empty",
                )
            levels[name] = tuple(sorted(frame[name].astype("str").unique()))
    for name, values in levels.items():
        present = set(as_levels(frame[name], values).dropna().astype("str").unique())
        absent = [value for value in values if value not in present]
        if absent:
            raise InvalidValueError(
                f"column {name!r}",
                f"no participant of the analysis set has the level {absent[0]!r}, so its coefficient cannot be estimated",
                f"Take the level out of the model's [levels], or {name!r} out of its formula",
            )
    return levels


def _columns(model: Model, matrices: Any, n: int) -> tuple[tuple[Column, ...], np.ndarray]:
    if matrices is None:
        return (), np.empty((n, 0))
    columns = []
    for term in model.parsed.terms:
        name = ":".join(term)
        stored = matrices.terms[name]
        for level in stored.levels or (None,):
            columns.append(Column(name, level, model.role(term)))
    return tuple(columns), matrices.design_matrix.astype(float)[:, 1:]


def _flow(cohort: Any, table: pd.DataFrame, complete: pd.Series, needed: list[str]) -> pd.DataFrame:
    before = getattr(cohort, "flow", None)
    if before is None:
        before = pd.DataFrame([{"step": "read", "reason": "rows of the table", "n_removed": 0, "n_left": len(table)}])
    missing = table[needed].isna().sum()
    reasons = ", ".join(f"{name} {count:,}" for name, count in missing[missing > 0].items())
    row = {
        "step": "complete cases",
        "reason": f"missing: {reasons}" if reasons else "no value is missing",
        "n_removed": int((~complete).sum()),
        "n_left": int(complete.sum()),
    }
    return pd.concat([before, pd.DataFrame([row])], ignore_index=True)
