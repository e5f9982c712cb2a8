"""External calibration by leaving one site out: what a fit to the other sites says of the persons of a new one."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError, MuscleBayesError
from muscle_bayes.estimands.calibration import curve_rows, forecast_histogram
from muscle_bayes.estimands.discrimination import c_statistic, c_statistic_se
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.posterior_predictive import posterior_predictive
from muscle_bayes.estimands.predictive import batch_probabilities, predictive
from muscle_bayes.estimands.recalibration import recalibration
from muscle_bayes.estimands.refitting import REFIT_DRAWS, certificate, refit
from muscle_bayes.estimands.sites import MEANING
from muscle_bayes.estimands.standardisation import analysis_set

_Z_975 = 1.959963984540054


def leave_one_site_out(
    fit: Any,
    *,
    draws: int = REFIT_DRAWS,
    seed: int = 1,
    replicates: int = 400,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Refit without each site in turn, and hold what the refit says of a new site against the site that was left out.

    The probability of a person of the left-out site is the posterior mean for a new site: the site's effect is drawn from
    N(0, site SD), since it is not known. So calibration in the large differs between sites by as much as their effects
    do; whether it does so by more than the site SD allows is what the replicated prevalence says. Z-scores keep the
    constants of the fit to everyone.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons and a site term.
    draws, seed : int
        Of the refits, by the Laplace engine (`ml` for a fit by maximum likelihood).
    replicates : int
        Outcomes that are drawn for the band of each calibration curve.
    cohort : Cohort or pandas.DataFrame, optional
        The analysis set, where the fit was loaded without it.
    allow_unconverged : bool
        Go on with fits that failed their gate.

    Returns
    -------
    pandas.DataFrame
        For each left-out site (`group`) and for all together ("all", each person by the refit that did not see their
        site): ``calibration intercept`` (slope 1; above 0 the probabilities are too low), ``calibration slope`` (below 1
        they are too extreme) and ``c-statistic``, with 95 % Wald intervals over the site's persons; ``replicated
        prevalence`` of a new site with its predictive interval, `observed` and `p_value`; the rows of `calibration`
        (curve with consistency band, Brier score and its parts). `note` says why a site has none.

    Raises
    ------
    EstimandError
        Where the model has no site term, fewer than three sites, or no persons.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Internal-external cross-validation: Royston, Parmar & Sylvester 2004, Stat Med 23, 907-926; Steyerberg & Harrell 2016,
    J Clin Epidemiol 69, 245-247. Intervals of "all" ignore that persons of one site share its effect.
    """
    fit.require_converged(allow_unconverged)
    site = fit.recipe.site
    if site is None or len(fit.recipe.site_levels) < 3:
        raise EstimandError(
            "leave_one_site_out",
            "it needs a model with a site term and three sites or more",
            "Look at calibration(fit)",
        )
    persons = analysis_set(fit, cohort)
    at = persons[site].astype("str")
    rng = np.random.default_rng([seed, 75])
    frames, histograms, pooled = [], {}, []
    for number, level in enumerate(fit.recipe.site_levels):
        inside = (at == level).to_numpy()
        said: dict[str, Any] = {
            "group": level,
            "population": f"{level}, left out (n = {inside.sum():,})",
            "n": inside.sum(),
        }
        try:
            # Another seed for each refit, so that Monte Carlo errors of the sites are not the same error.
            one = refit(
                fit.model, persons[~inside], fit.recipe.constants, draws=draws, seed=seed + number,
                simulated=fit.simulated, method="ml" if fit.method == "ml" else "laplace",
            )  # fmt: skip
            why = "" if allow_unconverged else certificate(one)
            given = None if why else _forecast(one, persons[inside])
        except MuscleBayesError as error:
            given, why = None, f"not fitted: {error.problem}"
        if given is None:
            frames.append(pd.DataFrame([{"estimand": name, **said, "note": why} for name in _SUMMARIES]))
            continue
        y, batches = given
        forecast = batches.mean(axis=0)
        pooled.append((forecast, y, batches))
        histograms[level] = forecast_histogram(forecast)
        replicated = posterior_predictive(
            one, [], site="new", draws=draws, cohort=persons[inside], allow_unconverged=True
        )
        kept = [
            "estimand",
            "estimate",
            "lower",
            "upper",
            "mcse",
            "lower_mcse",
            "upper_mcse",
            "scale",
            "observed",
            "p_value",
        ]
        parts = [_summaries(forecast, y, batches), replicated[kept], curve_rows(forecast, y, replicates, rng)]
        frames.append(pd.concat(parts, ignore_index=True).assign(**said, note=""))
    if not pooled:
        raise EstimandError(
            "leave_one_site_out", f"no refit can be used; the last: {why}", "Look at the fit's diagnostics"
        )
    forecast, y = (np.concatenate([part[i] for part in pooled]) for i in (0, 1))
    batches = np.concatenate([part[2] for part in pooled], axis=1)
    histograms = {"all": forecast_histogram(forecast), **histograms}
    everyone = pd.concat(
        [_summaries(forecast, y, batches), curve_rows(forecast, y, replicates, rng)], ignore_index=True
    )
    said = {"group": "all", "population": f"each person's site left out (n = {len(y):,})", "n": len(y), "note": ""}
    frame = pd.concat([everyone.assign(**said), *frames], ignore_index=True)
    return tidy(
        {**{name: frame[name] for name in frame.columns}, "term": "probability", "site": "new", "role": "check"},
        fit,
        interval=0.95,
        decimals=3,
        attrs={
            "by": site, "forecasts": histograms, "replicates": replicates, "refit_draws": draws, "refit_seed": seed,
            "site_meaning": MEANING["new"], "external": True, "refits": len(pooled),
        },
    )  # fmt: skip


_SUMMARIES = ("calibration intercept", "calibration slope", "c-statistic")


def _forecast(refitted: Any, persons: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes (n,) and probabilities (batches, n), each batch the mean over a tenth of the draws."""
    checked = predictive(refitted, persons, site="new", draws=None, check="leave_one_site_out")
    return checked.y, batch_probabilities(checked)


def _summaries(forecast: np.ndarray, y: np.ndarray, batches: np.ndarray) -> pd.DataFrame:
    """Return intercept, slope and c-statistic with Wald intervals; Monte Carlo errors from the batches of draws."""

    def of(p: np.ndarray) -> list[float]:
        log_odds = np.log(p / (1 - p))
        found = recalibration(log_odds, y)
        c = c_statistic(log_odds, y) if y.min() < y.max() else np.nan
        return [found.intercept, found.slope, c]

    log_odds = np.log(forecast / (1 - forecast))
    found = recalibration(log_odds, y)
    estimate = np.array(of(forecast))
    error = np.array([found.intercept_se, found.slope_se, c_statistic_se(log_odds, y)])
    mcse = np.std([of(p) for p in batches], axis=0, ddof=1) / np.sqrt(len(batches))
    limits = {"lower": estimate - _Z_975 * error, "upper": estimate + _Z_975 * error}
    # A limit moves with its estimate.
    errors = {"mcse": mcse, "lower_mcse": mcse, "upper_mcse": mcse}
    scales = ["log odds", "slope of log odds", "probability"]
    contrasts = ["slope held at 1", "free intercept", "a person with the event against one without"]
    return pd.DataFrame(
        {"estimand": _SUMMARIES, "contrast": contrasts, "estimate": estimate, "scale": scales, **limits, **errors}
    )
