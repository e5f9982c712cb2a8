"""read_cohort: participants and measurements in, one validated row a participant out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes.cohort.cohort import Cohort, make_cohort
from muscle_bayes.cohort.dictionary import (
    ADIPOSE_DEFINITIONS,
    CHOSEN_EXPOSURES,
    NOT_STATED,
    VARIABLES,
    canonical_order,
    suffixed,
)
from muscle_bayes.cohort.exclusions import Flow, apply_exclusions
from muscle_bayes.cohort.exposure import Exposure
from muscle_bayes.cohort.files import file_sha256
from muscle_bayes.cohort.joining import join_measurements
from muscle_bayes.cohort.names import ColumnMapping, apply_mapping, missing_column, nearest, own_names
from muscle_bayes.cohort.tables import first_few, read_table
from muscle_bayes.cohort.validation import activity_category, body_mass_index, typed, validate
from muscle_bayes.errors import DuplicateKeyError, EmptyTableError, InvalidValueError, TableError

Table = Path | str | pd.DataFrame


def read_cohort(
    participants: Table,
    measurements: Table | None = None,
    *,
    columns: ColumnMapping | None = None,
    exposure: Exposure | Mapping[str, Any] | None = None,
    exclusions: Sequence[Mapping[str, Any]] = (),
) -> Cohort:
    """Read, join and validate a cohort; nothing is standardised and nobody is dropped silently.

    Parameters
    ----------
    participants : path or pandas.DataFrame
        csv, tsv or parquet, one row a participant (and session), key `participant_id` (and `session_id`). Other columns
        may be missing; a model asks for its own. Where it carries `intermat_percent`, no measurements are needed.
    measurements : path or pandas.DataFrame, optional
        One row a participant, session, muscle and side, as `quantify` writes them.
    columns : mapping, optional
        Brings the study's names to the canonical ones: `{"alter": "age_years"}`, or with codes
        `{"sex": {"column": "geschlecht", "values": {"w": "female", "m": "male"}}}`; `""` makes a code missing.
    exposure : Exposure or mapping, optional
        Which measurements are the exposure. Default: autochthonous muscle, left + right, threshold, as labelled. Where the
        participants carry the exposures themselves, `{"adipose": "threshold"}` says by which definition; otherwise the
        dictionary says that it is not stated.
    exclusions : sequence of mapping
        `{"name": "pregnant", "column": "pregnancy", "op": "==", "value": 1}`; op is one of == != < <= > >= in not_in
        is_missing.

    Returns
    -------
    Cohort
        `.table` in raw units, `.flow` with the counts of every step, `.dictionary`, `.simulated`.

    Raises
    ------
    MissingColumnError
        Where the key or a mapped column is not there; the nearest name is suggested.
    DuplicateKeyError
        Where a participant-session occurs more than once.
    EmptyTableError
        Where a table has no rows or an exclusion leaves none.
    InvalidValueError
        Where values are outside their definition, or measurements that are not comparable would be pooled.
    TableError
        Where a file cannot be read, or there are problems of several types.
    """
    chosen = exposure if isinstance(exposure, Exposure) else Exposure(**_exposure_fields(exposure or {}))
    sources: dict[str, Mapping[str, str]] = {}
    raw, where, attrs = _load(participants, "participants", sources)
    named = apply_mapping(raw, columns, where)
    own = own_names(raw, named)
    if "participant_id" not in named.columns:
        raise missing_column("participant_id", named.columns, where)
    has_sessions = "session_id" in named.columns
    if not has_sessions:
        named = named.assign(session_id="")
    table, problems = typed(named, own)
    table["session_id"] = table["session_id"].fillna("")
    validate(table, where, problems, own)
    notes = _nearly_canonical(table)

    flow = Flow(len(table), where)
    if chosen.session is not None and has_sessions:
        table = _one_session(table, chosen.session, where, flow)
    _refuse_several_sessions(table, where)

    measured_simulated = False
    if measurements is not None:
        measured, measured_where, measured_attrs = _load(measurements, "measurements", sources)
        measured_simulated = bool(measured_attrs.get("simulated"))
        joined = join_measurements(table, measured, chosen, where=where, measured_where=measured_where, flow=flow)
        table, chosen, measured_simulated = joined.table, joined.exposure, measured_simulated or joined.simulated
        notes += joined.notes
    elif exposure is not None:
        table = _carried_definition(table, chosen.adipose, where)
    known = table
    table = _derived(known)
    filled = {how: table.loc[rows, "participant_id"] for how, rows in _filled(known, table).items()}

    table = apply_exclusions(table, exclusions, flow)
    counts = {how: int(table["participant_id"].isin(people).sum()) for how, people in filled.items()}
    notes += [f"{n:,} participant{'s' if n > 1 else ''}: {how}" for how, n in counts.items() if n]
    simulated = (
        measured_simulated
        or bool(attrs.get("simulated"))
        or bool((table.get("simulated", pd.Series(dtype=float)) == 1).any())
    )
    if simulated and "simulated" not in table:
        table["simulated"] = 1.0
    table = _whole_binaries(table)[canonical_order(table.columns)]
    stated = measurements is not None or simulated or _states_adipose(exposure)
    return make_cohort(
        table,
        flow.frame(),
        simulated=simulated,
        exposure=chosen,
        notes=tuple(notes),
        sources=sources,
        attrs=attrs,
        adipose=chosen.adipose if stated else NOT_STATED,
    )


def _exposure_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an exposure given as a mapping, refusing keys that it does not have."""
    known = list(Exposure.__dataclass_fields__)
    for key in fields:
        if key not in known:
            near = nearest(key, known)
            raise InvalidValueError(
                where=f"exposure.{key}",
                problem=f"An exposure has no {key!r}",
                remedy=f"Perhaps you meant {near!r}" if near else f"Use {', '.join(known)}",
            )
    return {k: tuple(v) if k == "pool" else v for k, v in fields.items()}


