"""The dictionary of the analysis set: every canonical column with its unit, meaning and allowed values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import pandas as pd

ADIPOSE_DEFINITIONS = ("threshold", "fraction", "mixture")
LMM_UNIT = "cm3/(kg/m2)"


@dataclass(frozen=True)
class Variable:
    """One canonical column.

    Attributes
    ----------
    name : str
        Column name.
    unit : str
        Unit as it is written in tables; empty for identifiers and categories.
    description : str
        What the column holds.
    kind : {"id", "text", "number", "binary", "category"}
        How values are read and checked.
    lower, upper : float
        Smallest and largest value that a number may have.
    categories : tuple of str
        Allowed values of a category, the reference first.
    """

    name: str
    unit: str
    description: str
    kind: Literal["id", "text", "number", "binary", "category"]
    lower: float = float("-inf")
    upper: float = float("inf")
    categories: tuple[str, ...] = ()


_ADIPOSE_WORDS = {
    "threshold": "voxels with a fat signal fraction of at least 0.5",
    "fraction": "sum of the fat signal fraction",
    "mixture": "adipose class of a Gaussian mixture",
}


_CHOSEN = "by the definition chosen as the exposure"
#: For exposures that came with the study's own table, without a word on how adipose tissue was told.
NOT_STATED = "not stated"
_CHOSEN_WORDS = {**_ADIPOSE_WORDS, NOT_STATED: "as given in the study's table; definition not stated"}


def _exposures(suffix: str, how: str) -> tuple[Variable, ...]:
    """Return InterMAT, lean volume and LMM under one definition of adipose tissue."""
    said = f" (adipose: {how})"
    return (
        Variable(
            f"intermat{suffix}_percent",
            "%",
            f"Adipose share of the muscle compartment, InterMAT{said}",
            "number",
            0.0,
            100.0,
        ),
        Variable(
            f"lean{suffix}_cm3",
            "cm3",
            f"Lean volume: compartment less adipose, left and right summed{said}",
            "number",
            0.0,
            50_000.0,
        ),
        Variable(f"lmm{suffix}_cm3_per_kg_m2", LMM_UNIT, f"Lean volume / BMI, LMM{said}", "number", 0.0, 2_000.0),
    )


_ALL = (
    Variable("participant_id", "", "Identifier of the participant, kept as text", "id"),
    Variable("session_id", "", "Identifier of the examination, kept as text", "id"),
    Variable("site", "", "Study site (imaging centre)", "text"),
    Variable("sex", "", "Sex", "category", categories=("female", "male")),
    Variable("age_years", "years", "Age at the examination", "number", 0.0, 120.0),
    Variable("height_cm", "cm", "Body height", "number", 100.0, 250.0),
    Variable("weight_kg", "kg", "Body weight", "number", 25.0, 350.0),
    Variable("bmi_kg_m2", "kg/m2", "Body mass index, weight / height squared", "number", 10.0, 90.0),
    Variable("activity_met_min_week", "MET-min/week", "Physical activity", "number", 0.0, 100_000.0),
    Variable(
        "activity",
        "",
        "Physical activity: moderate 500 to 5000 MET-min/week (reference), low < 500, high > 5000",
        "category",
        categories=("moderate", "low", "high"),
    ),
    Variable("diabetes", "0/1", "Diabetes", "binary", 0, 1),
    Variable("dyslipidemia", "0/1", "Dyslipidemia", "binary", 0, 1),
    Variable("osteoporosis", "0/1", "Osteoporosis", "binary", 0, 1),
    Variable("osteoarthritis", "0/1", "Osteoarthritis", "binary", 0, 1),
    Variable("cbp", "0/1", "Chronic back pain: lasted more than three months", "binary", 0, 1),
    Variable("pain_nrs", "0-10", "Pain intensity, numerical rating scale", "number", 0.0, 10.0),
    *_exposures("", _CHOSEN),
    *(v for name in ADIPOSE_DEFINITIONS for v in _exposures(f"_{name}", _ADIPOSE_WORDS[name])),
    Variable("simulated", "0/1", "1 where the row was simulated", "binary", 0, 1),
)

#: name -> Variable, in the order in which the analysis set shows its columns.
VARIABLES: Mapping[str, Variable] = MappingProxyType({v.name: v for v in _ALL})

CHOSEN_EXPOSURES = ("intermat_percent", "lean_cm3", "lmm_cm3_per_kg_m2")


def suffixed(column: str, definition: str) -> str:
    """Return the name of an exposure column under a named definition of adipose tissue.

    Parameters
    ----------
    column : {"intermat_percent", "lean_cm3", "lmm_cm3_per_kg_m2"}
        Column of the chosen definition.
    definition : {"threshold", "fraction", "mixture"}
        Definition of adipose tissue.

    Returns
    -------
    str
        For example `intermat_fraction_percent`.
    """
    stem, unit = column.split("_", 1)
    return f"{stem}_{definition}_{unit}"


def canonical_order(columns: Iterable[str]) -> list[str]:
    """Return columns in the dictionary's order, a study's own columns after them as they came.

    Parameters
    ----------
    columns : iterable of str
        Column names.

    Returns
    -------
    list of str
        The same names.
    """
    names = list(columns)
    return [c for c in VARIABLES if c in names] + [c for c in names if c not in VARIABLES]


def describe(columns: Iterable[str], chosen: str | None = None) -> pd.DataFrame:
    """Return the data dictionary of a table.

    Parameters
    ----------
    columns : iterable of str
        Columns of the table.
    chosen : str, optional
        Definition of adipose tissue that the unsuffixed exposure columns follow, or `NOT_STATED`.

    Returns
    -------
    pandas.DataFrame
        Columns `column`, `unit`, `description`.
    """
    rows = []
    for name in columns:
        variable = VARIABLES.get(name)
        unit = variable.unit if variable else ""
        text = variable.description if variable else "The study's own column, as given"
        if chosen and name in CHOSEN_EXPOSURES:
            text = text.replace(_CHOSEN, _CHOSEN_WORDS[chosen])
        rows.append({"column": name, "unit": unit, "description": text})
    return pd.DataFrame(rows, columns=["column", "unit", "description"])
