"""Simulated data as files: a cohort as a table, a phantom as images."""

from pathlib import Path

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
        `.csv`, `.tsv` or `.parquet`; every row is marked by the column `simulated`.
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
    return path, table


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
