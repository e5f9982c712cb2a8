"""Residuals against exposures: observed less replicated prevalence in bins of each, which shows the form a model misses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.posterior_predictive import replicates
from muscle_bayes.estimands.predictive import groups_of, predictive
from muscle_bayes.estimands.sites import MEANING, site_label
from muscle_bayes.estimands.variables import variables_of

#: A bin of fewer persons says nothing.
SMALLEST_BIN = 20


def residuals(
    fit: Any,
    against: Sequence[str] | None = None,
    by: str | None = None,
    *,
    bins: int = 20,
    site: str | None = None,
    draws: int = 2000,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return binned residuals: in bins of an exposure, the observed prevalence less that of replicated data.

    Residuals of single persons with an outcome of 0 or 1 show nothing to the eye, with or without randomisation; means of
    bins with as many persons in each do. For each posterior draw an outcome is drawn for every person; the interval of a
    bin's residual holds 0 unless the observed prevalence lies outside 95 % of the replicated ones. A trend or a bend over
    the bins is a form that the model misses.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    against : sequence of str, optional
        Numeric columns, in raw units or Z; by default the raw columns of the exposures (and of age).
    by : str, optional
        A column: bins within each of its groups too (``sex``, ``site``).
    bins : int
        Bins by quantiles; fewer where a bin would hold fewer than 20 persons.
    site : {"known", "typical", "new"}, optional
        By default the persons' own sites.
    draws : int
        Posterior draws that are used, one replicate each.
    cohort : Cohort or pandas.DataFrame, optional
        Other persons with the outcome, in place of the analysis set.
    allow_unconverged : bool
        Check a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        Rows ``residual`` (probability scale), one a bin: `estimate, lower, upper`, `value` (mean of the column in the bin),
        `from, to` (missing at the outer ends), `group`, `n`, `observed`, `outside`. Rows ``lack of fit``, one a column
        and group: `estimate` is the sum of squared standardised residuals, `expected` its mean in replicated data,
        `p_value` the share of replicated data where it is as large.

    Raises
    ------
    EstimandError
        Where persons, outcomes or columns are not there, or a column has too few values for bins.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Gelman, Goegebeur, Tuerlinckx & Van Mechelen 2000, Appl Stat 49, 247-268 (binned residuals of discrete data); Gelman,
    Meng & Stern 1996, Statistica Sinica 6, 733-807. The data are used twice, so that p-values crowd around 0.5.
    """
    fit.require_converged(allow_unconverged)
    if bins < 2:
        raise EstimandError("bins", f"{bins} show no form", "Take 2 or more")
    checked = predictive(fit, cohort, site=site, draws=draws, check="residuals")
    persons = checked.persons
    columns = list(against) if against is not None else _default_columns(fit)
    if not columns:
        raise EstimandError("residuals", "the model has no numeric predictor", "Name a column: against=[...]")
    groups = {"all": np.ones(len(persons), dtype=bool)}
    if by is not None:
        codes = groups_of(persons, by)
        groups |= {str(level): (codes == level).to_numpy(dtype=bool) for level in codes.cat.categories}
    described: list[dict[str, Any]] = []
    members: list[np.ndarray] = []
    for name in columns:
        value = _numbers(persons, name)
        for group, inside in groups.items():
            parts = quantile_bins(value, inside, bins)
            for i, rows in enumerate(parts):
                ends = (i == 0, i == len(parts) - 1)
                described.append(_described(name, group, by, value[rows], ends))
                members.append(np.isin(np.arange(len(persons)), rows))
    member = np.column_stack(members)
    size = member.sum(axis=0)
    replicated = replicates(checked, member.astype(np.float32), fit.seed) / size
    observed = checked.y @ member / size
    summary = summarise_draws(observed - replicated, checked, null=0.0)
    frame = pd.DataFrame(described).assign(**summary, observed=observed)
    frame["outside"] = (frame["lower"] > 0) | (frame["upper"] < 0)
    frame = pd.concat([frame, *_lack_of_fit(frame, observed, replicated)], ignore_index=True)
    labels = {name: _label(fit, name) for name in columns}
    return tidy(
        {
            **{name: frame[name] for name in frame.columns},
            "label": frame["term"].map({name: label for name, (label, _) in labels.items()}),
            "unit": frame["term"].map({name: unit for name, (_, unit) in labels.items()}),
            "site": site_label(fit, checked.site),
            "role": "check",
        },
        fit,
        interval=0.95,
        decimals=3,
        attrs={
            "by": by, "bins": bins, "draws_used": len(checked.draws), "site_meaning": MEANING[checked.site],
            "external": cohort is not None,
        },
    )  # fmt: skip


