"""Tables of the report: frames turned into cells of text, with a caption and a heading for every row and column."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from muscle_bayes.cohort.dictionary import VARIABLES
from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.estimands.rounding import estimate_text, number_text
from muscle_bayes.report import quantities
from muscle_bayes.report.methods import missing_words
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.text import chance_text, level_text

_MEDIAN = re.compile(r"median (?P<middle>\S+) \(quartiles (?P<low>\S+?),? (?:to )?(?P<high>\S+)\)")
#: Columns that say nothing about the persons.
_NOT_DESCRIBED = frozenset({"simulated", "participant_id", "session_id"})


@dataclass(frozen=True)
class Table:
    """A table of texts; the first cell of a row is its heading.

    Attributes
    ----------
    caption : str
        Says what the table holds without the text around it.
    headings : tuple of str
        One a column.
    rows : tuple of tuple of str
        Texts; the template escapes them.
    numeric : frozenset of int
        Columns that are set flush right.
    code : frozenset of int
        Columns set as code.
    short : frozenset of int
        Columns whose text is not broken into lines.
    prose, phrase : frozenset of int
        Columns of sentences and of a few words, which need room.
    note : str
        Under the table.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    code: frozenset[int] = frozenset()
    short: frozenset[int] = frozenset()
    prose: frozenset[int] = frozenset()
    phrase: frozenset[int] = frozenset()
    note: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Class of every column: `number`, `code`, `short`, `prose`, `phrase` or nothing."""
        named = (
            ("number", self.numeric),
            ("code", self.code),
            ("short", self.short),
            ("prose", self.prose),
            ("phrase", self.phrase),
        )
        return tuple(" ".join(name for name, at in named if i in at) for i in range(len(self.headings)))


def odds_ratio_table(
    frame: pd.DataFrame,
    caption: str,
    *,
    method: str,
    effective_draws: float | None = None,
    quantity: str = "Odds ratio",
) -> Table:
    """Return odds ratios with interval and probability.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of `odds_ratios`, `interaction_factors` or `site_table`.
    caption : str
        What it holds.
    method : str
        Engine of the fit.
    effective_draws : float, optional
        For the rounding of probabilities.
    quantity : str
        What the estimates are.

    Returns
    -------
    Table
        Term, contrast, odds ratio with interval, P(OR > 1); the last is left out where there is none.
    """
    level = level_text(frame["interval"].iloc[0])
    with_chance = not frame["prob_gt_null"].isna().all()
    headings = ["Term", "Contrast", f"{quantity} ({level} interval)"]
    if with_chance:
        headings.append("P(OR > 1)" if quantity == "Odds ratio" else f"P({quantity.lower()} > 1)")
    rows = []
    for row in frame.to_dict("records"):
        cells = [sentence_case(str(row["label"])), contrast_cell(row), estimate_text(row)]
        rows.append((*cells, *([chance_text(row["prob_gt_null"], effective_draws)] if with_chance else [])))
    note = "Maximum-likelihood estimates with Wald intervals." if method == "ml" else ""
    return Table(caption, tuple(headings), tuple(rows), frozenset({2, 3}), phrase=frozenset({1}), note=note)


def contrast_cell(row: Any) -> str:
    """Return a contrast for a cell; Z values of 0 are called the mean."""
    at = row.get("at") or ""
    text = str(row["contrast"])
    if not at:
        return text
    stated = ", ".join(
        f"mean {part.removesuffix(' = 0 Z')}" if part.endswith(" = 0 Z") else part for part in at.split(", ")
    )
    return f"{text.removesuffix(f' at {at}')} at {stated}"


def flow_table(flow: pd.DataFrame, caption: str) -> Table:
    """Return the participant flow: reason, removed, left."""
    rows = [
        (
            sentence_case(missing_words(str(row["reason"] or row["step"]))),
            whole_text(row["n_removed"]),
            whole_text(row["n_left"]),
        )
        for row in flow.to_dict("records")
    ]
    return Table(caption, ("Step", "Removed", "Left"), tuple(rows), frozenset({1, 2}))


def cohort_table(summary: pd.DataFrame, caption: str) -> Table:
    """Return the description of every column of the cohort."""
    named = [_column(str(name)) for name in summary["column"]]
    rows = [
        (
            _told_apart(str(row["column"]), named),
            _unit(str(row["column"]), str(row["unit"])),
            summary_text(str(row["summary"])),
            whole_text(row["missing"]),
        )
        for row in summary.to_dict("records")
        if row["column"] not in _NOT_DESCRIBED
    ]
    return Table(caption, ("Variable", "Unit", "Summary", "Missing"), tuple(rows), frozenset({3}), prose=frozenset({2}))


def by_outcome_table(frame: pd.DataFrame, caption: str, event: str) -> Table:
    """Return the analysis set by outcome."""
    rows = []
    for row in frame.to_dict("records"):
        name = f"{row['variable']} ({row['unit']})" if row["unit"] else str(row["variable"])
        # Every row names its variable, also where a level follows on others of the same: tables are read row by row aloud.
        # One cell for both: a phone has room for four columns.
        rows.append(
            (
                f"{name}: {row['level']}" if row["level"] else name,
                str(row["all"]),
                str(row["event"]),
                str(row["no_event"]),
            )
        )
    return Table(
        caption, ("Variable", "All", event, f"No {event[:1].lower()}{event[1:]}"), tuple(rows), frozenset({1, 2, 3})
    )


def plain_table(
    frame: pd.DataFrame, caption: str, headings: Sequence[str] | None = None, code: Sequence[str] = ()
) -> Table:
    """Return a frame as it is, numbers with four significant digits.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any.
    caption : str
        What it holds.
    headings : sequence of str, optional
        In place of the column names.
    code : sequence of str
        Columns that hold code.

    Returns
    -------
    Table
        Numeric columns flush right.
    """
    numeric = frozenset(i for i, name in enumerate(frame.columns) if pd.api.types.is_numeric_dtype(frame[name]))
    rows = tuple(tuple(_cell(value) for value in row) for row in frame.itertuples(index=False))
    names = headings or [sentence_case(str(name).replace("_", " ")) for name in frame.columns]
    said = frozenset(i for i, name in enumerate(frame.columns) if name in {"description", "problem", "remedy"})
    set_as_code = frozenset(i for i, name in enumerate(frame.columns) if name in code)
    return Table(caption, tuple(names), rows, numeric, set_as_code, prose=said)


def _unit(column: str, given: str) -> str:
    return unit_of(column) or ("" if given == "0/1" else given)


def _column(name: str) -> str:
    """Return what readers call a column; a study's own column is shown as it is called."""
    return sentence_case(label_of(name)) if name in VARIABLES else name


def _told_apart(name: str, named: Sequence[str]) -> str:
    """Return what a column is called; a category beside an amount of the same name says that it is one."""
    label = _column(name)
    is_category = name in VARIABLES and VARIABLES[name].kind == "category"
    return f"{label}, category" if is_category and named.count(label) > 1 else label


def summary_text(text: str) -> str:
    """Return a column's median and quartiles with the digits of the other tables; other summaries as they are."""
    found = _MEDIAN.fullmatch(text)
    if found is None:
        return text
    middle, low, high = quantities.median_texts(*(float(found[name]) for name in ("middle", "low", "high")))
    return f"median {middle} (quartiles {low} to {high})"


def whole_text(value: Any) -> str:
    """Return a count with separators; empty where it is missing."""
    return "" if pd.isna(value) else f"{int(value):,}"


def _cell(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return number_text(value, decimals=0) if value.is_integer() else f"{value:,.4g}".replace("-", "\N{MINUS SIGN}")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
