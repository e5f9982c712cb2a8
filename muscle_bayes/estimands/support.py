"""Where the data speak: which combinations of exposures, and which persons, lie inside the analysis set.

Two rules, both by sex. A combination of two exposures is supported where both lie between the 1st and the 99th
percentile of the same sex and age band, for at least one band, and at least `MIN_PERSONS` persons of that sex lie in
the square of three bins around it (0.75 Z). A person is supported where each exposure lies between the 1st and the 99th
percentile of their own sex and age band.
"""

from typing import Any

import numpy as np
import pandas as pd

MIN_PERSONS = 10


def joint_support(fit: Any, first: str, second: str, a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Say for combinations of two exposures whether the data hold such persons.

    Parameters
    ----------
    fit : Fit
        With `support.joint` and `support.by_group`.
    first, second : str
        Names of the exposures, such as ``intermat_z``.
    a, b : numpy.ndarray, shape (k,)
        Their values in Z.

    Returns
    -------
    dict of str to numpy.ndarray of bool, shape (k,)
        One entry for each sex, and "any".
    """
    joint, groups = fit.support.joint, fit.support.by_group
    if joint is None or {first, second} - set(joint.dims):
        # The fit remembers the joint distribution of its first two exposures only; for others the bands must do.
        return _band_support(groups, first, second, a, b)
    counts = joint.transpose("sex", first, second).to_numpy()
    near_a, inside_a = _bins(joint[first].to_numpy(), a)
    near_b, inside_b = _bins(joint[second].to_numpy(), b)
    out: dict[str, np.ndarray] = {}
    for sex, count in zip(joint["sex"].to_numpy(), counts, strict=True):
        around = _box_sum(count)[near_a, near_b]
        out[str(sex)] = inside_a & inside_b & (around >= MIN_PERSONS)
    bands = _band_support(groups, first, second, a, b)
    out = {sex: mask & bands[sex] for sex, mask in out.items()}
    return {**out, "any": np.logical_or.reduce(list(out.values()))}


def _band_support(groups: pd.DataFrame, first: str, second: str, a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    out = {}
    for sex, rows in groups.groupby(groups["sex"].astype(str)):
        bands = [_between(row, first, a) & _between(row, second, b) for _, row in rows.iterrows()]
        out[str(sex)] = np.logical_or.reduce(bands)
    return {**out, "any": np.logical_or.reduce(list(out.values()))}


def marginal_densities(fit: Any, first: str, second: str) -> dict[str, dict[str, list[float]]]:
    """Return how each of two exposures is distributed, by sex, as numbers that a figure's edge shows.

    Parameters
    ----------
    fit : Fit
        With `support.joint`.
    first, second : str
        Names of the exposures.

    Returns
    -------
    dict
        ``{"intermat_z": {"z": [...], "female": [...], "male": [...]}}``: density per Z of the whole analysis set,
        so that the sexes' densities together integrate to 1.
    """
    joint = fit.support.joint
    if joint is None or {first, second} - set(joint.dims):
        return {}
    total = float(joint.sum())
    if total == 0:  # every cell is too small to be kept
        return {}
    sexes = joint["sex"].to_numpy()
    out = {}
    for name, other in ((first, second), (second, first)):
        centres = joint[name].to_numpy()
        width = float(centres[1] - centres[0])
        counts = joint.sum(other)
        out[name] = {"z": [float(z) for z in centres]} | {
            str(sex): [float(v) for v in counts.sel(sex=sex).to_numpy() / (total * width)] for sex in sexes
        }
    return out


def outside_support(fit: Any, person: pd.Series, exposures: list[str]) -> list[str]:
    """Name the exposures of a person that lie outside the support of their own sex and age band.

    Parameters
    ----------
    fit : Fit
        With `support.by_group`.
    person : pandas.Series
        With `sex`, `age_years` and the exposures in Z; without sex or age, all groups together are looked at.
    exposures : list of str
        Names in Z.

    Returns
    -------
    list of str
        Empty for a supported person.
    """
    # Here and not at the top: whoever has a fit has loaded inference already, whoever has not should not wait for it.
    from muscle_bayes.inference.support import age_band

    groups = fit.support.by_group
    if "sex" in person:
        groups = groups[groups["sex"].astype(str) == str(person["sex"])]
    if "age_years" in person and not pd.isna(person["age_years"]):
        band = age_band(pd.Series([float(person["age_years"])])).iloc[0]
        groups = groups[groups["age_band"].astype(str) == band]
    return [
        name
        for name in exposures
        if f"{name}_q01" in groups
        and not any(bool(_between(row, name, np.array([person[name]]))[0]) for _, row in groups.iterrows())
    ]


def share_outside(fit: Any, persons: pd.DataFrame, exposure: str) -> np.ndarray:
    """Say for each person whether an exposure lies outside the support of their own sex and age band.

    Parameters
    ----------
    fit : Fit
        With `support.by_group`.
    persons : pandas.DataFrame, n rows
        With `sex`, `age_years` and the exposure in Z; a fit without sex or age has one group of all.
    exposure : str
        Name in Z.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        A group too small to have percentiles counts as outside.
    """
    from muscle_bayes.inference.support import age_band

    groups = fit.support.by_group
    sexes, bands = set(groups["sex"].astype(str)), set(groups["age_band"].astype(str))
    sex = persons["sex"].astype(str) if sexes != {"all"} else pd.Series("all", index=persons.index)
    band = age_band(persons["age_years"]).astype(str) if bands != {"all"} else pd.Series("all", index=persons.index)
    limits = groups.set_index([groups["sex"].astype(str), groups["age_band"].astype(str)])
    own = limits.reindex(pd.MultiIndex.from_arrays([sex, band]))
    value = persons[exposure].to_numpy(dtype=float)
    inside = (value >= own[f"{exposure}_q01"].to_numpy()) & (value <= own[f"{exposure}_q99"].to_numpy())
    return ~inside


def _between(group: pd.Series, exposure: str, values: np.ndarray) -> np.ndarray:
    return (values >= group[f"{exposure}_q01"]) & (values <= group[f"{exposure}_q99"])


def _bins(centres: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = centres[1] - centres[0]
    # 1e-9 keeps a value on an edge in the upper bin whatever its last binary digit.
    index = np.floor((values - centres[0]) / width + 0.5 + 1e-9).astype(int)
    inside = (index >= 0) & (index < len(centres))
    return np.clip(index, 0, len(centres) - 1), inside


def _box_sum(counts: np.ndarray) -> np.ndarray:
    """Sum of each bin and its eight neighbours; beyond the table there is nobody."""
    padded = np.pad(counts, 1)
    rows, columns = counts.shape
    return np.sum([padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)], axis=0)
