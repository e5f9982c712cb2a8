"""The named transforms that a formula may call: what they are called with, and what they make of values.

A call is parsed by `specification.formula` from names and numbers alone; here it has a canonical text, which is also the
name of its posterior variable, and, for smooths, constants of the analysis set. Nothing is looked up by name but in the
tables below.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import FormulaError, InvalidValueError
from muscle_bayes.specification.splines import SplineBasis, spline_basis

#: Transforms of single values: name -> function, smallest value allowed, whether that value itself is.
ELEMENTWISE: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, bool]] = {
    "log": (np.log, 0.0, False),
    "log1p": (np.log1p, -1.0, False),
    "sqrt": (np.sqrt, 0.0, True),
    "square": (np.square, -np.inf, True),
}
#: Inverses of those that rise, on whose scale an axis can be drawn.
INVERSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"sqrt": np.square, "log": np.exp, "log1p": np.expm1}
#: Smooth functions: name -> number of variables, smallest and largest df of a variable.
SMOOTHS: dict[str, tuple[int, int, int]] = {"ns": (1, 2, 10), "surface": (2, 2, 5)}

#: Departures from straight lines, and products of two variables, as a share of the straight lines.
DEFAULT_BEND = 0.5

_PART = re.compile(r"(?P<function>[a-z0-9]+)\((?P<inside>.*)\)")


@dataclass(frozen=True)
class Call:
    """A transform with its literal arguments.

    Attributes
    ----------
    function : str
        Of `ELEMENTWISE` or `SMOOTHS`.
    arguments : tuple of str or Call
        Columns; those of a smooth may be transformed value by value.
    df : int
        Columns for each variable of a smooth; 1 for a transform of single values.
    bend : float
        Of a smooth: prior size of departures from straight lines, as a share of the lines'.
    """

    function: str
    arguments: tuple["str | Call", ...]
    df: int = 1
    bend: float = DEFAULT_BEND

    @property
    def smooth(self) -> bool:
        """Whether it has more than one column, and constants of the analysis set."""
        return self.function in SMOOTHS

    @property
    def variables(self) -> tuple[str, ...]:
        """The columns that it is a function of."""
        return tuple(name for part in self.arguments for name in ((part,) if isinstance(part, str) else part.variables))

    def __str__(self) -> str:
        """Return the canonical text, such as ``ns(age_z, df=4)``."""
        parts = [str(part) for part in self.arguments]
        if self.smooth:
            parts.append(f"df={self.df}")
            parts += [f"bend={self.bend:g}"] if self.bend != DEFAULT_BEND else []
        return f"{self.function}({', '.join(parts)})"


def call_of(part: str) -> Call | None:
    """Read a part of a term back from its canonical text.

    Parameters
    ----------
    part : str
        As `Call` writes it, or a column.

    Returns
    -------
    Call or None
        None for a column.
    """
    found = _PART.fullmatch(part)
    if found is None:
        return None
    arguments: list[str | Call] = []
    settings: dict[str, Any] = {}
    for text in found["inside"].split(", "):
        key, _, value = text.partition("=")
        if value:
            settings[key] = int(value) if key == "df" else float(value)
        else:
            arguments.append(call_of(text) or text)
    return Call(found["function"], tuple(arguments), **settings)


def variables_of_part(part: str) -> tuple[str, ...]:
    """Return the columns of a part of a term: of a call those that it is a function of."""
    call = call_of(part)
    return (part,) if call is None else call.variables


def variables_of_term(term: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of a term, once each: of ``ns(age_z, df=4):sex`` age_z and sex.

    Parameters
    ----------
    term : str or tuple of str
        Its label, or its parts.

    Returns
    -------
    tuple of str
        In the order of appearance.
    """
    parts = term.split(":") if isinstance(term, str) else term
    return tuple(dict.fromkeys(name for part in parts for name in variables_of_part(part)))


def checked_call(function: str, arguments: list[str | Call], settings: dict[str, float], where: str) -> Call:
    """Return a call whose arguments the function takes.

    Parameters
    ----------
    function : str
        As written in a formula.
    arguments : list of str or Call
        Columns and calls.
    settings : dict of str to float
        Literal arguments by name.
    where : str
        What an error names.

    Returns
    -------
    Call
        Canonical.

    Raises
    ------
    FormulaError
        Where there is no such transform, or it takes other arguments.
    """

    def refuse(problem: str, remedy: str) -> FormulaError:
        return FormulaError(where, problem, remedy)

    known = ", ".join([*ELEMENTWISE, *SMOOTHS])
    if function in ELEMENTWISE:
        if len(arguments) != 1 or not isinstance(arguments[0], str) or settings:
            raise refuse(f"{function}() takes one column and nothing else", f"Write {function}(column)")
        return Call(function, tuple(arguments))
    if function not in SMOOTHS:
        raise refuse(f"there is no transform {function!r}", f"Take one of {known}, or make the column beforehand")
    count, least, most = SMOOTHS[function]
    example = f"{function}({', '.join(('a', 'b')[:count])}, df={3})"
    call = Call(function, tuple(arguments))
    if len(arguments) != count or len(set(call.variables)) < count:
        what = "one column" if count == 1 else "two different columns"
        raise refuse(f"{function}() takes {what}", f"Write {example}")
    if any(isinstance(part, Call) and part.smooth for part in arguments):
        raise refuse(f"{function}() takes no smooth of a smooth", f"Write {example}")
    unknown = sorted(set(settings) - {"df", "bend"})
    if unknown:
        raise refuse(f"{function}() has no argument {unknown[0]!r}", f"Write {example}; bend=0.5 may follow")
    df, bend = settings.get("df"), settings.get("bend", DEFAULT_BEND)
    if df is None or df != int(df) or not least <= df <= most:
        raise refuse(f"{function}() needs df, a whole number from {least} to {most}", f"Write {example}")
    # As many digits as the canonical text keeps, so that it reads back as the same call.
    bend = float(f"{bend:g}")
    if not 0.01 <= bend <= 10:
        raise refuse(f"bend={bend:g} is not between 0.01 and 10", "Take 0.5, or 0.25 for a stiffer curve")
    return Call(function, tuple(arguments), int(df), bend)


