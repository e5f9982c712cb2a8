"""Problems of a table, collected and raised together, so that a user mends a file once and not ten times."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from muscle_bayes.cohort.tables import first_few
from muscle_bayes.errors import TableError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a table.

    Attributes
    ----------
    kind : type of TableError
        The typed error that it is.
    where : str
        Column or key.
    problem, remedy : str
        What is wrong, and what to do.
    """

    kind: type[TableError]
    where: str
    problem: str
    remedy: str


def raise_problems(problems: Sequence[Problem], where: str) -> None:
    """Raise one typed error for all problems of a table; do nothing where there are none.

    Parameters
    ----------
    problems : sequence of Problem
        What was found.
    where : str
        File or table.

    Raises
    ------
    TableError
        The problem's own type where all problems are of one type, otherwise TableError itself.
    """
    if not problems:
        return
    if len(problems) == 1:
        only = problems[0]
        raise only.kind(where=f"{where}, {only.where}", problem=only.problem, remedy=only.remedy)
    kinds = {p.kind for p in problems}
    kind = kinds.pop() if len(kinds) == 1 else TableError
    text = "\n".join(f"({i}) {p.where}: {p.problem}. {p.remedy}." for i, p in enumerate(problems, start=1))
    raise kind(
        where=where,
        problem=f"{len(problems)} problems:\n{text}",
        remedy="Correct all of them, then read the table again",
    )


def offenders(table: pd.DataFrame, rows: pd.Index | list[int], column: str | None = None, shown: int = 3) -> str:
    """Return the first participants with a problem, with the value that is wrong.

    Parameters
    ----------
    table : pandas.DataFrame
        Table with `participant_id`.
    rows : index
        Row labels of the offending rows.
    column : str, optional
        Column whose values are shown.
    shown : int
        How many participants are named.

    Returns
    -------
    str
        For example `participants 00017 (412), 00023 (-99) and 3 more`.
    """
    part = table.loc[list(rows)]
    ids = part["participant_id"].astype(object).where(part["participant_id"].notna(), "(no id)")
    names = [f"{i} ({_short(v)})" for i, v in zip(ids, part[column], strict=True)] if column else [str(i) for i in ids]
    return f"participant{'s' if len(names) > 1 else ''} {first_few(names, shown)}"


def _short(value: object) -> str:
    """Return a value as it reads in a sentence: 7.0 is 7."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return repr(value) if isinstance(value, str) else str(value)
