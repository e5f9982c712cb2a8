"""Simulated data as files: a cohort as a table with what was put into it, a phantom as images."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes.cohort.files import whole_file
from muscle_bayes.errors import TableError


def write_cohort(
    path: Path | str, *, n: int | None, seed: int, complete: bool, interaction: float
) -> tuple[Path, pd.DataFrame]:
    """Write a simulated cohort.

    Parameters
    ----------
    path : path
        `.csv`, `.tsv` or `.parquet`; every row is marked by the column `simulated`. What the simulation put in is written
        beside it, to NAME.truth.json.
    n, seed, complete, interaction
        As in `simulate_cohort`.

    Returns
    -------
    path : pathlib.Path
        The file.
    table : pandas.DataFrame
        What was written.

    Raises
    ------
    TableError
        Where the ending is none of the three.
    """
    from muscle_bayes.simulation import simulate_cohort

    path = Path(path)
    kind = path.suffix.lower()
    if kind not in {".csv", ".tsv", ".parquet"}:
        raise TableError(
            str(path), f"Tables of type {kind or 'without an ending'!r} are not written", "Use .csv, .tsv or .parquet"
        )
    table = simulate_cohort(n=n, seed=seed, complete=complete, interaction=interaction)
    with whole_file(path) as temporary:
        if kind == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, sep="," if kind == ".csv" else "\t", index=False)
    with whole_file(truth_file(path)) as temporary:
        temporary.write_text(json.dumps(table.attrs, indent=1) + "\n", encoding="utf-8")
    return path, table


def truth_file(table: Path) -> Path:
    """Return where the truth of a simulated table stands: NAME.truth.json beside NAME.csv."""
    return table.with_name(f"{table.stem}.truth.json")


def read_truth(table: Path) -> dict[str, Any] | None:
    """Read what a simulation put into a table.

    Parameters
    ----------
    table : pathlib.Path
        The participant table.

    Returns
    -------
    dict or None
        Event -> log odds ratio of each column per unit; None where no truth stands beside the table.
    """
    path = truth_file(table)
    if not path.is_file():
        return None
    truth: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["truth"]
    return truth


def write_phantom(region: str, folder: Path | str, *, seed: int) -> dict[str, Path]:
    """Write a phantom with its truth.

    Parameters
    ----------
    region : {"trunk", "thigh"}
        What it shows.
    folder : path
        Where the images go.
    seed : int
        Of the phantom.

    Returns
    -------
    dict of str to pathlib.Path
        water, fat, labels, in, opp, truth, phantom.
    """
    from muscle_bayes.simulation import simulate_phantom

    return simulate_phantom(region, seed=seed).save(folder)
