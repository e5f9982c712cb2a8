"""From a cohort to the analysis set and the design matrices of a model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulae import design_matrices

from muscle_bayes.errors import EmptyTableError, InvalidValueError
from muscle_bayes.specification.columns import as_levels, as_numbers, group_names, require_columns
from muscle_bayes.specification.formula import Formula
from muscle_bayes.specification.grouping import INTERCEPT, Varying, make_factor
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.ordinal import ordinal_codes
from muscle_bayes.specification.recipe import SMALLEST_GROUP, Column, Recipe, Standardisation
from muscle_bayes.specification.transforms import Smooth, namespace


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
        1 where the event happened, else 0; of an ordered outcome the place among `categories`, from 0.
    X : numpy.ndarray, shape (n, p), float64
        Design columns, centred, without the intercept.
    groups : dict of str to numpy.ndarray, shape (n,), int64
        Grouping factor -> number of each person's level.
    flow : pandas.DataFrame
        Steps from the table that was read to the analysis set, with counts.
    simulated : bool
        Whether any row is simulated.
    categories : tuple of str
        Of an ordered outcome, the lowest first; empty for an event.
    """

    recipe: Recipe
    frame: pd.DataFrame
    y: np.ndarray
    X: np.ndarray
    groups: dict[str, np.ndarray]
    flow: pd.DataFrame
    simulated: bool
    categories: tuple[str, ...] = ()

    @property
    def site(self) -> np.ndarray:
        """Number of each person's site, shape (n,); zeros without a site term."""
        site = self.recipe.site
        return self.groups[site] if site else np.zeros(len(self.y), dtype=np.int64)


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
    grouping = [column for group in formula.groups for column in group.columns]
    sources = [model.standardise[name].source if name in model.standardise else name for name in formula.names]
    within = [rule.over for rule in model.standardise.values() if rule.over != "all"]
    among = [model.parsed_among.column] if model.parsed_among else []
    needed = list(dict.fromkeys([event.column, *sources, *within, *grouping, *among]))
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

    constants = {}
    for name, rule in model.standardise.items():
        constants[name] = _standardisation(frame, rule.source, rule.over)
        frame[name] = constants[name].score(frame.assign(**{rule.source: as_numbers(frame[rule.source])}))
    frame, flow = _restricted(model, frame, flow)
    levels = _levels(model, frame)
    for name in formula.names:
        frame[name] = as_levels(frame[name], levels[name]) if name in levels else as_numbers(frame[name])

    categories: tuple[str, ...] = ()
    if model.family == "cumulative":
        categories, codes = ordinal_codes(frame[event.column], tuple(model.categories))
        y = codes.astype(float)
    else:
        y = event.happened(frame[event.column])
    smooths = tuple(Smooth.of(call, frame) for call in formula.calls if call.smooth)
    matrices = None
    if formula.terms:
        known = namespace(smooths)
        matrices = design_matrices(formula.common, frame[list(formula.names)], extra_namespace=known).common
    columns, X = _columns(model, matrices, len(frame))
    factors = tuple(make_factor(frame, group.columns) for group in formula.groups)
    varying = _varying(formula, columns)
    centre = X.mean(axis=0)
    recipe = Recipe(formula.common, formula.terms, columns, constants, levels, centre, factors, varying, smooths)
    groups = {factor.name: factor.index(frame) for factor in factors}
    simulated = bool(table.attrs.get("simulated", False)) or (cohort is not table and bool(cohort.simulated))
    if "simulated" in frame:
        simulated = simulated or bool((as_numbers(frame["simulated"]) == 1).any())
    return Design(recipe, frame, y, X - centre, groups, flow, simulated, categories)


def _restricted(model: Model, frame: pd.DataFrame, flow: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the people whom the model is about; their Z-scores stay those among everyone who is complete."""
    among = model.parsed_among
    if among is None:
        return frame, flow
    inside = frame.loc[among.happened(frame[among.column]) == 1].copy()
    if inside.empty:
        raise EmptyTableError(
            f"model {model.name!r}",
            f"no complete participant has {among}",
            "Look at this column, or at `among` in the model",
        )
    row = {
        "step": "among",
        "reason": f"the model is of those with {among}",
        "n_removed": len(frame) - len(inside),
        "n_left": len(inside),
    }
    return inside, pd.concat([flow, pd.DataFrame([row])], ignore_index=True)


def _standardisation(frame: pd.DataFrame, source: str, over: str) -> Standardisation:
    """Return mean and SD of a column, over everyone and within groups."""
    raw = as_numbers(frame[source])
    if np.isinf(raw).any():
        raise InvalidValueError(
            f"column {source!r}",
            f"{int(np.isinf(raw).sum())} values are infinite, so that it has no Z-scores",
            "Make them missing, or mend the table",
        )
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


def _varying(formula: Formula, columns: tuple[Column, ...]) -> tuple[Varying, ...]:
    """Return what varies, factor after factor: the intercept, then each design column of the slopes."""
    varying = []
    for group in formula.groups:
        if group.intercept:
            varying.append(Varying(group.factor, "1", None, INTERCEPT))
        for slope in group.slopes:
            at = [i for i, column in enumerate(columns) if set(column.term.split(":")) == set(slope)]
            varying += [Varying(group.factor, columns[i].term, columns[i].level, i) for i in at]
    return tuple(varying)


def _levels(model: Model, frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
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
        for level in stored.levels or _numbered(stored.labels):
            columns.append(Column(name, level, model.role(term)))
    return tuple(columns), matrices.design_matrix.astype(float)[:, 1:]


def _numbered(labels: list[str]) -> tuple[str | None, ...]:
    """Return the numbers that Bambi gives to the columns of a smooth, or None for a single column."""
    return tuple(str(number) for number in range(len(labels))) if len(labels) > 1 else (None,)


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
