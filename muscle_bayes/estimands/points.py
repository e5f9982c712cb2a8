"""The points system of a nomogram, as R's rms lays it out: axes, points and the way back to log odds.

Frank Harrell, Regression Modeling Strategies, 2nd ed. (2015), section 5.1, and `rms::nomogram`: predictors that share
an interaction form one set, which is drawn as one axis of its first predictor for each level of the others; the set
with the widest range of log odds gets 0 to 100 points, and every axis starts where its set's smallest value is 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.variables import Variable, design_rows
from muscle_bayes.specification.transforms import INVERSES, equal_steps, variables_of_term

#: Quantiles of a numeric partner that get an axis each.
LEVEL_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_MAX_POINTS = 100.0


@dataclass(frozen=True)
class Axis:
    """One axis: a predictor, with the other predictors of its set held at stated values.

    Attributes
    ----------
    variable : Variable
        What the axis shows.
    held : dict of str to value
        Other predictors of the set, as the formula names them.
    held_text, held_short : str
        The same in raw units, such as ``LMM = 24 cm³/(kg/m²)``, and without the unit.
    values : numpy.ndarray or tuple of str, length k
        Ticks on the model's scale.
    raw : numpy.ndarray or tuple of str, length k
        The same in raw units.
    rows : numpy.ndarray, shape (k, p)
        Design rows of the ticks, every other predictor at its reference.
    """

    variable: Variable
    held: dict[str, Any]
    held_text: str
    held_short: str
    values: Any
    raw: Any
    rows: np.ndarray


@dataclass(frozen=True)
class PredictorSet:
    """Predictors whose contribution cannot be told apart: one alone, or those that share an interaction.

    Attributes
    ----------
    names : tuple of str
        As the formula names them; the first has the axes.
    columns : numpy.ndarray of int
        Their columns of the design.
    axes : tuple of Axis
        One, or one for each combination of the others' levels.
    """

    names: tuple[str, ...]
    columns: np.ndarray
    axes: tuple[Axis, ...]

    def log_odds(self, rows: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """Return the set's part of the linear predictor, shape (n,), for rows (n, p) and slopes (p,)."""
        return rows[:, self.columns] @ beta[self.columns]


@dataclass(frozen=True)
class PointsSystem:
    """How points, log odds and sets belong together.

    Attributes
    ----------
    sets : tuple of PredictorSet
        In the order in which they are drawn.
    beta : numpy.ndarray, shape (p,)
        Slopes that the points are made from.
    intercept : float
        Intercept that goes with them, without the site.
    minima : numpy.ndarray, shape (number of sets,)
        Log odds of each set that are 0 points.
    per_log_odds : float
        Points for one unit of log odds.
    """

    sets: tuple[PredictorSet, ...]
    beta: np.ndarray
    intercept: float
    minima: np.ndarray
    per_log_odds: float

    def points(self, rows: np.ndarray) -> np.ndarray:
        """Return each set's points of persons.

        Parameters
        ----------
        rows : numpy.ndarray, shape (n, p)
            Design rows.

        Returns
        -------
        numpy.ndarray, shape (n, number of sets)
            Below 0 or beyond an axis where a person lies beyond its ends.
        """
        log_odds = np.column_stack([s.log_odds(rows, self.beta) for s in self.sets])
        return (log_odds - self.minima) * self.per_log_odds

    def total(self, rows: np.ndarray) -> np.ndarray:
        """Return total points, shape (n,), of design rows (n, p)."""
        return self.points(rows).sum(axis=1)

    def linear_predictor(self, total: np.ndarray) -> np.ndarray:
        """Return the log odds (intercept in, site out) that belong to total points."""
        return self.intercept + self.minima.sum() + np.asarray(total, dtype=float) / self.per_log_odds

    @property
    def largest_total(self) -> float:
        """Return the total of the highest tick of every set."""
        return float(sum(max(self._axis_points(s, i).max() for i in range(len(s.axes))) for s in self.sets))

    def _axis_points(self, predictors: PredictorSet, axis: int) -> np.ndarray:
        minimum = self.minima[self.sets.index(predictors)]
        return (predictors.log_odds(predictors.axes[axis].rows, self.beta) - minimum) * self.per_log_odds

    def table(self) -> pd.DataFrame:
        """Return the axes as a tidy table: one row a tick.

        Returns
        -------
        pandas.DataFrame
            `predictor` (set), `axis` (number), `variable`, `label`, `unit`, `held` (text) and `held_short` (without
            unit), `value` (raw units; missing for a category), `level` (text), `points`, `log_odds`, `role`.
        """
        rows, number = [], 0
        for s in self.sets:
            for i, axis in enumerate(s.axes):
                points = self._axis_points(s, i)
                log_odds = s.log_odds(axis.rows, self.beta)
                for raw, value, log_odd in zip(axis.raw, points, log_odds, strict=True):
                    numeric = not isinstance(raw, str)
                    rows.append(
                        {
                            "predictor": " × ".join(s.names),
                            "axis": number,
                            "variable": axis.variable.name,
                            "label": axis.variable.label,
                            "unit": axis.variable.unit,
                            "held": axis.held_text,
                            "held_short": axis.held_short,
                            "value": float(raw) if numeric else np.nan,
                            "level": f"{raw:g}".replace("-", "\N{MINUS SIGN}") if numeric else raw,
                            "points": value,
                            "log_odds": log_odd,
                            "role": "exposure" if axis.variable.role == "exposure" else "adjustment",
                        }
                    )
                number += 1
        return pd.DataFrame(rows)


