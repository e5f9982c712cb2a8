"""What a result rests on: a hash of the rows that a model used, and the versions of the software."""

import hashlib
from functools import cache
from importlib.metadata import version

import pandas as pd

_SOFTWARE = ("muscle-bayes", "numpy", "scipy", "pandas", "formulae", "bambi", "pymc", "pytensor", "nutpie", "arviz")


def hash_rows(frame: pd.DataFrame) -> str:
    """Return a SHA-256 of a table's values, the same on every machine.

    Parameters
    ----------
    frame : pandas.DataFrame
        The columns that a model used.

    Returns
    -------
    str
        Hexadecimal digest.
    """
    plain = frame.astype({name: "object" for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])})
    rows = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    return hashlib.sha256(rows.tobytes() + ",".join(map(str, frame.columns)).encode()).hexdigest()


def software_versions() -> dict[str, str]:
    """Return the versions of what a fit rests on."""
    return dict(_software_versions())


@cache  # reading the metadata of ten packages takes as long as an estimand
def _software_versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, version(name)) for name in _SOFTWARE)
