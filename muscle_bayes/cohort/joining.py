"""Joining: each participant gets the exposures of their own measurement, and who has none is counted."""

from dataclasses import dataclass

import pandas as pd

from muscle_bayes.cohort.dictionary import ADIPOSE_DEFINITIONS, suffixed
from muscle_bayes.cohort.exclusions import Flow
from muscle_bayes.cohort.exposure import Exposure, chosen_rows, pooled_sides
from muscle_bayes.cohort.names import missing_column
from muscle_bayes.cohort.problems import Problem, offenders, raise_problems
from muscle_bayes.cohort.tables import first_few, identifiers, numbers
from muscle_bayes.errors import DuplicateKeyError, InvalidValueError

_NEEDED = ("participant_id", "muscle", "side", "compartment_cm3")
_TEXT = ("muscle", "side", "region", "compartment", "backend", "weights_sha256", "qc")


@dataclass(frozen=True)
class Joined:
    """Participants with their exposures.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a participant.
    exposure : Exposure
        As it was found.
    simulated : bool
        Whether any measurement was simulated.
    notes : list of str
        What a reader should know.
    """

    table: pd.DataFrame
    exposure: Exposure
    simulated: bool
    notes: list[str]


def join_measurements(
    table: pd.DataFrame, measured: pd.DataFrame, exposure: Exposure, *, where: str, measured_where: str, flow: Flow
) -> Joined:
    """Join the exposure's measurements to participants on participant_id and session_id.

    Parameters
    ----------
    table : pandas.DataFrame
        Validated participants, one row each.
    measured : pandas.DataFrame
        Measurement table, any types.
    exposure : Exposure
        Which rows are the exposure.
    where, measured_where : str
        What errors call the two tables.
    flow : Flow
        Gets a row for participants without a measurement and for each reason why one is not usable; nobody is
        removed here.

    Returns
    -------
    Joined
        Participants without a usable measurement have missing exposures.

    Raises
    ------
    MissingColumnError, InvalidValueError, DuplicateKeyError
        Where the measurements cannot be used as they are.
    """
    carried = [c for c in ("intermat_percent", "lean_cm3", "lmm_cm3_per_kg_m2") if c in table]
    if carried:
        raise InvalidValueError(
            where=f"{where}, column {carried[0]}",
            problem="The participants already carry the exposure, and measurements are given as well",
            remedy=f"Drop {', '.join(carried)} from the participants, or leave the measurements out "
            "(delete [measurements] in study.toml)",
        )
    measured = _typed_measurements(measured, exposure, measured_where)
    rows, resolved = chosen_rows(measured, exposure, measured_where)
    pooled = pooled_sides(rows)
    key = _join_key(table, pooled, measured_where)
    merged = table.merge(
        pooled if len(key) == 2 else pooled.drop(columns="session_id"), on=key, how="left", indicator=True
    )
    without = merged["_merge"] == "left_only"
    if without.all():
        raise InvalidValueError(
            where=f"{where} and {measured_where}, {' and '.join(key)}",
            problem=f"No participant has a measurement: participants are called {_examples(table, key)}, "
            f"measurements {_examples(pooled, key)}",
            remedy=_why_ids_differ(table, pooled, key),
        )
    if without.any():
        flow.add("measurement", f"no {resolved.muscle} measurement, kept with missing exposures ({without.sum():,})", 0)
    for problem, count in merged["problem"].value_counts().items():
        lost = "lean volume" if str(problem).startswith("undefined") else "exposures"
        flow.add("measurement", f"{problem}, kept with missing {lost} ({count:,})", 0)
    notes = _voxel_note(rows)
    unused = pooled.merge(table[key], on=key, how="left", indicator=True) if len(pooled) else pooled
    n_unused = int((unused["_merge"] == "left_only").sum())
    if n_unused:
        notes.append(f"{n_unused:,} measurements belong to nobody in {where}")
    renames = {
        f"{stem}_{resolved.adipose}_{unit}": f"{stem}_{unit}"
        for stem, unit in (("intermat", "percent"), ("lean", "cm3"))
    }
    joined = merged.drop(columns=["problem", "_merge"]).rename(columns=renames)
    simulated = "simulated" in rows and bool((rows["simulated"] == 1).any())
    return Joined(joined, resolved, simulated, notes)