def points_system(
    fit: Any,
    variables: Mapping[str, Variable],
    intercept: float,
    beta: np.ndarray,
    *,
    ticks: Mapping[str, Sequence[float]] | None = None,
    interact: Mapping[str, Sequence[Any]] | None = None,
) -> PointsSystem:
    """Lay out a nomogram for one coefficient vector.

    Parameters
    ----------
    fit : Fit
        Its `recipe` makes design rows, its `support` the default ticks.
    variables : mapping of str to Variable
        Of the fit.
    intercept, beta : float and numpy.ndarray, shape (p,)
        Coefficients.
    ticks : mapping of str to sequence of float, optional
        Raw values of an axis, by raw column.
    interact : mapping of str to sequence, optional
        Raw values (or levels) of a predictor that is held, by raw column.

    Returns
    -------
    PointsSystem
        The layout.
    """
    ticks, interact = dict(ticks or {}), dict(interact or {})
    sets: list[PredictorSet] = []
    taken: set[int] = set()
    terms = [frozenset(variables_of_term(c.term)) for c in fit.recipe.columns]
    for names in predictor_sets(variables, held=set(interact), terms=terms):
        # What two sets could hold (the category's own term) goes to the first of them.
        columns = np.array([j for j, term in enumerate(terms) if term <= set(names) and j not in taken], dtype=int)
        taken |= set(columns.tolist())
        lead, others = variables[names[0]], [variables[name] for name in names[1:]]
        raw = _ticks(fit, lead, ticks)
        axes = []
        for levels in product(*(_held_levels(fit, other, interact) for other in others)):
            held = {other.name: _to_model(other, level) for other, level in zip(others, levels, strict=True)}
            values = [_to_model(lead, value) for value in raw]
            rows = design_rows(fit, variables, [{**held, lead.name: value} for value in values])
            shown = ("no", "yes") if lead.kind == "binary" else raw
            pairs = list(zip(others, levels, strict=True))
            text = ", ".join(_held_text(other, level) for other, level in pairs)
            short = ", ".join(_held_text(other, level, unit=False) for other, level in pairs)
            axes.append(Axis(lead, held, text, short, values, shown, rows))
        sets.append(PredictorSet(names, columns, tuple(axes)))
    ends = []
    for s in sets:
        log_odds = np.concatenate([s.log_odds(axis.rows, beta) for axis in s.axes])
        ends.append((log_odds.min(), log_odds.max()))
    minima = np.array([low for low, _ in ends])
    widest = max(high - low for low, high in ends)
    per_log_odds = _MAX_POINTS / widest if widest > 0 else _MAX_POINTS
    return PointsSystem(tuple(sets), beta, float(intercept), minima, per_log_odds)


def predictor_sets(
    variables: Mapping[str, Variable], held: set[str], terms: Sequence[frozenset[str]] = ()
) -> list[tuple[str, ...]]:
    """Group predictors by shared interactions; within a set the one with the axes comes first.

    Two exposures that do not interact with each other but share a modifying category (sex) make a set each with it: an axis
    of each for women and for men, where one joint set needs an axis for each value of the other exposure, as rms draws it.

    Parameters
    ----------
    variables : mapping of str to Variable
        Exposures first.
    held : set of str
        Raw columns that are asked to be held rather than drawn.
    terms : sequence of frozenset of str
        The model's terms; without them no set is divided.

    Returns
    -------
    list of tuple of str
        In the order of the variables.
    """
    sets: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for name in variables:
        if name in seen:
            continue
        members = _connected([name], variables, set(variables))
        seen |= set(members)
        for part in _divided(members, variables, terms):
            # A numeric predictor makes the axis and categories make the copies, as rms does it.
            part.sort(key=lambda m: (variables[m].source in held, variables[m].kind in {"categorical", "binary"}))
            sets.append(tuple(part))
    return sets