def elementwise(call: Call, values: np.ndarray) -> np.ndarray:
    """Transform single values.

    Parameters
    ----------
    call : Call
        Of a function in `ELEMENTWISE`.
    values : numpy.ndarray, shape (n,)
        Missing values stay missing.

    Returns
    -------
    numpy.ndarray, shape (n,)
        Transformed.

    Raises
    ------
    InvalidValueError
        Where a value has no transform, such as the logarithm of 0.
    """
    function, least, allowed = ELEMENTWISE[call.function]
    values = np.asarray(values, dtype=float)
    wrong = values < least if allowed else values <= least
    if wrong.any():
        raise InvalidValueError(
            f"column {call.variables[0]!r}",
            f"{call.function} of {values[wrong][0]:g} is not defined ({int(wrong.sum())} such values)",
            "Take log1p or sqrt for a column with zeros, or mend the column",
        )
    return function(values)


def equal_steps(low: float, high: float, steps: int, scale: str) -> np.ndarray:
    """Return values from one to another at equal steps on the scale of a transform.

    Parameters
    ----------
    low, high : float
        Ends.
    steps : int
        How many.
    scale : str
        One of `INVERSES`, or empty for the values themselves.

    Returns
    -------
    numpy.ndarray, shape (steps + 1,)
        Ascending.
    """
    if scale not in INVERSES:
        return np.linspace(low, high, steps + 1)
    forward = ELEMENTWISE[scale][0]
    first, last = (float(value) for value in forward(np.array([low, high])))
    return np.clip(INVERSES[scale](np.linspace(first, last, steps + 1)), low, high)


@dataclass(frozen=True, eq=False)
class Smooth:
    """A smooth function of one or two variables with the constants of the analysis set.

    Attributes
    ----------
    call : Call
        What it is.
    margins : tuple of SplineBasis
        One for each variable. The columns of a surface are their columns and the products of these, each product times
        `bend`; the first three are the two straight lines and their product, so that a linear model with an interaction is
        the special case where all others are 0.
    """

    call: Call
    margins: tuple[SplineBasis, ...]

    @classmethod
    def of(cls, call: Call, frame: pd.DataFrame) -> "Smooth":
        """Make the basis over an analysis set with the columns of the call."""
        bases = [
            spline_basis(inner_values(part, frame), call.df, bend=call.bend, where=str(call)) for part in call.arguments
        ]
        return cls(call, tuple(bases))

    @property
    def powers(self) -> list[tuple[int, ...]]:
        """For each column the number of the column of each margin, 0 for none of it."""
        if len(self.margins) == 1:
            return [(j,) for j in range(1, self.call.df + 1)]
        steps = range(self.call.df + 1)
        pairs = [(j, k) for j in steps for k in steps if j or k]
        # The plane first, then what bends along one variable, then along both.
        return sorted(pairs, key=lambda p: (max(p) > 1, min(p) > 1, p[0] > 0 and p[1] > 0, p[1] > 1, p[::-1]))

    def columns(self, *values: np.ndarray) -> np.ndarray:
        """Return the design columns.

        Parameters
        ----------
        values : numpy.ndarray, shape (n,), one for each variable
            Transformed value by value where the call says so.

        Returns
        -------
        numpy.ndarray, shape (n, m)
            m is df for a curve, (df + 1)^2 - 1 for a surface.
        """
        if len(self.margins) == 1:
            return self.margins[0].columns(values[0])
        first, second = (
            np.column_stack([np.ones(len(x)), basis.columns(x)]) for basis, x in zip(self.margins, values, strict=True)
        )
        scale = [self.call.bend if j and k else 1.0 for j, k in self.powers]
        return np.column_stack([s * first[:, j] * second[:, k] for s, (j, k) in zip(scale, self.powers, strict=True)])


def inner_values(part: str | Call, frame: pd.DataFrame) -> np.ndarray:
    """Return an argument of a call: a column, or the transform of one, shape (n,)."""
    if isinstance(part, str):
        return frame[part].to_numpy(dtype=float)
    return elementwise(part, frame[part.variables[0]].to_numpy(dtype=float))


def namespace(smooths: tuple[Smooth, ...]) -> dict[str, Callable[..., Any]]:
    """Return what formula engines call by the names in a formula.

    Parameters
    ----------
    smooths : tuple of Smooth
        With their constants.

    Returns
    -------
    dict of str to callable
        Each tells its variable by the name of the column that it is given, and keeps that name on what it returns.
    """
    known = {str(smooth.call): smooth for smooth in smooths}

    def single(function: str) -> Callable[[pd.Series], pd.Series]:
        def transform(column: pd.Series) -> pd.Series:
            call = Call(function, (str(column.name),))
            return pd.Series(elementwise(call, column.to_numpy(dtype=float)), index=column.index, name=str(call))

        return transform

    def smooth(function: str) -> Callable[..., np.ndarray]:
        def transform(*columns: pd.Series, df: int, bend: float = DEFAULT_BEND) -> np.ndarray:
            call = Call(function, tuple(str(column.name) for column in columns), int(df), float(bend))
            return known[str(call)].columns(*(column.to_numpy(dtype=float) for column in columns))

        return transform

    return {**{name: single(name) for name in ELEMENTWISE}, **{name: smooth(name) for name in SMOOTHS}}
