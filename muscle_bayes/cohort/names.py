"""Column names: a study's own names become the canonical ones, and a wrong name gets a useful answer."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from muscle_bayes.errors import InvalidValueError, MissingColumnError

#: What `columns=` takes: a new name, or a name with a recoding of values.
ColumnMapping = Mapping[str, str | Mapping[str, Any]]


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that looks most like a name.

    Parameters
    ----------
    name : str
        What was asked for.
    candidates : iterable of str
        What there is.

    Returns
    -------
    str or None
        None where nothing is close.
    """
    by_lower = {str(c).strip().lower(): str(c) for c in candidates}
    hits = difflib.get_close_matches(name.strip().lower(), list(by_lower), n=1, cutoff=0.6)
    if hits:
        return by_lower[hits[0]]
    # `age` for `age_years`, `bmi` for `bmi_kg_m2`: too short for the ratio, plain to a reader.
    stems = [c for c in by_lower if len(c) >= 3 and (name.lower().startswith(c) or c.startswith(name.lower()))]
    return by_lower[min(stems, key=len)] if stems else None


def missing_column(column: str, present: Iterable[str], where: str) -> MissingColumnError:
    """Return the error for a column that is not there, with the nearest name that is.

    Parameters
    ----------
    column : str
        Canonical name that is needed.
    present : iterable of str
        Columns that the table has.
    where : str
        File or table.

    Returns
    -------
    MissingColumnError
        To be raised by the caller.
    """
    names = [str(c) for c in present]
    near = nearest(column, names)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if near is None:
        remedy = f"Add the column, or say which of yours it is: columns={{'YOUR NAME': '{column}'}}"
    else:
        remedy = f"Did you mean {near!r}? Then say so: columns={{'{near}': '{column}'}}"
    return MissingColumnError(where=where, problem=f"There is no column {column!r} (columns: {shown})", remedy=remedy)


def code(value: object) -> str:
    """Return a value as the text by which a recoding names it: 1, 1.0 and "1" are all "1"."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def recode(values: pd.Series, mapping: Mapping[Any, Any]) -> pd.Series:
    """Replace codes by canonical values; an empty string makes a code missing.

    Parameters
    ----------
    values : pandas.Series
        Shape (n,), raw values.
    mapping : mapping
        Code -> canonical value; codes that are not named stay as they are.

    Returns
    -------
    pandas.Series
        Shape (n,), dtype object.
    """
    table = {code(k): (None if v is None or (isinstance(v, str) and not v.strip()) else v) for k, v in mapping.items()}
    recoded = [None if pd.isna(v) else table.get(code(v), v) for v in values.astype(object)]
    return pd.Series(recoded, index=values.index, dtype=object)


def apply_mapping(table: pd.DataFrame, columns: ColumnMapping | None, where: str) -> pd.DataFrame:
    """Bring a study's own column names and codes to the canonical ones.

    Parameters
    ----------
    table : pandas.DataFrame
        As it was read.
    columns : mapping, optional
        `{"alter": "age_years"}`, the study's name to the canonical one (the other way round is understood as well:
        the side that is a column of the table is the study's), or
        `{"sex": {"column": "geschlecht", "values": {"w": "female", "m": "male"}}}` to recode values too.
    where : str
        File or table, for errors.

    Returns
    -------
    pandas.DataFrame
        With canonical names.

    Raises
    ------
    MissingColumnError
        Where the mapping names a column that the table does not have.
    InvalidValueError
        Where two columns would get one name.
    """
    present = list(table.columns)
    renames: dict[str, str] = {}
    values: dict[str, Mapping[Any, Any]] = {}
    for left, right in (columns or {}).items():
        if isinstance(right, str):
            own, canonical = (right, left) if right in present and left not in present else (left, right)
        else:
            unknown = set(right) - {"column", "values"}
            if unknown:
                raise InvalidValueError(
                    where=f"{where}, columns.{left}",
                    problem=f"Unknown key {sorted(unknown)[0]!r}",
                    remedy='Write {"column": "your name", "values": {"your code": "canonical value"}}',
                )
            own, canonical = right.get("column", left), left
            values[canonical] = right.get("values", {})
        if own not in present:
            near = nearest(own, present)
            raise MissingColumnError(
                where=where,
                problem=f"columns= names {own!r} for {canonical!r}, and there is no such column",
                remedy=f"Perhaps you meant {near!r}" if near else f"Use one of: {', '.join(map(str, present))}",
            )
        renames[own] = canonical
    after = [renames.get(c, c) for c in present]
    twice = sorted({c for c in after if after.count(c) > 1})
    if twice:
        sources = [c for c in present if renames.get(c, c) == twice[0]]
        raise InvalidValueError(
            where=where,
            problem=f"Two columns would be called {twice[0]!r}: {', '.join(map(repr, sources))}",
            remedy="Rename or drop one of them; columns= must give each canonical name once",
        )
    renamed = table.rename(columns=renames)
    return renamed.assign(**{name: recode(renamed[name], mapping) for name, mapping in values.items()})


def own_names(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, str]:
    """Return what the study calls each canonical column, for errors that tell it what to write.

    Parameters
    ----------
    before, after : pandas.DataFrame
        A table before and after `apply_mapping`, which keeps the order of columns.

    Returns
    -------
    dict of str to str
        Canonical name -> the study's own.
    """
    return {str(new): str(old) for old, new in zip(before.columns, after.columns, strict=True)}
