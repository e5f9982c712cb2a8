"""What a fit remembers of its analysis set: distributions, never rows.

A saved fit answers questions about odds ratios, the surface and the nomogram without the table it came from. For that it keeps
quantiles, counts (cells under 5 persons are set to 0) and mean design rows of blocks of at least 20 persons.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from muscle_bayes.inference.draws import coordinate
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.model import Model

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
AGE_BANDS = ("<40", "40-49", "50-59", "60+")
_SMALLEST_CELL = 5
_BLOCK = 20
_MOST_BLOCKS = 1_000
_EDGES = np.arange(-4.0, 6.0 + 1e-9, 0.25)


@dataclass(frozen=True)
class Support:
    """Distributions of the analysis set.

    Attributes
    ----------
    quantiles : pandas.DataFrame
        Index: numeric raw columns and Z-scores of the model; columns: `QUANTILES`, where 0 and 1 are the 0.1st and 99.9th
        percentile in tables of 1,000 or more, so that no single person's value is kept.
    counts : dict of str to pandas.Series
        Categorical or binary column -> level -> persons.
    by_group : pandas.DataFrame
        One row for each sex and age band: sex, age_band, n, and q01 and q99 of each exposure.
    joint : xarray.DataArray or None
        Persons by sex and bins of the first two exposures (0.25 Z wide, coordinates are the bins' centres).
    profile : numpy.ndarray, shape (B, p)
        Mean design rows of blocks of persons with adjacent linear predictor.
    profile_n : numpy.ndarray, shape (B,)
        Persons in each block.
    """

    quantiles: pd.DataFrame
    counts: dict[str, pd.Series]
    by_group: pd.DataFrame
    joint: xr.DataArray | None
    profile: np.ndarray
    profile_n: np.ndarray


def age_band(age_years: pd.Series) -> pd.Series:
    """Return the age band of each person: <40, 40-49, 50-59, 60+.

    Parameters
    ----------
    age_years : pandas.Series, shape (n,)
        Age in years.

    Returns
    -------
    pandas.Series
        Ordered categorical.
    """
    return pd.cut(age_years, [-np.inf, 40, 50, 60, np.inf], right=False, labels=list(AGE_BANDS))


def describe_support(model: Model, design: Design, coefficients: np.ndarray) -> Support:
    """Describe the analysis set.

    Parameters
    ----------
    model : Model
        With its exposures.
    design : Design
        The analysis set.
    coefficients : numpy.ndarray, shape (p,)
        Posterior means (or the maximum), by which persons are put in order of their linear predictor.

    Returns
    -------
    Support
        Distributions; no rows.
    """
    recipe, frame = design.recipe, design.frame
    numeric, counts = {}, {}
    for name in dict.fromkeys([*recipe.predictors, *recipe.raw_columns]):
        column = frame[name]
        if name in recipe.levels:
            counts[name] = _count(column, list(recipe.levels[name]))
        elif not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            counts[name] = _count(column, sorted(column.astype("str").unique()))
        elif set(pd.unique(column.astype(float))) <= {0.0, 1.0}:
            counts[name] = _count(column.astype(int), ["0", "1"])
        else:
            numeric[name] = _quantiles(column.to_numpy(dtype=float))
    for factor in recipe.factors:
        persons = np.bincount(design.groups[factor.name], minlength=len(factor.levels))
        counts[factor.name] = pd.Series(persons, index=list(factor.levels), name="count", dtype="int64")
    quantiles = pd.DataFrame.from_dict(numeric, orient="index", columns=list(QUANTILES))

    exposures = [name for name in model.exposures if name in frame and name not in recipe.levels]
    profile, profile_n = _profile(design.X + recipe.centre, design.X @ coefficients)
    return Support(quantiles, counts, _by_group(frame, exposures), _joint(frame, exposures), profile, profile_n)


def _count(column: pd.Series, levels: list[str]) -> pd.Series:
    count = column.value_counts()
    count.index = count.index.astype("str")  # of the values, not of every row
    count = count.reindex(levels, fill_value=0)
    return pd.Series(count.to_numpy(dtype="int64"), index=levels, name="count")


def _quantiles(values: np.ndarray) -> np.ndarray:
    at = np.array(QUANTILES)
    if len(values) >= 1_000:
        at = np.clip(at, 0.001, 0.999)
    return np.quantile(values, at)


def _groups(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    everyone = pd.Series("all", index=frame.index)
    sex = frame["sex"].astype("object") if "sex" in frame else everyone
    band = age_band(frame["age_years"]).astype("object") if "age_years" in frame else everyone
    return sex, band


def _by_group(frame: pd.DataFrame, exposures: list[str]) -> pd.DataFrame:
    sex, band = _groups(frame)
    rows = []
    for (one_sex, one_band), part in frame.groupby([sex.rename("_sex"), band.rename("_band")], sort=True):
        row: dict[str, object] = {"sex": one_sex, "age_band": one_band, "n": len(part)}
        for name in exposures:
            enough = len(part) >= _BLOCK
            low, high = np.quantile(part[name], [0.01, 0.99]) if enough else (np.nan, np.nan)
            row |= {f"{name}_q01": low, f"{name}_q99": high}
        rows.append(row)
    return pd.DataFrame(rows)


def _joint(frame: pd.DataFrame, exposures: list[str]) -> xr.DataArray | None:
    if len(exposures) < 2:
        return None
    a, b = exposures[:2]
    sex, _ = _groups(frame)
    kinds = sorted(sex.dropna().unique())
    cells = []
    for kind in kinds:
        part = frame.loc[sex == kind]
        count, _, _ = np.histogram2d(part[a], part[b], bins=[_EDGES, _EDGES])
        cells.append(np.where(count < _SMALLEST_CELL, 0, count))
    centres = (_EDGES[:-1] + _EDGES[1:]) / 2
    return xr.DataArray(
        np.array(cells, dtype=np.int32),
        dims=("sex", a, b),
        coords={"sex": coordinate(kinds), a: coordinate(centres), b: coordinate(centres)},
        name="persons",
    )


def _profile(X: np.ndarray, linear_predictor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(linear_predictor, kind="stable")
    blocks = int(np.clip(len(order) // _BLOCK, 1, _MOST_BLOCKS))
    starts = np.linspace(0, len(order), blocks + 1).astype(int)
    sizes = np.diff(starts)
    return np.add.reduceat(X[order], starts[:-1], axis=0) / sizes[:, None], sizes
