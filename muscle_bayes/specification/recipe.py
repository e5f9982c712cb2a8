"""The recipe of a design: all that turns raw values of new persons into the columns that a model was fitted on."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from formulae import design_matrices

from muscle_bayes.errors import InvalidValueError, MissingColumnError
from muscle_bayes.specification.columns import as_levels, as_numbers, group_names, require_columns
from muscle_bayes.specification.grouping import Factor, Varying
from muscle_bayes.specification.transforms import Smooth, namespace, variables_of_term

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
    factors : tuple of Factor
        What coefficients vary over.
    varying : tuple of Varying
        What varies, factor after factor: the intercept, then the slopes.
    smooths : tuple of Smooth
        Splines and surfaces among the terms, with their knots and constants.
    """

    common: str
    terms: tuple[tuple[str, ...], ...]
    columns: tuple[Column, ...]
    constants: dict[str, Standardisation]
    levels: dict[str, tuple[str, ...]]
    centre: np.ndarray
    factors: tuple[Factor, ...] = ()
    varying: tuple[Varying, ...] = ()
    smooths: tuple[Smooth, ...] = ()

    @property
    def site(self) -> str | None:
        """The factor that predictions mean by a site: ``site``, else the first that is no predictor; None without one."""
        names = [factor.name for factor in self.factors if not self.is_own(factor)]
        return "site" if "site" in names else next(iter(names), None)

    @property
    def site_levels(self) -> tuple[str, ...]:
        """Levels of the site, sorted; empty without one."""
        return next((factor.levels for factor in self.factors if factor.name == self.site), ())

    def is_own(self, factor: Factor) -> bool:
        """Return whether a factor is made of the model's own predictors, so that persons carry their group with them."""
        return set(factor.columns) <= set(self.predictors)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns that make groups and are no predictors, such as ``site``."""
        columns = dict.fromkeys(column for factor in self.factors for column in factor.columns)
        return tuple(column for column in columns if column not in self.predictors)

    @property
    def predictors(self) -> tuple[str, ...]:
        """Names in the formula, such as ``intermat_z``, in the order of appearance."""
        return tuple(dict.fromkeys(name for term in self.terms for name in variables_of_term(term)))

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """The raw columns that a person's values are needed for."""
        columns = [self.constants[name].columns if name in self.constants else (name,) for name in self.predictors]
        return tuple(dict.fromkeys(name for group in columns for name in group))

    @cached_property
    def _matrices(self) -> Any:
        # A few made-up rows with every level give the same columns as the analysis set did: what a smooth remembers of
        # the data is in `smooths`. So a fit loaded from disk needs no rows to predict for a new person.
        rows = 2 * max([2, *(len(levels) for levels in self.levels.values())])
        stub = {
            name: [levels[i % len(levels)] for i in range(rows)]
            if (levels := self.levels.get(name))
            else 1 + np.arange(rows) / 2
            for name in self.predictors
        }
        frame = self._typed(pd.DataFrame(stub))
        return design_matrices(self.common, frame, extra_namespace=namespace(self.smooths)).common

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
        return next(factor for factor in self.factors if factor.name == self.site).index(frame)

    def group_index(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return each person's group in every factor that is not made of the model's predictors.

        Parameters
        ----------
        frame : pandas.DataFrame, n rows
            Persons with `group_columns`.

        Returns
        -------
        dict of str to numpy.ndarray, shape (n,), int64
            Name of the factor -> position in its levels.

        Raises
        ------
        MissingColumnError, InvalidValueError
            Where a group is missing, or is one that the model was not fitted on.
        """
        return {factor.name: factor.index(frame) for factor in self.factors if not self.is_own(factor)}

    def own_index(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return each person's group in every factor that is made of the model's predictors, as design rows tell it.

        Parameters
        ----------
        X : numpy.ndarray, shape (n, p)
            Design rows, not centred.

        Returns
        -------
        dict of str to numpy.ndarray, shape (n,), int64
            Name of the factor -> position in its levels.

        Raises
        ------
        InvalidValueError
            Where a row is in none of the groups, such as an average over persons.
        """
        return {factor.name: self._own_index(factor, X) for factor in self.factors if self.is_own(factor)}

    def _own_index(self, factor: Factor, X: np.ndarray) -> np.ndarray:
        wanted = np.zeros((len(factor.levels), 0))
        columns: list[int] = []
        for place, name in enumerate(factor.columns):
            at = [i for i, column in enumerate(self.columns) if column.term == name]
            texts = [level.split(":")[place] for level in factor.levels]
            if name in self.levels:
                rows = [[float(self.columns[i].level == text) for i in at] for text in texts]
            else:
                rows = [[float(text)] for text in texts]
            wanted, columns = np.column_stack([wanted, np.array(rows)]), columns + at
        differs = np.abs(X[:, None, columns] - wanted).max(axis=2)
        index = differs.argmin(axis=1)
        if len(X) and differs[np.arange(len(X)), index].max() > 1e-9:
            raise InvalidValueError(
                f"groups {factor.name!r}",
                f"a person is in none of {', '.join(factor.levels)}",
                "Give each person's own values",
            )
        return index.astype(np.int64)

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        typed = {}
        for name in frame.columns:
            if name in self.levels:
                typed[name] = as_levels(frame[name], self.levels[name])
            else:
                typed[name] = as_numbers(frame[name])
        return pd.DataFrame(typed, index=frame.index)
