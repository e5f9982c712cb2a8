"""Persons with their outcomes, and the probabilities that a fit gives them, block by block and never all at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.linear_predictor import linear_predictor
from muscle_bayes.estimands.sites import check_site
from muscle_bayes.estimands.standardisation import analysis_set

#: Draws that checks of the model use by default: their Monte Carlo error is a thirtieth of a posterior SD.
CHECK_DRAWS = 1000

_PERSONS = 1024


@dataclass(frozen=True)
class Predictive:
    """Observed outcomes of persons and draws of what a fit says of them.

    Attributes
    ----------
    persons : pandas.DataFrame, n rows
        With the model's Z-scores.
    y : numpy.ndarray, shape (n,)
        1 where the event happened, else 0.
    columns : numpy.ndarray, shape (n, q)
        1, the design columns, and a column for each site where sites are known.
    draws : numpy.ndarray, shape (k, q)
        Coefficients of these columns.
    method : str
        The fit's engine.
    ess : float
        Effective size of the draws that are used.
    site : str
        Which site a probability is meant for.
    """

    persons: pd.DataFrame
    y: np.ndarray
    columns: np.ndarray
    draws: np.ndarray
    method: str
    ess: float
    site: str

    def mcse(self, values: np.ndarray, kind: Literal["mean", "median"] = "median") -> np.ndarray:
        """Return Monte Carlo errors of summaries of the draws that are used; `Fit.mcse` speaks of all draws."""
        factor = np.sqrt(np.pi / 2) if kind == "median" else 1.0
        return factor * values.std(axis=0, ddof=1) / np.sqrt(self.ess)

    def log_odds(self, rows: slice, dtype: Any = np.float32) -> np.ndarray:
        """Return the log odds of a block of persons, shape (k, m)."""
        return self.draws.astype(dtype) @ self.columns[rows].astype(dtype).T

    def blocks(self) -> Iterator[slice]:
        """Return slices of the persons whose log odds fit into the processor's cache."""
        for start in range(0, len(self.y), _PERSONS):
            yield slice(start, min(start + _PERSONS, len(self.y)))

    def mean_probabilities(self) -> np.ndarray:
        """Return the posterior mean of each person's probability, shape (n,)."""
        out = np.empty(len(self.y))

        def block(rows: slice) -> None:
            eta = self.log_odds(rows)
            out[rows] = 0.5 + 0.5 * np.tanh(0.5 * eta).mean(axis=0, dtype=np.float64)

        in_threads(block, list(self.blocks()))
        return out


def batch_probabilities(checked: Predictive, batches: int = 10) -> np.ndarray:
    """Return mean probabilities by parts of the draws, from whose spread Monte Carlo errors are read.

    Parameters
    ----------
    checked : Predictive
        Persons and draws.
    batches : int
        Parts; each takes every so-manieth draw.

    Returns
    -------
    numpy.ndarray, shape (batches, n)
        Their mean over the first axis is the posterior mean.
    """
    parts = [replace(checked, draws=checked.draws[b::batches]) for b in range(min(batches, len(checked.draws)))]
    return np.array([part.mean_probabilities() for part in parts])