def _voxel_note(rows: pd.DataFrame) -> list[str]:
    """Return a note where voxels differ by more than rounding: the threshold's InterMAT falls with voxel size."""
    voxels = numbers(rows["voxel_mm3"])[0].dropna() if "voxel_mm3" in rows else pd.Series(dtype=float)
    if voxels.empty or voxels.max() <= 1.01 * voxels.min():
        return []
    return [
        f"Voxel volumes range from {voxels.min():.3g} to {voxels.max():.3g} mm3; InterMAT is comparable only within one "
        "protocol and voxel size"
    ]


def _typed_measurements(measured: pd.DataFrame, exposure: Exposure, where: str) -> pd.DataFrame:
    """Return the measurements with identifiers as text and quantities as checked numbers."""
    for column in (*_NEEDED, suffixed("intermat_percent", exposure.adipose)):
        if column not in measured.columns:
            raise missing_column(column, measured.columns, where)
    table = measured.copy()
    table["participant_id"] = identifiers(table["participant_id"])
    table["session_id"] = identifiers(table["session_id"]).fillna("") if "session_id" in table else ""
    for column in _TEXT:
        if column in table:
            table[column] = identifiers(table[column])
    limits = {
        "compartment_cm3": (0.0, 50_000.0),
        "undefined_percent": (0.0, 100.0),
        "truncated": (0.0, 1.0),
        "simulated": (0.0, 1.0),
    }
    for name in ADIPOSE_DEFINITIONS:
        limits[f"intermat_{name}_percent"] = (0.0, 100.0)
        limits[f"lean_{name}_cm3"] = (0.0, 50_000.0)
    problems = []
    for column, (lower, upper) in limits.items():
        if column not in table:
            continue
        read, unreadable, why = numbers(table[column])
        if why:
            rows = table.index[unreadable]
            text = f"{why} in {len(rows):,} rows ({offenders(table, rows, column)})"
            problems.append(
                Problem(InvalidValueError, f"column {column}", text, "Write the column with decimal points")
            )
        table[column] = read
        outside = table.index[read.notna() & ~read.between(lower, upper)]
        if len(outside):
            text = f"{len(outside):,} values are outside {lower:g} to {upper:g} ({offenders(table, outside, column)})"
            problems.append(Problem(InvalidValueError, f"column {column}", text, "Measure these participants again"))
    raise_problems(problems, where)
    return table


def _join_key(table: pd.DataFrame, pooled: pd.DataFrame, where: str) -> list[str]:
    """Return the key of the join: the participant alone where one of the tables has no sessions."""
    if (table["session_id"] != "").any() and (pooled["session_id"] != "").any():
        return ["participant_id", "session_id"]
    again = pooled["participant_id"].duplicated()
    if again.any():
        first = pooled.loc[again, "participant_id"].iloc[0]
        sessions = pooled.loc[pooled["participant_id"] == first, "session_id"].tolist()
        raise DuplicateKeyError(
            where=f"{where}, participant_id",
            problem="One table has no session_id, and "
            f"participant {first} was measured in {', '.join(map(repr, sessions))}",
            remedy=f"Add session_id to the participants, or choose one with Exposure(session={sessions[0]!r})",
        )
    return ["participant_id"]


def _examples(table: pd.DataFrame, key: list[str]) -> str:
    """Return the first keys of a table as text."""
    return first_few(list(table[key].astype(str).agg(" ".join, axis=1).map(repr)), 2)


def _why_ids_differ(table: pd.DataFrame, pooled: pd.DataFrame, key: list[str]) -> str:
    """Return the likely cause of identifiers that do not meet."""
    left, right = table["participant_id"], pooled["participant_id"]
    if set(left) & set(right):
        return "The participants agree and the sessions do not: bring session_id to one spelling"
    if set(left.str.lstrip("0")) & set(right.str.lstrip("0")):
        return "Leading zeros were lost in one of the tables: export its participant_id as text"
    if set(left.str.removeprefix("sub-")) & set(right.str.removeprefix("sub-")):
        return "One table writes sub- before its identifiers: bring both to one spelling"
    return f"Bring {' and '.join(key)} of both tables to one spelling"