def _connected(start: list[str], variables: Mapping[str, Variable], within: set[str]) -> list[str]:
    """Return what shares an interaction with the start, directly or through others of `within`."""
    members, queue = list(start), list(start)
    while queue:
        for partner in variables[queue.pop()].partners:
            if partner not in members and partner in within:
                members.append(partner)
                queue.append(partner)
    return members


def _divided(members: list[str], variables: Mapping[str, Variable], terms: Sequence[frozenset[str]]) -> list[list[str]]:
    """Divide a set whose numeric predictors meet only through categories, where each term then has a set of its own."""
    numeric = [name for name in members if variables[name].kind not in {"categorical", "binary"}]
    parts: list[list[str]] = []
    for name in numeric:
        if not any(name in part for part in parts):
            core = _connected([name], variables, set(numeric))
            beside = [m for m in members if m not in numeric and any(m in variables[n].partners for n in core)]
            parts.append([*core, *beside])
    inside = [term for term in terms if term <= set(members)]
    complete = inside and all(any(term <= set(part) for part in parts) for term in inside)
    return parts if len(parts) > 1 and complete else [members]


def pretty(low: float, high: float, intervals: int = 8) -> np.ndarray:
    """Return round values from the last one at or below `low` to the first at or above `high`.

    Parameters
    ----------
    low, high : float
        Ends.
    intervals : int
        About how many steps; the step is 1, 2, 2.5 or 5 times a power of ten.

    Returns
    -------
    numpy.ndarray
        Ascending.
    """
    if not high > low:
        return np.array([low])
    rough = (high - low) / intervals
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1, 2, 2.5, 5, 10), key=lambda m: abs(m * power - rough))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.round(step * np.arange(first, last + 1), 10)


def _ticks(fit: Any, variable: Variable, ticks: Mapping[str, Sequence[float]]) -> Any:
    if variable.kind == "categorical":
        return variable.levels
    if variable.source in ticks:
        return np.asarray(ticks[variable.source], dtype=float)
    if variable.kind == "binary":
        return np.array([0.0, 1.0])
    quantiles = fit.support.quantiles
    # From the 1st to the 99th percentile, rounded outward but never beyond anyone's value.
    low, high, smallest, largest = (variable.to_raw(float(quantiles.loc[variable.name, q])) for q in (0.01, 0.99, 0, 1))
    values = (
        pretty(low, high) if variable.scale not in INVERSES else _rounded(equal_steps(low, high, 10, variable.scale))
    )
    kept = values[(values >= smallest) & (values <= largest)]
    return kept if len(kept) > 1 else np.array([low, high])


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round each value by its own size, half a power of ten, and drop repeats."""
    size = np.abs(values[values != 0]).max(initial=1.0)
    unit = 10.0 ** np.floor(np.log10(np.maximum(np.abs(values), size * 1e-3))) / 2
    return np.unique(np.round(np.round(values / unit) * unit, 10))


def _held_levels(fit: Any, variable: Variable, interact: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
    if variable.source in interact:
        return list(interact[variable.source])
    if variable.kind == "categorical":
        return variable.levels
    if variable.kind == "binary":
        return [0.0, 1.0]
    raw = [variable.to_raw(float(fit.support.quantiles.loc[variable.name, q])) for q in LEVEL_QUANTILES]
    # Rounded by the size of their distances: readers look for 19, not for 18.83.
    unit = 10.0 ** np.floor(np.log10((raw[-1] - raw[0]) / 5)) if raw[-1] > raw[0] else 1.0
    return list(dict.fromkeys(np.round(np.round(np.array(raw) / unit) * unit, 10)))


def _to_model(variable: Variable, raw: Any) -> Any:
    return (raw - variable.mean) / variable.sd if variable.kind == "standardised" else raw


def _held_text(variable: Variable, raw: Any, *, unit: bool = True) -> str:
    if variable.kind == "categorical":
        return f"{variable.label} = {raw}"
    if variable.kind == "binary":
        return f"{variable.label} = {'yes' if raw else 'no'}"
    number = f"{raw:g}".replace("-", "\N{MINUS SIGN}")
    return f"{variable.label} = {number}" + (f" {variable.unit}" if unit and variable.unit else "")
