"""Estimand frames on disk with all that they say of themselves, so that figures and report need not estimate anew."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from muscle_bayes.cohort.files import whole_file

_KEY = b"muscle_bayes_attrs"


def write_frame(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame with its `.attrs` as Parquet.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of an estimand.
    path : pathlib.Path
        The file; it appears whole or not at all.

    Returns
    -------
    pathlib.Path
        The file.
    """
    plain = frame.copy()
    plain.attrs = {}
    for name in plain.columns:
        if plain[name].dtype == object:
            # A column of numbers and words, such as the levels of numeric and other predictors, is written as words.
            plain[name] = plain[name].map(_cell)
    table = pa.Table.from_pandas(plain, preserve_index=False)
    said = json.dumps(_plain(frame.attrs), ensure_ascii=False).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: said})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary)
    return path


def read_frame(path: Path) -> pd.DataFrame:
    """Read a frame that `write_frame` wrote, with its `.attrs`; tuples among these are lists.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    pandas.DataFrame
        As it was written.
    """
    table = pq.read_table(path)
    frame = table.to_pandas()
    frame.attrs = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    return frame


def _cell(value: Any) -> Any:
    missing = value is None or (isinstance(value, float) and pd.isna(value))
    return None if missing else value if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    """Return a value of `.attrs` as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
