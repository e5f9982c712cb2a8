"""Optimism: by how much a model looks better on the persons it was fitted to than on others like them."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError, MuscleBayesError
from muscle_bayes.estimands.discrimination import c_statistic
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.predictive import batch_probabilities, predictive
from muscle_bayes.estimands.recalibration import recalibration
from muscle_bayes.estimands.refitting import REFIT_DRAWS, certificate, refit
from muscle_bayes.estimands.sites import MEANING, site_label

#: What is corrected, and where no model is right.
MEASURES = {"c-statistic": "probability", "calibration slope": "slope of log odds",
            "calibration intercept": "log odds", "Brier score": "Brier score"}  # fmt: skip

#: More refits than this share unusable, and there is no answer.
_MOST_FAILED = 0.1


def optimism(
    fit: Any,
    method: Literal["bootstrap", "kfold"] = "bootstrap",
    *,
    replicates: int = 100,
    folds: int = 10,
    repeats: int = 5,
    draws: int = REFIT_DRAWS,
    seed: int = 1,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return c-statistic, calibration slope and Brier score as they look, and corrected for optimism.

    "bootstrap" (Harrell): the model is refitted to persons drawn with replacement; what each refit loses from its own
    persons to all persons is the optimism, whose mean is taken off the apparent value. "kfold": each person's probability
    comes from a refit without their fold. Persons are drawn within sites, and probabilities are those of known sites: this
    speaks of other persons of the same sites; for another site see `leave_one_site_out`.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    method : {"bootstrap", "kfold"}
        How.
    replicates : int
        Bootstrap samples.
    folds, repeats : int
        Of cross-validation: folds, and how often they are drawn anew.
    draws, seed : int
        Of the refits, by the Laplace engine (`ml` for a fit by maximum likelihood).
    cohort : Cohort or pandas.DataFrame, optional
        The analysis set, where the fit was loaded without it.
    allow_unconverged : bool
        Go on with fits that failed their gate.

    Returns
    -------
    pandas.DataFrame
        For each measure the rows `version` ``apparent``, ``optimism`` and ``corrected``. `mcse` is the Monte Carlo error
        of the resampling. The interval of a corrected c-statistic and Brier score has the spread of the refits' performance
        on their own samples around its mean, moved to the corrected value; Noma et al. (2021) move its percentiles as they
        are, whose level is optimistic twice over. Calibration slope and intercept of the persons of the fit are about 1
        and 0 by construction, so they have none.

    Raises
    ------
    EstimandError
        Where persons or outcomes are not there, numbers are too small, or more than a tenth of the refits fail.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Harrell, Lee & Mark 1996, Stat Med 15, 361-387 (R: `rms::validate`); Noma et al. 2021, Stat Med 40, 5691-5701. As in
    rms the calibration intercept is that which goes with the slope.
    """
    fit.require_converged(allow_unconverged)
    if method not in ("bootstrap", "kfold"):
        raise EstimandError(f"method={method!r}", "there is no such method", "Take bootstrap or kfold")
    if replicates < 10 or folds < 2 or repeats < 2:
        raise EstimandError(
            "optimism",
            "this is too little to state its Monte Carlo error",
            "Take 10 replicates, 2 folds, 2 repeats or more",
        )
    checked = predictive(fit, cohort, draws=draws, check="optimism", at_maximum=fit.method == "ml")
    y, persons = checked.y, checked.persons
    if y.min() == y.max():
        raise EstimandError("optimism", "every outcome is the same", "Give persons with and without the event")
    strata = persons[fit.recipe.site].astype("str").to_numpy() if fit.recipe.site else np.zeros(len(y), dtype=int)
    refits = _Refits(fit, persons, draws, seed, allow_unconverged)
    batches = batch_probabilities(checked)
    apparent = performance(_log_odds(batches.mean(axis=0)), y)
    apparent_mcse = np.full(len(MEASURES), np.nan)
    if len(batches) > 1:
        apparent_mcse = np.std([performance(_log_odds(p), y) for p in batches], axis=0, ddof=1) / np.sqrt(len(batches))
    limits, limit_errors = np.full((2, len(MEASURES)), np.nan), np.full((2, len(MEASURES)), np.nan)
    if method == "bootstrap":
        training, test = bootstrap_performance(refits, bootstrap_rows(strata, replicates, seed), y)
        each = training - test
        found, mcse = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each))
        free = [i for i, name in enumerate(MEASURES) if not name.startswith("calibration")]
        # Refits look better on their own samples twice over, so that their level is no guide: only their spread is taken.
        around = np.quantile(training, [0.025, 0.975], axis=0) - training.mean(axis=0)
        limits[:, free] = (apparent - found + around)[:, free]
        limit_errors[:, free] = _limit_errors(training)[:, free]
        corrected, runs = apparent - found, len(each)
    else:
        each = np.array([cross_validated(refits, rows, y) for rows in fold_numbers(strata, y, folds, repeats, seed)])
        corrected, mcse, runs = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each)), len(each)
        found = apparent - corrected
    rows = []
    for i, (name, scale) in enumerate(MEASURES.items()):
        about = {"estimand": name, "scale": scale}
        rows.append({**about, "version": "apparent", "estimate": apparent[i], "mcse": apparent_mcse[i]})
        rows.append({**about, "version": "optimism", "estimate": found[i], "mcse": mcse[i]})
        interval = dict(
            zip(("lower", "upper", "lower_mcse", "upper_mcse"), (*limits[:, i], *limit_errors[:, i]), strict=True)
        )
        rows.append({**about, "version": "corrected", "estimate": corrected[i], "mcse": mcse[i], **interval})
    frame = pd.DataFrame(rows)
    return tidy(
        {
            **{name: frame[name] for name in frame.columns},
            "contrast": frame["version"],
            "term": "probability",
            "site": site_label(fit, checked.site),
            "population": f"other persons of the same sites (n = {len(y):,})"
            if fit.recipe.site
            else f"other persons like these (n = {len(y):,})",
            "role": "check",
        },
        fit,
        interval=0.95,
        decimals=4,
        attrs={
            "resampling": method, "runs": runs, "refits": refits.done, "refits_failed": refits.failed, "refit_draws": draws,
            "refit_seed": seed, "folds": folds if method == "kfold" else None, "site_meaning": MEANING[checked.site],
        },
    )  # fmt: skip


