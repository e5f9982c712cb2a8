"""The event that an outcome counts: ``cbp == 1``, ``pain_nrs >= 4``, ``status == "case"``."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import InvalidValueError, ModelFileError

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
#: In place of a sign where the outcome is ordered and nothing is compared.
ORDERED = "ordered"
_EVENT = re.compile(
    r"""\s*(?P<column>[A-Za-z][A-Za-z0-9_]*)\s*(?P<sign>==|!=|>=|<=|>|<)\s*"""
    r"""(?:(?P<number>-?\d+(?:\.\d+)?)|"(?P<text>[^"\\]*)")\s*"""
)


@dataclass(frozen=True)
class Event:
    """A comparison of one column with one value.

    Attributes
    ----------
    column : str
        Column of the cohort.
    sign : str
        One of == != >= <= > <; or ``ordered``, of an outcome that is no event.
    value : float or str
        What the column is compared with.
    """

    column: str
    sign: str
    value: float | str

    def happened(self, column: pd.Series) -> np.ndarray:
        """Return 1.0 where the event happened, 0.0 where not, NaN where the column is missing.

        Parameters
        ----------
        column : pandas.Series, shape (n,)
            The outcome column.

        Returns
        -------
        numpy.ndarray, shape (n,), float64
            The binary outcome.

        Raises
        ------
        ModelFileError
            Where the outcome is ordered.
        InvalidValueError
            Where the column holds text in place of numbers, or a third value beside those of yes and no: a code for unknown,
            which would be counted as no.
        """
        if self.sign == ORDERED:
            raise ModelFileError(
                f"column {self.column!r}",
                "the model's outcome is ordered, so that it does not happen or not",
                "Cut it at a category: fit.at_least(4), or a model with an event such as 'pain_nrs >= 4'",
            )
        missing = column.isna().to_numpy()
        if isinstance(self.value, str):
            compared = _OPERATORS[self.sign](column.astype("str").to_numpy(dtype=object), self.value)
        else:
            try:
                numbers = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
            except (ValueError, TypeError) as error:
                found = [value for value in dict.fromkeys(column.dropna()) if isinstance(value, str)]
                raise InvalidValueError(
                    f"column {self.column!r}",
                    f"it holds text such as {found[0]!r} where the event {self} needs numbers" if found else f"{error}",
                    f"Write the event as text, such as event = '{self.column} == \"{found[0]}\"'"
                    if found
                    else "Mend the table",
                ) from error
            values = np.unique(numbers[np.isfinite(numbers)])
            # Of an event "equals 1" the column is a yes or no; one that equals 4 was picked out of a scale on purpose.
            if self.sign in {"==", "!="} and self.value in {0.0, 1.0} and len(values) > 2:
                strange = next(value for value in values[::-1] if value not in {0.0, self.value})
                raise InvalidValueError(
                    f"column {self.column!r}",
                    f"it holds {len(values)} different values, and the event {self} would count {strange:g} as one of two",
                    "Make codes for unknown missing, or state an event with >= or <=, such as 'pain_nrs >= 4'",
                )
            compared = _OPERATORS[self.sign](numbers, self.value)
        return np.where(missing, np.nan, np.asarray(compared, dtype=float))

    def __str__(self) -> str:
        """Return the event as a model file writes it."""
        if self.sign == ORDERED:
            return f"{self.column} (ordered)"
        value = f'"{self.value}"' if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.column} {self.sign} {value}"


def parse_event(text: str, *, where: str = "event") -> Event:
    """Parse an event.

    Parameters
    ----------
    text : str
        Such as ``pain_nrs >= 4``.
    where : str
        What an error names.

    Returns
    -------
    Event
        The comparison.

    Raises
    ------
    ModelFileError
        Where the text is not one comparison of a column with a number or a quoted text.
    """
    found = _EVENT.fullmatch(text)
    if found is None:
        raise ModelFileError(
            where, f"{text!r} is not an event", "Write it as COLUMN SIGN VALUE, such as 'pain_nrs >= 4'"
        )
    value: float | str = float(found["number"]) if found["number"] is not None else found["text"]
    if isinstance(value, str) and found["sign"] not in {"==", "!="}:
        raise ModelFileError(where, f"{text!r} orders a text", "Compare a text with == or != only")
    return Event(found["column"], found["sign"], value)
