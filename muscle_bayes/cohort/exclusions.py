"""Exclusions with their counts: who left the analysis, at which step and why."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from muscle_bayes.cohort.names import missing_column, nearest
from muscle_bayes.cohort.tables import identifiers
from muscle_bayes.errors import EmptyTableError, InvalidValueError

FLOW_COLUMNS = ("step", "reason", "n_removed", "n_left")

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = (*_COMPARE, "in", "not_in", "is_missing")


class Flow:
    """The participant flow, one row a step.

    Parameters
    ----------
    n_read : int
        Rows that were read.
    source : str
        Where they were read from.
    """

    def __init__(self, n_read: int, source: str) -> None:
        self._rows: list[dict[str, object]] = []
        self._n = n_read
        self.add("read", f"rows in {source}", 0)

    def add(self, step: str, reason: str, n_removed: int) -> None:
        """Record a step that removed `n_removed` participants (0 where it only says something)."""
        self._n -= n_removed
        self._rows.append({"step": step, "reason": reason, "n_removed": n_removed, "n_left": self._n})

    def frame(self) -> pd.DataFrame:
        """Return the flow as a table with the columns step, reason, n_removed, n_left."""
        return pd.DataFrame(self._rows, columns=list(FLOW_COLUMNS))


def excluded_rows(table: pd.DataFrame, rule: Mapping[str, Any], where: str = "exclusions") -> pd.Series:
    """Return which rows a rule removes.

    Parameters
    ----------
    table : pandas.DataFrame
        n rows.
    rule : mapping
        `name`, `column`, `op` (one of `OPERATORS`) and `value` (not for `is_missing`). A missing value meets no rule
        but `is_missing`: nobody is removed for what is not known.
    where : str
        Where the rule stands, for errors.

    Returns
    -------
    pandas.Series
        Shape (n,), bool.

    Raises
    ------
    InvalidValueError
        Where the rule is incomplete, or its value does not fit the column.
    MissingColumnError
        Where there is no such column.
    """
    where = f"{where}, {rule.get('name', 'rule without a name')!r}"
    unknown = [k for k in rule if k not in {"name", "column", "op", "value"}]
    absent = [k for k in ("name", "column", "op") if k not in rule]
    if unknown or absent:
        raise InvalidValueError(
            where=where,
            problem=f"Unknown key {unknown[0]!r}" if unknown else f"No {absent[0]!r}",
            remedy='A rule reads {"name": "pregnant", "column": "pregnancy", "op": "==", "value": 1}',
        )
    column, op = rule["column"], rule["op"]
    if op not in OPERATORS:
        near = nearest(str(op), OPERATORS)
        raise InvalidValueError(
            where=where,
            problem=f"{op!r} is not a comparison",
            remedy=f"Use one of {' '.join(OPERATORS)}" + (f" (perhaps you meant {near})" if near else ""),
        )
    if column not in table.columns:
        raise missing_column(column, table.columns, where)
    values = table[column]
    if op == "is_missing":
        return values.isna()
    if "value" not in rule:
        raise InvalidValueError(where=where, problem=f"The comparison {op} has no value", remedy="Give it a value")
    value = rule["value"]
    if op in {"in", "not_in"}:
        if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
            raise InvalidValueError(
                where=where, problem=f"{op} needs a list, got {value!r}", remedy="Write value = [...]"
            )
        fitting = [_fit(values, v, where) for v in value]
        return (values.isin(fitting) if op == "in" else ~values.isin(fitting)) & values.notna()
    return _COMPARE[op](values, _fit(values, value, where)).fillna(False).astype(bool) & values.notna()


def _fit(values: pd.Series, value: object, where: str) -> object:
    """Return a rule's value in the type of its column; identifiers may be given as numbers."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        if isinstance(value, int | float):
            return value
        raise InvalidValueError(
            where=where,
            problem=f"Column {values.name!r} holds numbers and {value!r} is not one",
            remedy="Write the value without quotes",
        )
    if isinstance(value, str):
        return value
    return identifiers(pd.Series([value])).iloc[0]


def apply_exclusions(table: pd.DataFrame, rules: Sequence[Mapping[str, Any]], flow: Flow) -> pd.DataFrame:
    """Remove participants rule by rule and record the counts.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a participant.
    rules : sequence of mapping
        As in `excluded_rows`; a later rule counts only whom the earlier ones left.
    flow : Flow
        Gets a row for each rule.

    Returns
    -------
    pandas.DataFrame
        Who is left.

    Raises
    ------
    EmptyTableError
        Where nobody is left.
    """
    for number, rule in enumerate(rules, start=1):
        out = excluded_rows(table, rule, where=f"exclusion {number}")
        table = table[~out]
        flow.add("exclusion", str(rule["name"]), int(out.sum()))
        if table.empty:
            raise EmptyTableError(
                where=f"exclusion {number}, {rule['name']!r}",
                problem=f"{rule['column']} {rule['op']} {rule.get('value', '')} removes everybody who was left".replace(
                    "  ", " "
                ),
                remedy="Check the rule: it says who is removed, not who is kept",
            )
    return table.reset_index(drop=True)
