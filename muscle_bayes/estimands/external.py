"""Coefficients that other software printed, read from a CSV: R's lme4 and brms as they write them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError

_NORMAL = 1.959963984540054

#: Heading -> what other software calls it: broom.mixed, lme4's `coef(summary(.))`, brms's `fixef(.)`, statsmodels.
_HEADINGS = {
    "term": ("term", "Unnamed: 0", "", "parameter", "name", "rowname", "coefficient"),
    "estimate": ("estimate", "Estimate", "coef", "Coef."),
    "se": ("std.error", "Std. Error", "Est.Error", "se", "Std.Err.", "std err"),
    "lower": ("conf.low", "2.5 %", "Q2.5", "lower", "[0.025", "l-95% CI"),
    "upper": ("conf.high", "97.5 %", "Q97.5", "upper", "0.975]", "u-95% CI"),
}


def read_external(name: str, table: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read coefficients that other software estimated for the same model.

    Parameters
    ----------
    name : str
        What the user calls the source, for errors.
    table : str, pathlib.Path or pandas.DataFrame
        One row a coefficient: its name, the estimate, and a standard error or both limits of the 95 % interval, on the
        log-odds scale and per unit of the model's columns (Z-scores per Z), as ``write.csv(coef(summary(fit)))`` of lme4,
        ``write.csv(fixef(fit))`` of brms or ``broom.mixed::tidy(fit, conf.int = TRUE)`` write it. A column `scale` that says
        ``odds ratio`` marks exponentiated estimates.

    Returns
    -------
    pandas.DataFrame
        Index: the name in plain letters (`plain_name`); columns ``estimate, lower, upper`` on the log-odds scale.

    Raises
    ------
    EstimandError
        Where the file or a column is missing, or holds what is no number.
    """
    where = f"external[{name!r}]"
    if isinstance(table, pd.DataFrame):
        raw = (
            table.reset_index()
            if table.index.dtype == object or isinstance(table.index.dtype, pd.StringDtype)
            else table
        )
    else:
        try:
            raw = pd.read_csv(table, sep=None, engine="python")
        except (OSError, ValueError) as error:
            raise EstimandError(where, f"the file cannot be read ({error})", "Give a CSV of coefficients") from error
    raw = raw.rename(columns=str)
    found = {
        ours: next((theirs for theirs in names if theirs in raw.columns), None) for ours, names in _HEADINGS.items()
    }
    if found["term"] is None and "index" in raw.columns:
        found["term"] = "index"
    for needed in ("term", "estimate"):
        if found[needed] is None:
            raise EstimandError(
                where,
                f"it has no column {needed!r} (it has {', '.join(map(repr, raw.columns))})",
                f"Name one of them {needed!r}",
            )
    if found["se"] is None and (found["lower"] is None or found["upper"] is None):
        raise EstimandError(
            where,
            "it has neither standard errors nor both limits of an interval",
            "Add 'std.error', or 'conf.low' and 'conf.high'",
        )
    if "effect" in raw.columns:
        # broom.mixed lists the SDs of the random effects below the coefficients.
        raw = raw[raw["effect"].astype(str) == "fixed"]
    numbers = {ours: _numbers(raw[theirs]) for ours, theirs in found.items() if theirs is not None and ours != "term"}
    texts = raw[found["term"]].astype(str)
    if np.isnan(numbers["estimate"]).any():
        bad = texts[np.isnan(numbers["estimate"])].iloc[0]
        raise EstimandError(where, f"the estimate of {bad!r} is no number", "Mend the row, or leave it out")
    estimate = numbers["estimate"]
    if "scale" in raw.columns and raw["scale"].astype(str).str.contains("odds ratio").any():
        if found["lower"] is None:
            raise EstimandError(
                where, "odds ratios need both limits of their interval", "Add 'conf.low' and 'conf.high'"
            )
        estimate, lower, upper = (_log(numbers[ours], where) for ours in ("estimate", "lower", "upper"))
    elif found["lower"] is not None and found["upper"] is not None:
        lower, upper = numbers["lower"], numbers["upper"]
    else:
        lower, upper = estimate - _NORMAL * numbers["se"], estimate + _NORMAL * numbers["se"]
    index = pd.Index([plain_name(text) for text in texts])
    if index.has_duplicates:
        twice = texts.iloc[int(np.argmax(index.duplicated()))]
        raise EstimandError(where, f"the coefficient {twice!r} stands there twice", "Leave one of them out")
    return pd.DataFrame({"estimate": estimate, "lower": lower, "upper": upper}, index=index)


def _numbers(column: pd.Series) -> np.ndarray:
    """Return numbers, with a decimal comma as well, as R's ``write.csv2`` has them; NaN where a cell holds none."""
    if not pd.api.types.is_numeric_dtype(column):
        column = column.astype(str).str.replace(",", ".", regex=False)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)


def _log(values: np.ndarray, where: str) -> np.ndarray:
    if not (values > 0).all():
        raise EstimandError(where, "an odds ratio is not positive", "Give odds ratios, or drop the column 'scale'")
    return np.asarray(np.log(values))


def plain_name(text: Any) -> str:
    """Return a coefficient's name without what software adds to it, the parts of an interaction in one order.

    Parameters
    ----------
    text : str
        Such as ``sex[male]`` (ours, Bambi), ``sexmale`` (R), ``C(sex)[T.male]`` (patsy), ``b_age_z`` (brms).

    Returns
    -------
    str
        ``sexmale``, ``agez``.
    """
    parts = []
    for part in str(text).strip().split(":"):
        patsy = re.fullmatch(r"C\((\w+).*\)\[T?\.?(.+)\]", part)
        bare = "".join(patsy.groups()) if patsy else part
        parts.append(re.sub(r"[^a-z0-9]", "", re.sub(r"^b_", "", bare.lower().replace("[t.", "["))))
    return ":".join(sorted(parts))