def quantile_bins(value: np.ndarray, inside: np.ndarray, bins: int) -> list[np.ndarray]:
    """Return rows of persons in bins of as many persons each.

    Parameters
    ----------
    value : numpy.ndarray, shape (n,)
        What they are ordered by; missing values are left out.
    inside : numpy.ndarray of bool, shape (n,)
        Who is looked at.
    bins : int
        Bins; fewer where they would hold fewer than `SMALLEST_BIN` persons. Equal values stay together.

    Returns
    -------
    list of numpy.ndarray of int
        Ascending in value; one or none for fewer than two bins' persons.
    """
    rows = np.flatnonzero(inside & np.isfinite(value))
    count = min(bins, len(rows) // SMALLEST_BIN)
    if count < 2:
        return [rows] if len(rows) >= SMALLEST_BIN else []
    edges = np.unique(np.quantile(value[rows], np.linspace(0, 1, count + 1)[1:-1], method="inverted_cdf"))
    number = np.searchsorted(edges, value[rows], side="left")
    found = [rows[number == k] for k in range(len(edges) + 1)]
    return [part for part in found if len(part)]


def _default_columns(fit: Any) -> list[str]:
    variables = variables_of(fit)
    chosen = [v for v in variables.values() if v.kind in {"standardised", "numeric"}]
    return [v.source for v in chosen if v.role == "exposure" or v.source == "age_years"]


def _numbers(persons: pd.DataFrame, name: str) -> np.ndarray:
    if name not in persons:
        known = ", ".join(str(c) for c in persons if pd.api.types.is_numeric_dtype(persons[c]))
        raise EstimandError(f"against={name!r}", "the persons have no such column", f"Take one of {known}")
    if not pd.api.types.is_numeric_dtype(persons[name]) or persons[name].nunique() < 5:
        raise EstimandError(
            f"against={name!r}", "it has too few values for bins", f"Take posterior_predictive(fit, by=[{name!r}])"
        )
    return persons[name].to_numpy(dtype=float)


def _described(name: str, group: str, by: str | None, value: np.ndarray, ends: tuple[bool, bool]) -> dict[str, Any]:
    # The outer bins are open: the smallest and the largest value are those of single persons.
    low = np.nan if ends[0] else float(value.min())
    high = np.nan if ends[1] else float(value.max())
    words = (
        "all"
        if all(ends)
        else f"up to {high:.4g}"
        if ends[0]
        else f"from {low:.4g}"
        if ends[1]
        else f"{low:.4g} to {high:.4g}"
    )
    who, n = "everyone" if group == "all" else f"{by} = {group}", len(value)
    return {
        "estimand": "residual", "term": name, "contrast": words.replace("-", "\N{MINUS SIGN}"), "scale": "probability",
        "population": f"{who}, in this bin (n = {n:,})", "group": group, "n": n, "value": float(value.mean()),
        "from": low, "to": high,
    }  # fmt: skip


def _lack_of_fit(frame: pd.DataFrame, observed: np.ndarray, replicated: np.ndarray) -> list[pd.DataFrame]:
    """Return a row for each column and group: the sum of squared residuals over the SDs of replicated data."""
    centre, spread = replicated.mean(axis=0), replicated.std(axis=0, ddof=1)
    out = []
    for (name, group), rows in frame.groupby(["term", "group"], sort=False):
        at = rows.index.to_numpy()[spread[rows.index] > 0]
        seen = float((((observed[at] - centre[at]) / spread[at]) ** 2).sum())
        expected = (((replicated[:, at] - centre[at]) / spread[at]) ** 2).sum(axis=1)
        row = {
            "estimand": "lack of fit", "term": name, "group": group, "contrast": f"{len(at)} bins", "scale": "chi square",
            "population": rows["population"].iloc[0].split(", in this bin")[0] + f" (n = {rows['n'].sum():,})",
            "estimate": seen, "expected": float(expected.mean()), "p_value": float(np.mean(expected >= seen)),
            "n": int(rows["n"].sum()),
        }  # fmt: skip
        out.append(pd.DataFrame([row]))
    return out


def _label(fit: Any, name: str) -> tuple[str, str]:
    from muscle_bayes.estimands.labels import label_of, unit_of

    constants = fit.recipe.constants
    return (label_of(constants[name].source), "Z") if name in constants else (label_of(name), unit_of(name))
