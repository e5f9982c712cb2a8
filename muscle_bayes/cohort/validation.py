"""Validation of participants: types, ranges and consistency, all problems of a table at once."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from muscle_bayes.cohort.dictionary import VARIABLES, Variable
from muscle_bayes.cohort.problems import Problem, offenders, raise_problems
from muscle_bayes.cohort.tables import identifiers, numbers
from muscle_bayes.errors import DuplicateKeyError, InvalidValueError

if TYPE_CHECKING:
    import pandera.pandas as pa

KEY = ["participant_id", "session_id"]
#: Recorded and computed BMI may differ by rounding of height, weight and BMI, not by more.
BMI_TOLERANCE_KG_M2 = 0.5
ACTIVITY_LOW_BELOW, ACTIVITY_HIGH_ABOVE = 500.0, 5000.0

_CODES = {
    "sex": "{'1': 'male', '2': 'female'}",
    "activity": "{'1': 'low', '2': 'moderate', '3': 'high'}",
    "binary": "{'no': 0, 'yes': 1}",
    "number": "{'-99': ''}",
}
_MISSING_CODE = "'' makes a code missing"
#: Fewer values than these may all be below 1 % by chance.
_FRACTIONS_FROM = 10
_UNIT_SLIPS = {
    "height_cm": ("metres", 1.0, 2.5, "multiply it by 100"),
    "weight_kg": ("grams", 25_000.0, 350_000.0, "divide it by 1000"),
}


def typed(table: pd.DataFrame, own: Mapping[str, str] | None = None) -> tuple[pd.DataFrame, list[Problem]]:
    """Give every column its type: identifiers and categories text, canonical quantities numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        Canonical names, any types.
    own : mapping of str to str, optional
        What the study calls them, for errors.

    Returns
    -------
    table : pandas.DataFrame
        Numbers are float64; a study's own columns become numbers where every cell reads as one.
    problems : list of Problem
        Cells of canonical columns that could not be read.
    """
    new: dict[str, pd.Series] = {}
    problems: list[Problem] = []
    for name in table.columns:
        variable = VARIABLES.get(name)
        if variable is not None and variable.kind in {"id", "text", "category"}:
            text = identifiers(table[name])
            new[name] = text.str.lower() if variable.kind == "category" else text
            continue
        read, unreadable, why = numbers(table[name])
        if why is None:
            if variable is not None:
                new[name] = read
            else:
                new[name] = _as_whole(read) if _is_plain(table[name]) else table[name]
        elif variable is None:
            # Numbers and words in one column are words, as they would be in a csv.
            new[name] = identifiers(table[name]) if table[name].dtype == object else table[name]
        else:
            new[name] = read
            problems.append(_unreadable(table, variable, unreadable, why, own or {}))
    return pd.DataFrame(new, index=table.index), problems


def _is_plain(values: pd.Series) -> bool:
    """Tell whether a study's own column is text or numbers; dates, booleans and categories stay as they are."""
    return isinstance(values.dtype, pd.StringDtype) or values.dtype == object


def _as_whole(values: pd.Series) -> pd.Series:
    """Return complete whole numbers as integers, as a parquet file of the same table would have them."""
    whole = len(values) and values.notna().all() and bool((values % 1 == 0).all())
    return values.astype("int64") if whole else values


def _unreadable(table: pd.DataFrame, variable: Variable, rows: pd.Series, why: str, own: Mapping[str, str]) -> Problem:
    """Return the problem of cells that are not numbers."""
    name, where = variable.name, list(table.index[rows])
    problem = f"{why} in {len(where):,} of {len(table):,} rows ({offenders(table, where, name)})"
    remedy = (
        "Export the table with one decimal sign"
        if "mixed" in why
        else f"Correct the cells, or map codes: {_mapping_hint(variable, own)} ({_MISSING_CODE})"
    )
    return Problem(InvalidValueError, f"column {name}", problem, remedy)