def predictive(
    fit: Any,
    cohort: Any = None,
    *,
    site: str | None = None,
    draws: int | None = CHECK_DRAWS,
    check: str,
    at_maximum: bool = False,
) -> Predictive:
    """Collect persons, outcomes and draws for a check of a model.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    cohort : Cohort or pandas.DataFrame, optional
        Other persons (external validation), with the outcome; those who are not complete are left out.
    site : {"known", "typical", "new"}, optional
        By default the persons' own sites where the model has sites.
    draws : int or None
        Evenly spaced draws that are used; None for all.
    check : str
        What an error names.
    at_maximum : bool
        For maximum likelihood: the maximum as the only draw, as other software predicts.

    Returns
    -------
    Predictive
        Nothing of size n x draws.

    Raises
    ------
    EstimandError
        Where persons or outcomes are not there, or the site is none of the three.
    """
    site = site or ("known" if fit.recipe.site_levels else "typical")
    check_site(fit, site)
    if site == "marginal":
        raise EstimandError(
            "site='marginal'", f"{check} needs a probability of each draw", "Take known, typical or new"
        )
    event = fit.model.parsed_event
    if cohort is not None:
        table = getattr(cohort, "table", cohort)
        if event.column not in table:
            raise EstimandError(check, f"the persons have no column {event.column!r}", "Give persons with the outcome")
        cohort = table.dropna(subset=[event.column])
    persons = analysis_set(fit, cohort)
    every = fit.maximum.coefficients[None, :] if at_maximum else fit.coefficients()
    kept = kept_draws(len(every), draws)
    eta = linear_predictor(
        fit,
        fit.recipe.matrix(persons),
        site=site,
        members=fit.recipe.group_index(persons) if site == "known" else None,
        coefficients=every if at_maximum else None,
        kept=None if at_maximum else kept,
    )
    return Predictive(
        persons,
        event.happened(persons[event.column]),
        eta.columns,
        eta.draws,
        fit.method,
        min(float(len(kept)), effective_draws(fit)),
        site,
    )


def kept_draws(total: int, draws: int | None) -> np.ndarray:
    """Return which draws a check uses, evenly spaced, shape (k,); None for all."""
    if draws is None or draws >= total:
        return np.arange(total)
    return np.unique(np.linspace(0, total - 1, draws).round().astype(int))


def effective_draws(fit: Any) -> float:
    """Return the effective number of a fit's draws: of its weights, or of its least effective parameter."""
    total = float(len(fit.coefficients()))
    weights = getattr(fit, "weights_ess", None)
    if weights is not None:
        return min(float(weights), total)
    parameters = getattr(getattr(fit, "diagnostics", None), "parameters", None)
    if parameters is not None and "ess_bulk" in parameters:
        return min(float(np.nanmin(parameters["ess_bulk"])), total)
    return total


def in_threads(work: Callable[[slice], None], blocks: list[slice]) -> None:
    """Do independent blocks of work on all cores; NumPy computes outside the interpreter's lock."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(cpu_count() or 1, 8)) as pool:
        list(pool.map(work, blocks))


def groups_of(persons: pd.DataFrame, column: str) -> pd.Series:
    """Return each person's group: a category, an age band, or a tenth of a numeric column.

    Parameters
    ----------
    persons : pandas.DataFrame, n rows
        With the column; ``age_band`` is made of `age_years`.
    column : str
        Its name.

    Returns
    -------
    pandas.Series
        Categorical, in the order in which the groups are shown.

    Raises
    ------
    EstimandError
        Where there is no such column.
    """
    from muscle_bayes.inference.support import age_band

    if column == "age_band" and column not in persons and "age_years" in persons:
        return age_band(persons["age_years"]).cat.remove_unused_categories()
    if column not in persons:
        known = ", ".join(map(str, persons.columns))
        raise EstimandError(f"by={column!r}", "the persons have no such column", f"Take one of {known}, age_band")
    values = persons[column]
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.remove_unused_categories()
    numeric = pd.api.types.is_numeric_dtype(values)
    if numeric and values.nunique() > 10:
        tenths = pd.qcut(values, 10, duplicates="drop")
        words = [f"{i.left:.3g} to {i.right:.3g}".replace("-", "\N{MINUS SIGN}") for i in tenths.cat.categories]
        return tenths.cat.rename_categories(words) if len(set(words)) == len(words) else tenths
    if numeric and set(pd.unique(values.dropna().astype(float))) <= {0.0, 1.0}:
        return pd.Series(pd.Categorical(values.map({0: "no", 1: "yes"}), ["no", "yes"]), index=values.index)
    return pd.Series(pd.Categorical(values.astype("str")), index=values.index)
