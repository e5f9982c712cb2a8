"""The exposure: which measurement rows make a participant's InterMAT and lean muscle, and how they are pooled."""

from dataclasses import asdict, dataclass

import pandas as pd

from muscle_bayes.cohort.dictionary import ADIPOSE_DEFINITIONS
from muscle_bayes.cohort.names import nearest
from muscle_bayes.cohort.tables import first_few
from muscle_bayes.errors import DuplicateKeyError, InvalidValueError

MAX_UNDEFINED_PERCENT = 5.0
COMPARTMENTS = ("labels", "fascia")
MEASURED_MUSCLES = (
    "autochthonous",
    "iliopsoas",
    "gluteals",
    "quadriceps",
    "adductors",
    "hamstrings",
    "sartorius",
    "other",
    "all",
)
_NEVER_MIXED = ("region", "backend", "weights_sha256")
_POOLABLE = ("backend", "weights_sha256")


@dataclass(frozen=True)
class Exposure:
    """What is called InterMAT and lean muscle in an analysis.

    Attributes
    ----------
    muscle : str
        Muscle group, left and right together.
    region : str, optional
        Extent that was measured, such as "above_gluteals_150mm", the default for autochthonous muscle where it was
        measured; needed where there are several others.
    adipose : {"threshold", "fraction", "mixture"}
        Definition of adipose tissue that becomes `intermat_percent`; the others keep their suffix.
    compartment : {"labels", "fascia"}
        Muscle compartment as segmented, or with the fat inside the fascia.
    session : str, optional
        Session, needed where participants have more than one.
    backend, weights_sha256 : str, optional
        Segmentation, needed where rows come from more than one.
    pool : tuple of {"backend", "weights_sha256"}
        What may differ between rows. Nothing may by default.
    """

    muscle: str = "autochthonous"
    region: str | None = None
    adipose: str = "threshold"
    compartment: str = "labels"
    session: str | None = None
    backend: str | None = None
    weights_sha256: str | None = None
    pool: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("muscle", self.muscle, MEASURED_MUSCLES),
            ("adipose", self.adipose, ADIPOSE_DEFINITIONS),
            ("compartment", self.compartment, COMPARTMENTS),
            *(("pool", name, _POOLABLE) for name in self.pool),
        ):
            if value not in allowed:
                near = nearest(value, allowed)
                raise InvalidValueError(
                    where=f"exposure.{key}",
                    problem=f"{value!r} is not one of {', '.join(allowed)}",
                    remedy=f"Perhaps you meant {near!r}" if near else "Choose one of them",
                )


def chosen_rows(measurements: pd.DataFrame, exposure: Exposure, where: str) -> tuple[pd.DataFrame, Exposure]:
    """Return the measurement rows of an exposure, refusing to mix what is not comparable.

    Parameters
    ----------
    measurements : pandas.DataFrame
        One row a participant, session, muscle and side.
    exposure : Exposure
        What is asked for.
    where : str
        File or table, for errors.

    Returns
    -------
    rows : pandas.DataFrame
        Rows of one muscle, compartment, region, backend and weights.
    resolved : Exposure
        The exposure with the region, backend and weights that the rows have.

    Raises
    ------
    InvalidValueError
        Where there are no such rows, or rows that must not be pooled.
    DuplicateKeyError
        Where a participant, session and side occurs more than once.
    """
    # Not at the top: the imaging stage brings SciPy and nibabel, which a finished table does not need.
    from muscle_bayes.imaging.regions import ABOVE_GLUTEALS

    rows = measurements
    resolved = exposure
    asked = {"muscle": exposure.muscle, "compartment": exposure.compartment, "session_id": exposure.session}
    for column, value in asked.items():
        if value is not None and column in rows:
            rows = _only(rows, column, value, where)
    for column in _NEVER_MIXED:
        if column not in rows:
            continue
        value = getattr(exposure, column)
        if value is not None:
            rows = _only(rows, column, value, where)
            continue
        if column == "region" and exposure.muscle == "autochthonous" and (rows[column] == ABOVE_GLUTEALS).any():
            # The stated extent is the default wherever it was measured; other extents give other volumes.
            rows = _only(rows, column, ABOVE_GLUTEALS, where)
        kinds = sorted(rows[column].dropna().unique())
        if len(kinds) > 1 and column not in exposure.pool:
            allow = f", or allow it with Exposure(pool=('{column}',))" if column in _POOLABLE else ""
            counts = ", ".join(f"{kind!r} ({int((rows[column] == kind).sum()):,} rows)" for kind in kinds)
            raise InvalidValueError(
                where=f"{where}, column {column}",
                problem=f"The {exposure.muscle} rows differ in {column}, so they are not comparable: {counts}",
                remedy=f"Choose one with Exposure({column}={kinds[0]!r}){allow}",
            )
        if len(kinds) == 1:
            resolved = Exposure(**{**asdict(resolved), column: str(kinds[0])})
    key = ["participant_id", "session_id", "side"]
    twice = rows.duplicated(key, keep=False)
    if twice.any():
        names = rows.loc[twice, key].drop_duplicates().astype(str).agg(" ".join, axis=1)
        raise DuplicateKeyError(
            where=f"{where}, participant_id, session_id, side",
            problem=f"{len(names):,} measurements of {exposure.muscle} occur more than once ({first_few(list(names))})",
            remedy="Keep one row for each participant, session, muscle and side",
        )
    return rows, resolved