def _mapping_hint(variable: Variable, own: Mapping[str, str]) -> str:
    """Return an example of `columns=` that would recode a variable, by the study's own name of its column."""
    codes = _CODES.get(variable.name, _CODES.get(variable.kind, _CODES["number"]))
    return f"columns={{'{variable.name}': {{'column': '{own.get(variable.name, variable.name)}', 'values': {codes}}}}}"


def schema(columns: list[str]) -> "pa.DataFrameSchema":
    """Return the pandera schema of the canonical columns that a table has.

    Parameters
    ----------
    columns : list of str
        Column names; names outside the dictionary are not checked.

    Returns
    -------
    pandera.pandas.DataFrameSchema
        To be validated lazily.
    """
    import pandera.pandas as pa

    checked: dict[str, pa.Column] = {}
    for name in columns:
        variable = VARIABLES.get(name)
        if variable is None:
            continue
        if variable.kind == "id":
            checked[name] = pa.Column(nullable=name != "participant_id")
        elif variable.kind == "category":
            checked[name] = pa.Column(checks=pa.Check.isin(list(variable.categories)), nullable=True)
        elif variable.kind == "binary":
            checked[name] = pa.Column(float, checks=pa.Check.isin([0.0, 1.0]), nullable=True)
        elif variable.kind == "number":
            checked[name] = pa.Column(float, checks=pa.Check.in_range(variable.lower, variable.upper), nullable=True)
    return pa.DataFrameSchema(checked, strict=False)