def performance(log_odds: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the `MEASURES` of given log odds (n,) and outcomes (n,), shape (4,)."""
    weak = recalibration(log_odds, y)
    p = 1 / (1 + np.exp(-log_odds))
    return np.array([c_statistic(log_odds, y), weak.slope, weak.intercept_at_slope, np.mean((p - y) ** 2)])


def bootstrap_performance(
    refits: Callable[[np.ndarray], np.ndarray | None], samples: Iterator[np.ndarray], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the measures of refits to bootstrap samples, on these and on everyone.

    Parameters
    ----------
    refits : callable
        Rows (m,) to log odds (n,) of everyone by a fit to these rows, or None where it cannot be used.
    samples : iterator of numpy.ndarray, shape (n,)
        Rows of each sample.
    y : numpy.ndarray, shape (n,)
        Outcomes.

    Returns
    -------
    training, test : numpy.ndarray, shape (B, 4)
        Measures on the sample itself, and on everyone.
    """
    training, test = [], []
    for rows in samples:
        log_odds = refits(rows)
        if log_odds is not None:
            training.append(performance(log_odds[rows], y[rows]))
            test.append(performance(log_odds, y))
    return np.array(training), np.array(test)


def cross_validated(refits: Callable[[np.ndarray], np.ndarray | None], fold: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the measures of log odds that each come from a refit without the person's fold (n,), shape (4,)."""
    log_odds = np.full(len(y), np.nan)
    for k in range(fold.max() + 1):
        found = refits(np.flatnonzero(fold != k))
        if found is not None:
            log_odds[fold == k] = found[fold == k]
    there = np.isfinite(log_odds)
    return performance(log_odds[there], y[there])


def bootstrap_rows(strata: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """Yield rows drawn with replacement within strata (n,), in the order of the strata."""
    rng = np.random.default_rng([seed, 76])
    groups = [np.flatnonzero(strata == level) for level in np.unique(strata)]
    for _ in range(replicates):
        yield np.concatenate([rng.choice(rows, len(rows)) for rows in groups])


def fold_numbers(strata: np.ndarray, y: np.ndarray, folds: int, repeats: int, seed: int) -> Iterator[np.ndarray]:
    """Yield each person's fold (n,): as even as can be within strata and outcomes."""
    rng = np.random.default_rng([seed, 77])
    for _ in range(repeats):
        fold, start = np.empty(len(y), dtype=int), 0
        for level in np.unique(strata):
            for outcome in (0, 1):
                rows = rng.permutation(np.flatnonzero((strata == level) & (y == outcome)))
                # Each goes on where the one before ended, so that small strata do not all fill the first folds.
                fold[rows] = (start + np.arange(len(rows))) % folds
                start += len(rows)
        yield fold


def _limit_errors(values: np.ndarray) -> np.ndarray:
    """Return the Monte Carlo errors of the 2.5 and 97.5 % quantiles of independent values (B, k), shape (2, k)."""
    count = len(values)
    out = []
    for probability in (0.025, 0.975):
        error = np.sqrt(probability * (1 - probability) / count)
        ends = np.quantile(values, np.clip([probability - error, probability + error], 0, 1), axis=0)
        out.append((ends[1] - ends[0]) / 2)
    return np.array(out)


class _Refits:
    """Fits the model to some of the persons, and says what that fit gives everyone."""

    def __init__(self, fit: Any, persons: pd.DataFrame, draws: int, seed: int, allow_unconverged: bool) -> None:
        self.fit, self.persons, self.draws, self.seed = fit, persons, draws, seed
        self.allow_unconverged, self.done, self.failed = allow_unconverged, 0, 0

    def __call__(self, rows: np.ndarray) -> np.ndarray | None:
        ml = self.fit.method == "ml"
        self.done += 1
        try:
            one = refit(
                self.fit.model, self.persons.iloc[rows], self.fit.recipe.constants, draws=self.draws,
                seed=self.seed + self.done, simulated=self.fit.simulated, method="ml" if ml else "laplace",
            )  # fmt: skip
            why = "" if self.allow_unconverged else certificate(one)
            if not why:
                given = predictive(one, self.persons, draws=None, check="optimism", at_maximum=ml)
                return _log_odds(given.mean_probabilities())
        except MuscleBayesError as error:
            why = error.problem
        self.failed += 1
        if self.failed > max(1, _MOST_FAILED * 10) and self.failed > _MOST_FAILED * self.done:
            raise EstimandError(
                "optimism",
                f"{self.failed} of {self.done} refits cannot be used; the last: {why}",
                "Look at the fit's diagnostics",
            )
        return None


def _log_odds(probability: np.ndarray) -> np.ndarray:
    return np.log(probability) - np.log1p(-probability)
