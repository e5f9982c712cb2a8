"""Discrimination: the c-statistic and the Brier score, with the posterior's and the sample's uncertainty."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.predictive import CHECK_DRAWS, in_threads, predictive
from muscle_bayes.estimands.sites import MEANING, expit, site_label

_DRAWS = 16


def discrimination(
    fit: Any,
    *,
    site: str | None = None,
    draws: int = CHECK_DRAWS,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return the c-statistic and the Brier score of a fit's probabilities.

    Both are computed within each posterior draw. For "these persons" only the coefficients are uncertain; for "persons
    like these" each draw also weighs the persons anew by the Bayesian bootstrap (Rubin 1981, Ann Stat 9, 130-134), which
    is what other persons of the same population would show. On the persons whom the model was fitted to both are
    apparent values: optimistic, by about (coefficients / events) for thousands of persons, by more for few.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    site : {"known", "typical", "new"}, optional
        By default the persons' own sites.
    draws : int
        Posterior draws that are used.
    cohort : Cohort or pandas.DataFrame, optional
        Other persons with the outcome (external validation), in place of the analysis set.
    allow_unconverged : bool
        Check a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        ``c-statistic``, ``Brier score``, ``scaled Brier score`` (1 less the score over that of the prevalence), each for
        these persons and for persons like these.

    Raises
    ------
    EstimandError
        Where persons or outcomes are not there, or all outcomes are equal.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    fit.require_converged(allow_unconverged)
    checked = predictive(fit, cohort, site=site, draws=draws, check="discrimination")
    y = checked.y
    if y.min() == y.max():
        raise EstimandError("discrimination", "every outcome is the same", "Give persons with and without the event")
    k, n = len(checked.draws), len(y)
    values = np.empty((k, 6))

    def block(rows: slice) -> None:
        columns = checked.columns.T
        for s in range(rows.start, rows.stop):
            eta = checked.draws[s] @ columns
            squared = (expit(eta.copy()) - y) ** 2
            weights = np.random.default_rng([fit.seed, 74, s]).standard_exponential(n)
            weights /= weights.sum()
            prevalence = weights @ y
            score, weighted = squared.mean(), weights @ squared
            order = np.argsort(eta)
            values[s] = (
                c_statistic(eta, y, order=order), score, 1 - score / (y.mean() * (1 - y.mean())),
                c_statistic(eta, y, weights, order=order), weighted, 1 - weighted / (prevalence * (1 - prevalence)),
            )  # fmt: skip

    in_threads(block, [slice(s, min(s + _DRAWS, k)) for s in range(0, k, _DRAWS)])
    who = "analysis set" if cohort is None else "persons given"
    summary = summarise_draws(values, checked, null=0.0)
    summary["prob_gt_null"] = np.where([True, False, True] * 2, np.mean(values > [0.5, 0, 0] * 2, axis=0), np.nan)
    if fit.method == "ml":
        summary["prob_gt_null"] = np.full(6, np.nan)
    names, scales = ["c-statistic", "Brier score", "scaled Brier score"], ["probability", "Brier score", "share"]
    return tidy(
        {
            "estimand": names * 2,
            "term": "probability",
            "contrast": ["a person with the event against one without", "", "against the prevalence"] * 2,
            **summary,
            "scale": scales * 2,
            "site": site_label(fit, checked.site),
            "population": [f"{who} (n = {n:,}): these persons"] * 3 + ["persons like these (Bayesian bootstrap)"] * 3,
            "role": "check",
        },
        fit,
        interval=0.95,
        decimals=3,
        attrs={
            "draws_used": k, "site_meaning": MEANING[checked.site], "apparent": cohort is None, "n_checked": n,
        },
    )  # fmt: skip


def c_statistic(
    score: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, *, order: np.ndarray | None = None
) -> float:
    """Return the probability that a person with the event has the higher score than one without, ties counted half.

    Parameters
    ----------
    score : numpy.ndarray, shape (n,)
        Anything that rises with the probability.
    y : numpy.ndarray, shape (n,)
        1 with the event, 0 without.
    weights : numpy.ndarray, shape (n,), optional
        Of the persons; by default equal.
    order : numpy.ndarray, shape (n,), optional
        `argsort(score)`, where it is known.

    Returns
    -------
    float
        The Mann-Whitney statistic over the number of pairs, by one sort.
    """
    order = np.argsort(score) if order is None else order
    ordered = score[order]
    weight = np.ones(len(y)) if weights is None else weights[order]
    with_event = weight * y[order]
    without = weight - with_event
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    if len(starts) < len(ordered):
        with_event, without = np.add.reduceat(with_event, starts), np.add.reduceat(without, starts)
    below = np.cumsum(without) - without / 2
    return float(with_event @ below / (with_event.sum() * without.sum()))


def c_statistic_se(score: np.ndarray, y: np.ndarray) -> float:
    """Return the standard error of a c-statistic over persons.

    Parameters
    ----------
    score, y : numpy.ndarray, shape (n,)
        Anything that rises with the probability, and outcomes.

    Returns
    -------
    float
        DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837-845, by ranks (Sun & Xu 2014); missing below two persons
        with or without the event.
    """
    with_event, without = score[y == 1], score[y == 0]
    if min(len(with_event), len(without)) < 2:
        return float("nan")

    def share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
        ordered = np.sort(others)
        ties = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        return ties / (2 * len(others))

    spread = [share_below(a, b).var(ddof=1) / len(a) for a, b in ((with_event, without), (without, with_event))]
    return float(np.sqrt(sum(spread)))
