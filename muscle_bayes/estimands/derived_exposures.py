"""Exposures made otherwise than the model makes them: lean muscle without a ratio, and exposures within their site.

LMM is a volume divided by BMI. A ratio as an exposure brings its denominator into every association, which no covariate of
the model takes out again (Kronmal 1993, J R Stat Soc A 156, 379-392). Three forms stand in its place: the volume by the square
of height, the volume that height and weight do not account for, and the volume itself beside height and weight.

Scanners differ by site, and so does pain. What an exposure's offset at a site confounds is taken out by the site's mean:
as a covariate (Mundlak 1978, Econometrica 46, 69-85), or subtracted from each person's value.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from muscle_bayes.errors import MissingColumnError
from muscle_bayes.specification.columns import group_names
from muscle_bayes.specification.recipe import Standardisation

#: Names of the derived columns.
PER_HEIGHT_SQUARED = "lean_cm3_per_m2"
RESIDUAL = "lean_log_residual"
VOLUME = "lean_cm3"


def lean_volume(table: pd.DataFrame, lmm: str, *, own: bool) -> pd.Series:
    """Return each person's lean muscle volume in cm³ by one adipose definition.

    Parameters
    ----------
    table : pandas.DataFrame, n rows
        With the column `lmm` (cm³/(kg/m²)) and ``bmi_kg_m2``, or with ``lean_cm3``.
    lmm : str
        LMM by the definition that is asked for.
    own : bool
        Whether this is the definition of the table's plain columns, which ``lean_cm3`` follows too.

    Returns
    -------
    pandas.Series, shape (n,)
        ``lean_cm3`` where it is of this definition, else LMM x BMI, which it is by LMM's definition.

    Raises
    ------
    MissingColumnError
        Where neither can be had.
    """
    if own and VOLUME in table:
        return table[VOLUME].astype("float64")
    require(table, lmm, "bmi_kg_m2")
    return table[lmm].astype("float64") * table["bmi_kg_m2"].astype("float64")


def per_height_squared(volume_cm3: pd.Series, height_cm: pd.Series) -> pd.Series:
    """Return a volume by the square of height in cm³/m², as body composition is indexed (fat-free mass index)."""
    return volume_cm3 / (height_cm.astype("float64") / 100) ** 2


def allometric_residual(
    volume_cm3: pd.Series, height_cm: pd.Series, weight_kg: pd.Series
) -> tuple[pd.Series, tuple[float, float]]:
    """Return what a person's volume is more or less than that of others of their height and weight, in log units.

    Parameters
    ----------
    volume_cm3, height_cm, weight_kg : pandas.Series, shape (n,)
        Positive; a person who lacks one gets no residual.

    Returns
    -------
    residual : pandas.Series, shape (n,)
        Of the least-squares regression of log volume on log height and log weight: 0.1 is about 10 % more volume.
    exponents : tuple of float
        Of height and of weight, estimated and not assumed: V = c x height^a x weight^b (Nevill & Holder 1995,
        Statistician 44, 85-95). Volume by BMI takes a = -2 and b = 1 for granted.
    """
    logs = pd.DataFrame({"v": volume_cm3, "h": height_cm, "w": weight_kg}).astype("float64")
    logs = logs.where(logs > 0).apply(np.log)
    known = logs.notna().all(axis=1)
    X = np.column_stack([np.ones(int(known.sum())), logs.loc[known, ["h", "w"]]])
    coefficients, *_ = np.linalg.lstsq(X, logs.loc[known, "v"].to_numpy(), rcond=None)
    residual = pd.Series(np.nan, index=volume_cm3.index)
    residual[known] = logs.loc[known, "v"].to_numpy() - X @ coefficients
    return residual, (float(coefficients[1]), float(coefficients[2]))


def site_mean(values: pd.Series, site: pd.Series) -> pd.Series:
    """Return for each person the mean of an exposure at their site.

    As a covariate beside the exposure (Mundlak 1978) it leaves the exposure the association within sites; its own
    coefficient is the association between sites less that within.
    """
    return values.groupby(group_names(site)).transform("mean")


def centred_within_site(constants: Standardisation, table: pd.DataFrame, site: str) -> Standardisation:
    """Return a Z-score from which the mean of a person's own site is subtracted, in SDs of everyone.

    Parameters
    ----------
    constants : Standardisation
        Of the Z-score over everyone; its SD stays, so that "per 2 Z" is the same contrast in raw units.
    table : pandas.DataFrame, n rows
        With the raw column and the site.
    site : str
        The site's column.

    Returns
    -------
    Standardisation
        By site.
    """
    means = table[constants.source].astype("float64").groupby(group_names(table[site])).mean()
    return replace(constants, over=site, groups={str(name): (float(m), constants.sd) for name, m in means.items()})


def require(table: pd.DataFrame, *columns: str) -> None:
    """Raise where a table lacks columns that a specification needs."""
    missing = [name for name in columns if name not in table]
    if missing:
        raise MissingColumnError(
            f"column {', '.join(map(repr, missing))}",
            "the table has none, and the specification needs it",
            "Add it to the participants' table, or leave this specification out",
        )
