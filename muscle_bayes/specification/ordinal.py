"""The categories of an ordinal outcome: a scale such as pain 0-10, or texts that the model file puts in order."""

import numpy as np
import pandas as pd

from muscle_bayes.errors import InvalidValueError

#: More values than any scale that people are asked to answer on (0-10 has 11); a count or a measurement has more.
MOST_CATEGORIES = 50


def ordinal_codes(column: pd.Series, stated: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the categories of an outcome, the lowest first, and each person's place among them.

    Parameters
    ----------
    column : pandas.Series, shape (n,)
        Whole numbers, texts, or ordered categories; complete.
    stated : tuple of str
        The categories of the model file; empty for those that occur, which must then be whole numbers, or the ordered
        categories of pandas.

    Returns
    -------
    categories : tuple of str
        K categories; those of the model file stay also where nobody is in them.
    codes : numpy.ndarray, shape (n,), int64
        0 to K - 1.

    Raises
    ------
    InvalidValueError
        Where a value is none of the categories, text has no stated order, numbers are not whole or too many, or everyone is in
        one category.
    """
    where = f"column {str(column.name)!r}"
    if stated:
        categories, texts = stated, _texts(column)
    elif isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        categories, texts = tuple(map(str, column.cat.categories)), _texts(column)
    else:
        categories, texts = _whole_numbers(column, where)
    if len(categories) > MOST_CATEGORIES:
        raise InvalidValueError(
            where,
            f"it has {len(categories)} different values, which is a measurement rather than an ordered scale",
            f"Join values into at most {MOST_CATEGORIES} categories",
        )
    codes = pd.Index(categories).get_indexer(pd.Index(texts)).astype(np.int64)
    if (codes < 0).any():
        strange = texts[codes < 0]
        raise InvalidValueError(
            where,
            f"{len(strange)} values are none of the categories {', '.join(categories)}; the first is {strange[0]!r}",
            "Mend the table, or list every category in the model's `categories`, the lowest first",
        )
    if len(np.unique(codes)) < 2:
        raise InvalidValueError(
            where,
            f"all {len(codes)} participants are in the category {categories[codes[0]]!r}, so there is nothing to estimate",
            "Check the outcome's coding and the exclusions",
        )
    return categories, codes


def _texts(column: pd.Series) -> np.ndarray:
    """Return values as texts, whole numbers without a decimal point."""
    values = column.astype("object")
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    return f"{value:g}" if isinstance(value, int | float | np.integer | np.floating) else str(value)


def _whole_numbers(column: pd.Series, where: str) -> tuple[tuple[str, ...], np.ndarray]:
    try:
        numbers = pd.to_numeric(column).to_numpy(dtype=float)
    except (ValueError, TypeError) as error:
        raise InvalidValueError(
            where,
            "it holds text, and text has no order of its own",
            "List its categories in the model's `categories`, the lowest first",
        ) from error
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        raise InvalidValueError(
            where,
            "it holds numbers that are not whole, which is a measurement rather than an ordered scale",
            "Join values into categories, or take a binary event",
        )
    present = np.unique(numbers)
    return tuple(f"{value:g}" for value in present), np.array([f"{value:g}" for value in numbers], dtype=object)
