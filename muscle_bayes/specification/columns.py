"""Columns of a table as models need them: typed levels, numbers, names of groups, or an error that says what to mend."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from muscle_bayes.cohort.dictionary import VARIABLES
from muscle_bayes.cohort.names import nearest
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
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered and tuple(dtype.categories) == tuple(levels):
        return column  # as this function made it: texts of a whole cohort are slow to look through again
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


def require_columns(frame: pd.DataFrame, names: Iterable[str], *, table: str = "the table") -> None:
    """Raise where a table lacks columns that a model needs.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    names : iterable of str
        The columns.
    table : str
        What an error calls the table.

    Raises
    ------
    MissingColumnError
        With all columns that are missing, and for the first the nearest name of the table that is not a canonical one
        itself: another canonical column is another variable, and no slip of the pen.
    """
    missing = [name for name in names if name not in frame]
    if not missing:
        return
    own = [str(column) for column in frame.columns if str(column) not in VARIABLES]
    near = nearest(missing[0], own)
    which = ", ".join(repr(name) for name in missing)
    yours = near or "YOUR NAME"
    raise MissingColumnError(
        f"column {which}",
        f"the model needs {'it' if len(missing) == 1 else 'them'} and {table} has none"
        + (f"; did you mean your column {near!r}?" if near else ""),
        f"Say which column of yours it is: columns = {{ {yours!r}: {missing[0]!r} }} in read_cohort(...), or "
        f'{yours} = "{missing[0]}" under [participants.columns] of a study.toml (`muscle-bayes init` writes one)',
    )