def _states_adipose(exposure: Exposure | Mapping[str, Any] | None) -> bool:
    """Tell whether the caller said by which definition; an Exposure that only chooses a session does not."""
    if isinstance(exposure, Exposure):
        return exposure != Exposure(session=exposure.session)
    return "adipose" in (exposure or {})


def _load(
    source: Table, name: str, sources: dict[str, Mapping[str, str]]
) -> tuple[pd.DataFrame, str, Mapping[Any, Any]]:
    """Return a table, what errors call it, and what it says about itself; note the file and its hash."""
    if isinstance(source, pd.DataFrame):
        if source.empty:
            raise EmptyTableError(
                where=f"{name} table", problem="The table has no rows", remedy="Check how it was made"
            )
        twice = source.columns[source.columns.duplicated()]
        if len(twice):
            raise TableError(f"{name} table", f"Two columns are called {twice[0]!r}", "Rename or drop one of them")
        return source.reset_index(drop=True), f"{name} table", source.attrs
    path = Path(source)
    table = read_table(path)
    sources[name] = {"file": path.name, "sha256": file_sha256(path)}
    return table.reset_index(drop=True), path.name, table.attrs


def _nearly_canonical(table: pd.DataFrame) -> list[str]:
    """Return a note for each column whose name differs from a canonical one only in spelling."""
    bare = {name.replace("_", "").lower(): name for name in VARIABLES}
    notes = []
    for column in table.columns:
        match = bare.get(str(column).replace("_", "").replace(" ", "").lower())
        if match and column not in VARIABLES and match not in table:
            notes.append(
                f"Column {column!r} is kept under its own name; columns={{'{column}': '{match}'}} makes it {match}"
            )
    return notes


def _one_session(table: pd.DataFrame, session: str, where: str, flow: Flow) -> pd.DataFrame:
    """Keep the rows of one session."""
    kept = table[table["session_id"] == session]
    if kept.empty:
        there = sorted(table["session_id"].unique())
        raise InvalidValueError(
            where=f"{where}, column session_id",
            problem=f"No row has session {session!r} (there is {first_few(there, 8)})",
            remedy="Choose one that is there, with Exposure(session=...)",
        )
    flow.add("session", f"other sessions than {session}", len(table) - len(kept))
    return kept.reset_index(drop=True)


def _refuse_several_sessions(table: pd.DataFrame, where: str) -> None:
    """Raise where a participant still has more than one row: the analysis set has one row a person."""
    again = table["participant_id"].duplicated()
    if again.any():
        first = table.loc[again, "participant_id"].iloc[0]
        sessions = table.loc[table["participant_id"] == first, "session_id"].tolist()
        raise DuplicateKeyError(
            where=f"{where}, participant_id",
            problem=f"{int(again.sum()):,} rows are further sessions of the same participants "
            f"(participant {first} has {', '.join(map(repr, sessions))})",
            remedy=f"Choose one session with Exposure(session={sessions[0]!r})",
        )


def _carried_definition(table: pd.DataFrame, adipose: str, where: str) -> pd.DataFrame:
    """Make another definition of adipose tissue the exposure of a table that carries its exposures itself.

    Unsuffixed columns of such a table follow the default definition, threshold.
    """
    default = ADIPOSE_DEFINITIONS[0]
    if adipose == default or "intermat_percent" not in table:
        return table
    wanted = [column for column in CHOSEN_EXPOSURES if column in table]
    for column in wanted:
        if suffixed(column, adipose) not in table and column != "lean_cm3":
            raise missing_column(suffixed(column, adipose), table.columns, where)
    table = table.drop(columns=[suffixed(c, default) for c in wanted if suffixed(c, default) in table])
    renames = {c: suffixed(c, default) for c in wanted} | {suffixed(c, adipose): c for c in wanted}
    return table.rename(columns=renames)


def _derived(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in BMI from height and weight, the activity category from MET minutes, and LMM from lean volume and BMI."""
    table = table.copy()
    if {"height_cm", "weight_kg"} <= set(table.columns):
        computed = body_mass_index(table["height_cm"], table["weight_kg"])
        table["bmi_kg_m2"] = table["bmi_kg_m2"].fillna(computed) if "bmi_kg_m2" in table else computed
    if "activity_met_min_week" in table:
        category = activity_category(table["activity_met_min_week"])
        table["activity"] = table["activity"].fillna(category) if "activity" in table else category
    for definition in (None, *ADIPOSE_DEFINITIONS):
        lean, lmm = ("lean_cm3", "lmm_cm3_per_kg_m2")
        if definition:
            lean, lmm = suffixed(lean, definition), suffixed(lmm, definition)
        if lean in table and lmm not in table and "bmi_kg_m2" in table:
            table[lmm] = table[lean] / table["bmi_kg_m2"]
    return table


def _filled(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the rows whose gap in a column was filled from other columns, by how: no such value was in the table."""
    made = {
        "bmi_kg_m2": "BMI computed from height and weight",
        "activity": "activity category computed from MET minutes",
    }
    return {how: before[name].isna() & after[name].notna() for name, how in made.items() if name in before}


def _whole_binaries(table: pd.DataFrame) -> pd.DataFrame:
    """Store complete 0/1 columns as integers, which is how they are written and read."""
    whole = {
        name: table[name].astype("int64")
        for name, variable in VARIABLES.items()
        if variable.kind == "binary" and name in table and table[name].notna().all()
    }
    return table.assign(**whole)
