"""Grouping factors and what varies over them: random intercepts and slopes, as a design carries them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.specification.columns import require_columns

#: Number of the design column that stands for the intercept, which is none of `Recipe.columns`.
INTERCEPT = -1


@dataclass(frozen=True)
class Factor:
    """A grouping factor: one column, or the combinations of several.

    Attributes
    ----------
    name : str
        Such as ``site`` or ``osteoarthritis:osteoporosis``.
    levels : tuple of str
        Such as ``Augsburg`` or ``0:1``; of several columns every combination, whether there are persons in it or not.
    """

    name: str
    levels: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose combinations are the groups."""
        return tuple(self.name.split(":"))

    @property
    def dim(self) -> str:
        """Dimension of the effects in a posterior, as Bambi names it."""
        return f"{self.name}__factor_dim"

    def index(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the number of each person's group in `levels`.

        Parameters
        ----------
        frame : pandas.DataFrame, n rows
            With `columns`.

        Returns
        -------
        numpy.ndarray, shape (n,), int64
            Position in `levels`.

        Raises
        ------
        MissingColumnError, InvalidValueError
            Where the group is missing, or is one that the model was not fitted on.
        """
        require_columns(frame, self.columns)
        texts = joined_levels(frame, self.columns)
        index = pd.Index(self.levels).get_indexer(pd.Index(texts)).astype(np.int64)
        if (index < 0).any():
            unknown = texts.iloc[int(np.argmax(index < 0))]
            many = f"column {self.name!r}" if len(self.columns) == 1 else f"columns {' and '.join(self.columns)}"
            raise InvalidValueError(
                many,
                f"the fit has no {self.name} {unknown!r} (it has {', '.join(self.levels)})",
                "For a new site take site='new', 'typical' or 'marginal'",
            )
        return index


@dataclass(frozen=True)
class Varying:
    """One column of the design (or the intercept) whose coefficient varies over a factor.

    Attributes
    ----------
    factor : str
        Name of the factor.
    term : str
        ``1``, or a term of the formula.
    level : str or None
        Level of a categorical term.
    column : int
        Number of the design column in `Recipe.columns`; `INTERCEPT` for the intercept.
    """

    factor: str
    term: str
    level: str | None
    column: int

    @property
    def name(self) -> str:
        """The posterior's variable, as Bambi names it: ``1|site``, ``intermat_z|site``, ``activity|site``."""
        return f"{self.term}|{self.factor}"

    @property
    def label(self) -> str:
        """Unlike any other's: ``activity[low]|site``."""
        return self.name if self.level is None else f"{self.term}[{self.level}]|{self.factor}"

    def covariate(self, X: np.ndarray) -> np.ndarray:
        """Return what a person's effect is multiplied with, shape (n,), of design rows (n, p) that are not centred."""
        return np.ones(len(X)) if self.column == INTERCEPT else X[:, self.column]


def make_factor(frame: pd.DataFrame, columns: Sequence[str]) -> Factor:
    """Return the factor of one column, or of the combinations of several.

    Parameters
    ----------
    frame : pandas.DataFrame
        The analysis set.
    columns : sequence of str
        Without missing values.

    Returns
    -------
    Factor
        Levels in the order of their texts.
    """
    each = [sorted(level_texts(frame[column]).unique()) for column in columns]
    return Factor(":".join(columns), tuple(":".join(levels) for levels in product(*each)))


def joined_levels(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return the level of each person in a factor of these columns, as text."""
    first, *others = (level_texts(frame[column]) for column in columns)
    for texts in others:
        first = first + ":" + texts
    return first


def level_texts(column: pd.Series) -> pd.Series:
    """Return values as texts, whole numbers without a decimal point, whatever type a table holds them as.

    Parameters
    ----------
    column : pandas.Series, shape (n,)
        Texts, categories, numbers or booleans.

    Returns
    -------
    pandas.Series
        Of objects.
    """
    if pd.api.types.is_bool_dtype(column):
        column = column.astype("int64")
    if pd.api.types.is_float_dtype(column):
        return column.map(lambda value: f"{value:.0f}" if float(value).is_integer() else str(value)).astype("object")
    return column.astype("str").astype("object")
