"""From the analysed back to the imaged: missing values and reasons for exclusion.

The abstract says that 30,868 were imaged and 27,518 analysed; the steps between are invented (section `choices` of
`cohort_parameters.toml`). The analysed keep exactly the rows that a complete cohort of the same seed has, and the
others are further persons from the same population, each with one reason for not being analysed. So exclusions and
complete cases lead back to the complete cohort, row for row.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

EXCLUSIONS: tuple[dict[str, Any], ...] = (
    {"name": "Image quality failed", "column": "qc", "op": "==", "value": "fail"},
    {"name": "Fat-water swap not repaired", "column": "fat_water_swap", "op": "==", "value": 1},
    {"name": "Lower back not wholly in view", "column": "truncated", "op": "==", "value": 1},
)
"""Rules for `read_cohort(exclusions=...)`; what is left then loses its incomplete cases and gives the analysis set."""

DIAGNOSES = ("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis")


def flow_counts(imaged: int, exclusions: Mapping[str, int]) -> dict[str, int]:
    """Share out the imaged among the analysed and the reasons.

    Parameters
    ----------
    imaged : int
        Number of persons imaged.
    exclusions : mapping of str to int
        `imaged` and the counts of each reason at that number.

    Returns
    -------
    dict of str to int
        `analysed` and each reason, in proportion (largest remainders), summing to `imaged`.
    """
    reasons = {name: count for name, count in exclusions.items() if name != "imaged"}
    weights = {"analysed": exclusions["imaged"] - sum(reasons.values())} | reasons
    exact = np.array(list(weights.values())) * (imaged / exclusions["imaged"])
    counts = np.floor(exact + 1e-9).astype(int)
    short = imaged - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return {name: int(count) for name, count in zip(weights, counts, strict=True)}


def spoil(table: pd.DataFrame, reasons: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Put the marks and missing values of each reason into a complete table.

    Parameters
    ----------
    table : pandas.DataFrame
        Complete rows.
    reasons : (n,) array of str
        One reason a row, or "analysed".
    rng : numpy.random.Generator
        Decides which diagnoses are missing, and in whom height is.

    Returns
    -------
    pandas.DataFrame
        The table with the columns `qc`, `fat_water_swap` and `truncated`; 0/1 columns are float where values miss.
    """
    table = table.copy()
    at = {name: reasons == name for name in np.unique(reasons)}

    def where(reason: str) -> np.ndarray:
        return at.get(reason, np.zeros(len(table), dtype=bool))

    percents = [name for name in table.columns if name.startswith("intermat_")]
    volumes = [name for name in table.columns if name.startswith(("lmm_", "lean_"))]
    binary = [*DIAGNOSES, "cbp", "pain_nrs"]
    table[binary] = table[binary].astype("float64")

    table["qc"] = np.where(where("image_quality"), "fail", "pass")
    table["fat_water_swap"] = where("fat_water_swap").astype("int64")
    table["truncated"] = where("field_of_view").astype("int64")
    # A failed image and a muscle that is not wholly in view give no measurement: missing, not small.
    table.loc[where("image_quality") | where("field_of_view"), percents + volumes] = np.nan

    # With water and fat swapped, muscle reads as fat: what makes the rule necessary is there to be seen.
    swapped = where("fat_water_swap")
    for percent in percents:
        suffix = percent.removeprefix("intermat_").removesuffix("percent")
        true = table.loc[swapped, percent]
        left = true / (100.0 - true)
        table.loc[swapped, f"lmm_{suffix}cm3_per_kg_m2"] *= left
        if not suffix:
            table.loc[swapped, "lean_cm3"] *= left
        table.loc[swapped, percent] = 100.0 - true

    # An interview that was not held leaves both outcomes empty.
    table.loc[where("outcome"), ["cbp", "pain_nrs"]] = np.nan
    table.loc[where("activity"), "activity_met_min_week"] = np.nan
    table.loc[where("activity"), "activity"] = None
    rows = np.flatnonzero(where("diagnoses"))
    missing = rng.random((len(rows), len(DIAGNOSES))) < 0.3
    missing[np.arange(len(rows)), rng.integers(len(DIAGNOSES), size=len(rows))] = True
    for name, lost in zip(DIAGNOSES, missing.T, strict=True):
        table.loc[table.index[rows[lost]], name] = np.nan
    # No weight, no BMI; no BMI, no LMM. The lean volume itself was measured.
    unweighed = where("anthropometry")
    lmm = [name for name in volumes if name.startswith("lmm_")]
    table.loc[unweighed, ["weight_kg", "bmi_kg_m2", *lmm]] = np.nan
    table.loc[unweighed & (rng.random(len(table)) < 0.5), "height_cm"] = np.nan
    return table
