"""The tables of the scan half: measurements with their dictionary, failures, facts; of all, or of one shard."""

import json
from pathlib import Path

import pandas as pd

from muscle_bayes import __version__
from muscle_bayes.cohort.files import whole_file
from muscle_bayes.imaging.batch import Shard
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.study.measurement_dictionary import measurement_dictionary
from muscle_bayes.study.measuring import Measured
from muscle_bayes.study.scan_settings import WITHOUT_NETWORK

FACTS = Path("qc") / "scan_facts.tsv"


def tables_folder(out: Path, shard: Shard | None = None) -> Path:
    """Return where the tables of a run lie: the results' folder, or that of a shard."""
    return out if shard is None else out / "shards" / shard.label


def write_measured(measured: Measured, out: Path, shard: Shard | None = None) -> list[Path]:
    """Write measurements.tsv, measurements.json (the dictionary), failures.tsv, facts, and what describes the derivatives.

    Parameters
    ----------
    measured : Measured
        As `measure_people` returns it.
    out : pathlib.Path
        Folder of the study's results.
    shard : Shard, optional
        Whose tables these are.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    folder = tables_folder(out, shard)
    paths = [
        _table(measured.table, folder / "measurements.tsv"),
        _json(measurement_dictionary(measured.table.columns), folder / "measurements.json"),
        _table(measured.failures, folder / "failures.tsv"),
    ]
    if len(measured.facts.columns) > 2:
        paths.append(_table(measured.facts, folder / FACTS))
    described = {
        "Name": "Muscle measurements",
        "BIDSVersion": "1.11.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "muscle_bayes", "Version": __version__}],
    }
    if shard is None:
        paths.append(_json(described, out / "derivatives" / "dataset_description.json"))
        if "backend" in measured.table and not measured.table["backend"].isin(WITHOUT_NETWORK).all():
            paths.append(_table(_labels_of_dseg(), out / "derivatives" / "dseg.tsv"))
    return paths


def _labels_of_dseg() -> pd.DataFrame:
    """Return what the ids of *_dseg.nii.gz mean, as BIDS asks for."""
    names = [s.name if s.side == "both" else f"{s.name} {s.side}" for s in SCHEME.values()]
    return pd.DataFrame({"index": [0, *SCHEME], "name": ["background", *names]})


def _table(table: pd.DataFrame, path: Path) -> Path:
    with whole_file(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    return path


def _json(content: object, path: Path) -> Path:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
