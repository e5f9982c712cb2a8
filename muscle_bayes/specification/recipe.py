"""The recipe of a design: all that turns raw values of new persons into the columns that a model was fitted on."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from formulae import design_matrices

from muscle_bayes.errors import InvalidValueError, MissingColumnError
from muscle_bayes.specification.columns import as_levels, as_numbers, group_names, require_columns

#: Groups below this size have no Z-scores of their own: their constants would be noise, and close to single persons.
SMALLEST_GROUP = 20


@dataclass(frozen=True)
class Standardisation:
    """A Z-score with the constants of the analysis set, held fixed for everyone after.

    Attributes
    ----------
    source : str
        The raw column.
    mean, sd : float
        In the unit of the raw column; the SD with ddof 1. Within groups: the mean over everyone and the pooled SD, which say how
        large a Z is; Z-scores are made with the group's own.
    over : str
        `all`, or the column of groups.
    groups : dict of str to tuple of float
        Group -> its mean and SD; empty over everyone.
    """

    source: str
    mean: float
    sd: float
    over: str = "all"
    groups: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pairs = {str(group): (float(mean), float(sd)) for group, (mean, sd) in self.groups.items()}
        object.__setattr__(self, "groups", pairs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that a person's Z-score needs."""
        return (self.source,) if self.over == "all" else (self.source, self.over)

    def score(self, frame: pd.DataFrame) -> pd.Series:
        """Return the Z-score of each person, by the constants of their own group where there are groups.

        Parameters
        ----------
        frame : pandas.DataFrame, n rows
            With `columns`.

        Returns
        -------
        pandas.Series, shape (n,)
            NaN where the value or the group is missing.

        Raises
        ------
        MissingColumnError
            Where a column is not there.
        InvalidValueError
            Where a person is in a group that the fit has no constants for.
        """
        require_columns(frame, self.columns)
        raw = frame[self.source].astype("float64")
        if self.over == "all":
            return (raw - self.mean) / self.sd
        group = group_names(frame[self.over])
        strange = group.dropna()[~group.dropna().isin(list(self.groups))]
        if len(strange):
            raise InvalidValueError(
                f"column {self.over!r}",
                f"{self.source!r} was standardised within {', '.join(self.groups)}, not {strange.iloc[0]!r}",
                "Give one of these groups, or the Z-score itself",
            )
        mean = group.map({name: constants[0] for name, constants in self.groups.items()}).astype("float64")
        sd = group.map({name: constants[1] for name, constants in self.groups.items()}).astype("float64")
        return (raw - mean) / sd


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
        columns = [self.constants[name].columns if name in self.constants else (name,) for name in self.predictors]
        return tuple(dict.fromkeys(name for group in columns for name in group))

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
            Where neither a Z-score nor its raw columns are there.
        InvalidValueError
            Where a person is in a group that has no constants.
        """
        return frame.assign(**{name: z.score(frame) for name, z in self.constants.items() if name not in frame})

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
        require_columns(frame, self.predictors)
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
        require_columns(frame, [self.site])
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