def _only(rows: pd.DataFrame, column: str, value: str, where: str) -> pd.DataFrame:
    """Return the rows with one value, or say which values there are."""
    kept = rows[rows[column] == value]
    if kept.empty:
        there = sorted(rows[column].dropna().astype(str).unique())
        raise InvalidValueError(
            where=f"{where}, column {column}",
            problem=f"No measurement row has {column} {value!r} (there is {first_few(there, 8) or 'nothing'})",
            remedy=f"Choose one that is there, with Exposure({'session' if column == 'session_id' else column}=...)",
        )
    return kept


def pooled_sides(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a participant-session: volumes summed over the sides, InterMAT pooled by volume.

    With V the defined volume of a side (compartment x (1 - undefined share)) and A = V x InterMAT its adipose volume,
    the pooled InterMAT is sum(A) / sum(V) and the lean volume is the sum of the sides' lean volumes.

    Parameters
    ----------
    rows : pandas.DataFrame
        As `chosen_rows` returns them. Left and right are used where both are there, otherwise a row of `both`.

    Returns
    -------
    pandas.DataFrame
        Columns participant_id, session_id, `intermat_<definition>_percent`, `lean_<definition>_cm3`, `problem` (text,
        missing where the measurement is usable: "one side only", "truncated", "qc fail", "undefined above 5 %").
        Lean volume is missing above 5 % undefined; InterMAT, a ratio over the defined voxels, is not.
    """
    key = ["participant_id", "session_id"]
    single = rows["side"].isin(["left", "right"])
    n_single = single.groupby([rows[k] for k in key]).transform("sum")
    used = rows[(single & (n_single == 2)) | ((rows["side"] == "both") & (n_single < 2))]
    one_sided = rows.loc[single & (n_single == 1), key].drop_duplicates()
    one_sided = one_sided.merge(used[key], on=key, how="left", indicator=True)
    one_sided = one_sided.loc[one_sided["_merge"] == "left_only", key]

    undefined = (
        used["undefined_percent"].fillna(0.0) if "undefined_percent" in used else pd.Series(0.0, index=used.index)
    )
    parts = used[key].assign(
        compartment=used["compartment_cm3"], defined=used["compartment_cm3"] * (1.0 - undefined / 100.0)
    )
    definitions = [d for d in ADIPOSE_DEFINITIONS if f"intermat_{d}_percent" in used]
    for name in definitions:
        parts[f"adipose_{name}"] = parts["defined"] * used[f"intermat_{name}_percent"] / 100.0
        lean = f"lean_{name}_cm3"
        parts[lean] = used[lean] if lean in used else parts["defined"] - parts[f"adipose_{name}"]
    parts["truncated"] = (used["truncated"] == 1) if "truncated" in used else False
    parts["failed"] = (used["qc"] == "fail") if "qc" in used else False
    groups = parts.groupby(key, sort=False, dropna=False)
    flags = groups[["truncated", "failed"]].any()
    # skipna=False: one unmeasured side makes the sum missing, not small.
    total = groups[[c for c in parts.columns if c not in {*key, "truncated", "failed"}]].sum(skipna=False)

    share_undefined = 100.0 * (1.0 - total["defined"] / total["compartment"])
    too_undefined = share_undefined > MAX_UNDEFINED_PERCENT
    unusable = flags["truncated"] | flags["failed"]
    pooled = pd.DataFrame(index=total.index)
    for name in definitions:
        intermat = 100.0 * total[f"adipose_{name}"] / total["defined"]
        pooled[f"intermat_{name}_percent"] = intermat.mask(unusable)
        pooled[f"lean_{name}_cm3"] = total[f"lean_{name}_cm3"].mask(unusable | too_undefined)
    pooled["problem"] = pd.Series(None, index=pooled.index, dtype="str")
    for said, mask in (
        ("undefined above 5 %", too_undefined),
        ("truncated", flags["truncated"]),
        ("qc fail", flags["failed"]),
    ):
        pooled["problem"] = pooled["problem"].mask(mask, said)
    pooled = pooled.reset_index()
    if len(one_sided):
        pooled = pd.concat([pooled, one_sided.assign(problem="one side only")], ignore_index=True)
    return pooled