def validate(
    table: pd.DataFrame, where: str, found: list[Problem] | None = None, own: Mapping[str, str] | None = None
) -> None:
    """Check keys, ranges, categories and consistency of a typed participant table.

    Parameters
    ----------
    table : pandas.DataFrame
        As `typed` returns it.
    where : str
        File or table.
    found : list of Problem, optional
        Problems of reading, raised together with those found here.
    own : mapping of str to str, optional
        What the study calls its columns, for errors.

    Raises
    ------
    DuplicateKeyError
        Where a participant-session occurs more than once.
    InvalidValueError
        Where values are outside their definition.
    TableError
        Where there are problems of several types.
    """
    import pandera.errors

    problems = list(found or [])
    try:
        schema(list(table.columns)).validate(table, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        for name, cases in errors.failure_cases.groupby("column", sort=False):
            rows = [r for r in dict.fromkeys(cases["index"]) if r in table.index]
            problems.append(_out_of_definition(table, VARIABLES[str(name)], rows, own or {}))
    problems.extend(_duplicates(table))
    problems.extend(_fractions(table))
    problems.extend(_inconsistent(table))
    raise_problems(problems, where)


def _out_of_definition(table: pd.DataFrame, variable: Variable, rows: list[int], own: Mapping[str, str]) -> Problem:
    """Return the problem of values outside a variable's definition."""
    name = variable.name
    if variable.kind == "id":
        return Problem(
            InvalidValueError,
            f"column {name}",
            f"{len(rows):,} rows have no identifier",
            "Give every row its identifier or drop it",
        )
    allowed = (
        f"{variable.lower:g} to {variable.upper:g} {variable.unit}".strip()
        if variable.kind == "number"
        else ", ".join(variable.categories)
        if variable.kind == "category"
        else "0, 1"
    )
    count = f"{len(rows):,} of {len(table):,} values are outside {allowed} ({offenders(table, rows, name)})"
    values = table.loc[rows, name]
    slip = _UNIT_SLIPS.get(name)
    if slip and values.between(slip[1], slip[2]).all():
        return Problem(InvalidValueError, f"column {name}", count, f"These look like {slip[0]}: {slip[3]}")
    remedy = f"Correct them, or map codes: {_mapping_hint(variable, own)} ({_MISSING_CODE})"
    if name == "sex":
        remedy += " (look up in the study's dictionary which code means which)"
    return Problem(InvalidValueError, f"column {name}", count, remedy)


def _fractions(table: pd.DataFrame) -> Iterator[Problem]:
    """Find columns in percent that hold fractions of one: their odds ratios per Z would be right, and every unit wrong."""
    for name, variable in VARIABLES.items():
        if variable.unit != "%" or name not in table:
            continue
        values = table[name].dropna()
        if len(values) >= _FRACTIONS_FROM and values.between(0.0, 1.0).all() and values.max() > 0.0:
            text = f"The column is in percent, and none of its {len(values):,} values is above 1 (mean {values.mean():.3g})"
            yield Problem(InvalidValueError, f"column {name}", text, "These look like fractions: multiply by 100")


def _duplicates(table: pd.DataFrame) -> Iterator[Problem]:
    """Find participant-sessions that occur more than once."""
    twice = table.duplicated(KEY, keep=False) & table["participant_id"].notna()
    if twice.any():
        first = table.loc[twice, KEY].iloc[0]
        session = f", session {first['session_id']}," if pd.notna(first["session_id"]) and first["session_id"] else ""
        n = table.loc[twice, KEY].drop_duplicates().shape[0]
        yield Problem(
            DuplicateKeyError,
            "participant_id, session_id",
            f"{n:,} participant-session{'s occur' if n > 1 else ' occurs'} more than once, "
            f"the first is participant {first['participant_id']}{session} in {_rows_of(table, first)} rows",
            "Keep one row for each participant and session",
        )


def _rows_of(table: pd.DataFrame, key: pd.Series) -> int:
    """Count the rows of one participant-session."""
    same_session = table["session_id"].eq(key["session_id"]) | (table["session_id"].isna() & pd.isna(key["session_id"]))
    return int((table["participant_id"].eq(key["participant_id"]) & same_session).sum())


def _inconsistent(table: pd.DataFrame) -> Iterator[Problem]:
    """Find BMI that contradicts height and weight, and activity that contradicts MET minutes."""
    if {"bmi_kg_m2", "height_cm", "weight_kg"} <= set(table.columns):
        computed = body_mass_index(table["height_cm"], table["weight_kg"])
        rows = table.index[(table["bmi_kg_m2"] - computed).abs() > np.maximum(BMI_TOLERANCE_KG_M2, 0.02 * computed)]
        if len(rows):
            first = rows[0]
            yield Problem(
                InvalidValueError,
                "column bmi_kg_m2",
                f"BMI contradicts height and weight in {len(rows):,} rows ({offenders(table, rows)}; the first has "
                f"{table.loc[first, 'bmi_kg_m2']:.1f} where weight / height^2 is {computed.loc[first]:.1f})",
                "Correct height, weight or BMI, or leave one of the three columns out",
            )
    if {"activity", "activity_met_min_week"} <= set(table.columns):
        derived = activity_category(table["activity_met_min_week"])
        known = VARIABLES["activity"].categories
        rows = table.index[table["activity"].isin(known) & derived.notna() & (table["activity"] != derived)]
        if len(rows):
            first = rows[0]
            yield Problem(
                InvalidValueError,
                "column activity",
                f"The category contradicts activity_met_min_week in {len(rows):,} rows "
                f"({offenders(table, rows)}; the first says {table.loc[first, 'activity']} at "
                f"{table.loc[first, 'activity_met_min_week']:g} MET-min/week)",
                "Low is below 500, high above 5000; correct the rows, or leave one of the two columns out",
            )


def body_mass_index(height_cm: pd.Series, weight_kg: pd.Series) -> pd.Series:
    """Return weight / height squared in kg/m2.

    Parameters
    ----------
    height_cm, weight_kg : pandas.Series
        Shape (n,).

    Returns
    -------
    pandas.Series
        Shape (n,).
    """
    return weight_kg / (height_cm / 100.0) ** 2


def activity_category(met_min_week: pd.Series) -> pd.Series:
    """Return low (< 500), moderate (500 to 5000) or high (> 5000 MET-min/week); missing stays missing.

    Parameters
    ----------
    met_min_week : pandas.Series
        Shape (n,), MET-min/week.

    Returns
    -------
    pandas.Series
        Shape (n,), text.
    """
    category = pd.Series("moderate", index=met_min_week.index, dtype="str")
    category = category.mask(met_min_week < ACTIVITY_LOW_BELOW, "low").mask(met_min_week > ACTIVITY_HIGH_ABOVE, "high")
    return category.mask(met_min_week.isna())
