"""The recipe of a design: all that turns raw values of new persons into the columns that a model was fitted on."""

import difflib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from formulae import design_matrices

from muscle_bayes.errors import InvalidValueError, MissingColumnError


@dataclass(frozen=True)
class Standardisation:
    """A Z-score with the constants of the analysis set, held fixed for everyone after.

    Attributes
    ----------
    source : str
        The raw column.
    mean, sd : float
        In the unit of the raw column; the SD with ddof 1.
    """

    source: str
    mean: float
    sd: float


@dataclass(frozen=True)
class Column:
    """One column of the design matrix.

    Attributes
    ----------
    term : str
        The term of the formula, which is also the posterior's variable (``activity``, ``intermat_z:lmm_z``).
    level : str or None
        Level of a categorical term (``low``), in Bambi's words.
    role : {"exposure", "adjustment"}
        What the model says the term is there for.
    """

    term: str
    level: str | None
    role: Literal["exposure", "adjustment"]

    @property
    def label(self) -> str:
        """``activity[low]`` or ``intermat_z``."""
        return self.term if self.level is None else f"{self.term}[{self.level}]"


@dataclass(frozen=True)
class Recipe:
    """All that prediction needs of a design; holds no individual rows.

    Attributes
    ----------
    common : str
        Common part of the formula, in the grammar of `specification.formula`.
    terms : tuple of tuple of str
        Its terms.
    columns : tuple of Column, length p
        Columns of the design matrix; the intercept is not among them.
    constants : dict of str to Standardisation
        Z-score -> how it is made.
    levels : dict of str to tuple of str
        Categorical predictor -> levels, the reference first.
    centre : numpy.ndarray, shape (p,)
        Column means over the analysis set; priors and samplers use the centred columns.
    site : str or None
        The grouping column of the random intercept.
    site_levels : tuple of str
        Its levels, sorted.
    """

    common: str
    terms: tuple[tuple[str, ...], ...]
    columns: tuple[Column, ...]
    constants: dict[str, Standardisation]
    levels: dict[str, tuple[str, ...]]
    centre: np.ndarray
    site: str | None
    site_levels: tuple[str, ...]

    @property
    def predictors(self) -> tuple[str, ...]:
        """Names in the formula, such as ``intermat_z``, in the order of appearance."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term))

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """The raw columns that a person's values are needed for."""
        return tuple(self.constants[name].source if name in self.constants else name for name in self.predictors)

    @cached_property
    def _matrices(self) -> Any:
        # A few made-up rows with every level give the same columns as the analysis set did: nothing in the grammar
        # remembers the data. So a fit loaded from disk needs no rows to predict for a new person.
        rows = 2 * max([2, *(len(levels) for levels in self.levels.values())])
        stub = {
            name: [levels[i % len(levels)] for i in range(rows)]
            if (levels := self.levels.get(name))
            else np.arange(rows) / 2
            for name in self.predictors
        }
        return design_matrices(self.common, self._typed(pd.DataFrame(stub))).common

    def standardise(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add each Z-score that is not there yet.

        Parameters
        ----------
        frame : pandas.DataFrame, n rows
            Raw values; a Z-score that is already a column is left as it is.

        Returns
        -------
        pandas.DataFrame
            A copy with the Z-scores.

        Raises
        ------
        MissingColumnError
            Where neither a Z-score nor its raw column is there.
        """
        added = {}
        for name, z in self.constants.items():
            if name not in frame:
                require_column(frame, z.source)
                added[name] = (frame[z.source].astype("float64") - z.mean) / z.sd
        return frame.assign(**added)

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the design columns of new persons, not centred, without the intercept.

        Parameters
        ----------
        frame : pandas.DataFrame, n rows
            Raw values (or Z-scores, which win where both are there).

        Returns
        -------
        numpy.ndarray, shape (n, p), float64
            One column for each of `columns`.

        Raises
        ------
        MissingColumnError
            Where a predictor is not there.
        InvalidValueError
            Where a categorical predictor has a level that the model does not know, or a value is missing.
        """
        if not self.columns:
            return np.empty((len(frame), 0))
        frame = self.standardise(frame)
        for name in self.predictors:
            require_column(frame, name)
        if not self.terms:
            return np.empty((len(frame), 0))
        frame = frame[list(self.predictors)]
        empty = frame.isna().any()
        if empty.any():
            raise InvalidValueError(
                f"column {empty.idxmax()!r}", "a person's value is missing", "Give a value, or leave the person out"
            )
        return self._matrices.evaluate_new_data(self._typed(frame)).design_matrix.astype(float)[:, 1:]

    def site_index(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the number of each person's site in `site_levels`.

        Parameters
        ----------
        frame : pandas.DataFrame, n rows
            Persons with the site column.

        Returns
        -------
        numpy.ndarray, shape (n,), int64
            Position in `site_levels`.

        Raises
        ------
        MissingColumnError, InvalidValueError
            Where the site is missing, or is one that the model was not fitted on.
        """
        if self.site is None:
            raise MissingColumnError("the model", "it has no site term", "Ask for risks without a site")
        require_column(frame, self.site)
        index = pd.Index(self.site_levels).get_indexer(pd.Index(frame[self.site].astype("str"))).astype(np.int64)
        if (index < 0).any():
            unknown = frame[self.site].iloc[int(np.argmax(index < 0))]
            raise InvalidValueError(
                f"column {self.site!r}",
                f"the fit has no site {unknown!r} (it has {', '.join(self.site_levels)})",
                "For a new site take site='new', 'typical' or 'marginal'",
            )
        return index

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        typed = {}
        for name in frame.columns:
            if name in self.levels:
                typed[name] = as_levels(frame[name], self.levels[name])
            else:
                typed[name] = as_numbers(frame[name])
        return pd.DataFrame(typed, index=frame.index)


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
