"""Columns of a table as models need them: typed levels, numbers, names of groups, or an error that says what to mend."""

import difflib

import numpy as np
import pandas as pd

from muscle_bayes.errors import InvalidValueError, MissingColumnError


def as_levels(column: pd.Series, levels: tuple[str, ...]) -> pd.Series:
    """Return a column as an ordered categorical, whose first level formula engines take as the reference.

    Parameters
    ----------
    column : pandas.Series, shape (n,)
        Texts; missing values stay missing.
    levels : tuple of str
        The reference first.

    Returns
    -------
    pandas.Series
        Ordered categorical: formulae keeps the order of ordered categories only.

    Raises
    ------
    InvalidValueError
        Where a value is none of the levels.
    """
    texts = column.astype("object").where(column.notna(), None)
    strange = texts[texts.notna() & ~texts.isin(levels)]
    if len(strange):
        raise InvalidValueError(
            f"column {column.name!r}",
            f"{len(strange)} values are none of {', '.join(levels)}; the first is {strange.iloc[0]!r}",
            "Map them with read_cohort(columns=...), or name the level in the model's [levels]",
        )
    return pd.Series(pd.Categorical(texts, categories=list(levels), ordered=True), index=column.index, name=column.name)


def as_numbers(column: pd.Series) -> pd.Series:
    """Return a column as float64.

    Parameters
    ----------
    column : pandas.Series, shape (n,)
        Numbers, booleans or 0/1.

    Returns
    -------
    pandas.Series
        float64, missing values as NaN.

    Raises
    ------
    InvalidValueError
        Where a value is no number.
    """
    try:
        numbers = pd.to_numeric(column)
        return pd.Series(numbers.to_numpy(dtype=float, na_value=np.nan), index=column.index, name=column.name)
    except (ValueError, TypeError) as error:
        raise InvalidValueError(
            f"column {column.name!r}",
            f"it holds text where numbers are needed ({error})",
            "List its levels in the model's [levels], or mend the table",
        ) from error


def group_names(column: pd.Series) -> pd.Series:
    """Return the groups of a column as texts, whole numbers without a decimal point.

    Parameters
    ----------
    column : pandas.Series, shape (n,)
        Texts, categories, 0/1 or numbers.

    Returns
    -------
    pandas.Series
        Of objects; missing values stay missing.
    """
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        texts = as_numbers(column).map("{:g}".format, na_action="ignore")
    else:
        texts = column.astype("object")
    return texts.astype("object").where(column.notna(), None)


def require_column(frame: pd.DataFrame, name: str) -> None:
    """Raise where a table lacks a column.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    name : str
        The column.

    Raises
    ------
    MissingColumnError
        With the nearest name that the table has.
    """
    if name not in frame:
        near = difflib.get_close_matches(name, [str(column) for column in frame.columns], n=1)
        hint = (
            f"Did you mean {near[0]!r}? Map it with read_cohort(columns={{...}})"
            if near
            else "Add it, or map it with read_cohort(columns={...})"
        )
        raise MissingColumnError(f"column {name!r}", "the model needs it and the table has none", hint)
