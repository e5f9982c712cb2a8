"""How much an estimand leans on the priors and on the data: power scaling by importance weights, without refits.

Prior or likelihood is raised to a power near 1, the posterior's draws are reweighted accordingly, and the change of each estimand's
distribution is measured by the cumulative Jensen-Shannon distance (Kallioinen, Paananen, Bürkner & Vehtari 2024, Stat Comput
34, 57; as in R's priorsense and ArviZ's `psense`). A normal prior to the power a is that prior with its SD divided by sqrt(a).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.followed import ESTIMANDS, Followed, followed, summary_rows
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.predictive import in_threads, predictive

#: Powers between which the sensitivity is a finite difference, and those whose estimates are shown.
NEAR = (0.99, 1.01)
SHOWN = (0.5, 2.0)

#: From here a sensitivity is called noteworthy; in the paper and in ArviZ alike.
THRESHOLD = 0.05


def power_scaling(
    fit: Any,
    estimands: Sequence[str] = tuple(ESTIMANDS),
    per: float = 2.0,
    *,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return how strongly odds ratios, risk differences and RERI depend on the priors and on the data.

    Parameters
    ----------
    fit : Fit
        A posterior with its persons.
    estimands : sequence of {"odds ratio", "risk difference", "RERI"}
        Of the exposures; see `followed`.
    per : float
        Z-scores that a contrast spans.
    cohort : Cohort or pandas.DataFrame, optional
        The analysis set, where the fit was loaded without it.
    allow_unconverged : bool
        Report a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        A row for each estimand and component: ``likelihood``, ``all priors``, and the priors of ``exposures``,
        ``adjustment``, ``intercept``, ``SD between groups``. Canonical columns, then `component`; `sensitivity`, the
        distance by which the posterior moves per doubling of the component, at its present strength; `diagnosis` in words;
        `halved, doubled`, the estimate where the component is raised to the power 0.5 or 2 (a normal prior's SD times or by
        1.41; for the likelihood, half or twice as many persons alike), each with `_lower`, `_upper` and `_khat`; missing
        where that k-hat is above its threshold, so that only a refit could tell.

    Raises
    ------
    EstimandError
        For maximum likelihood, an ordered outcome, or without persons.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    fit.require_converged(allow_unconverged)
    if fit.method == "ml":
        raise EstimandError("power scaling", "maximum likelihood has no prior", "Fit by laplace or nuts")
    if getattr(fit.model, "family", "bernoulli") != "bernoulli":
        raise EstimandError("power scaling", "it is for models of an event", "Vary the priors by refits")
    quantities = followed(fit, estimands, per, cohort=cohort)
    if not quantities:
        raise EstimandError("power scaling", "the model names no exposure", "Name one in its [exposures]")
    components = {"likelihood": log_likelihood(fit, cohort), **log_priors(fit)}
    base = summary_rows(fit, quantities)
    frames = [
        base.assign(component=name, **_component(quantities, log_density)) for name, log_density in components.items()
    ]
    by_name = dict(zip(components, frames, strict=True))
    words = [
        diagnosis(float(prior), float(likelihood))
        for prior, likelihood in zip(
            by_name["all priors"]["sensitivity"], by_name["likelihood"]["sensitivity"], strict=True
        )
    ]
    # All components of an estimand after each other.
    frame = pd.concat([one.assign(diagnosis=words) for one in frames]).sort_index(kind="stable").reset_index(drop=True)
    return tidy(
        {name: frame[name] for name in frame.columns},
        fit,
        interval=0.95,
        decimals=3,
        attrs={"threshold": THRESHOLD, "powers": list(NEAR), "shown_powers": list(SHOWN), "per": per},
    )


def diagnosis(prior: float, likelihood: float, threshold: float = THRESHOLD) -> str:
    """Return in words what the sensitivities to all priors and to the likelihood mean together.

    Parameters
    ----------
    prior, likelihood : float
        Sensitivities.
    threshold : float
        From where one is noteworthy.

    Returns
    -------
    str
        One sentence.
    """
    if prior >= threshold and likelihood >= threshold:
        return "prior and data both decide, and may disagree: look at the prior, and show the result under another"
    if prior >= threshold:
        return "the prior decides more than the data: state it with the result"
    if likelihood < threshold:
        return "neither prior nor data move it much: the data say little about it"
    return "the data decide; the prior hardly matters"


def log_likelihood(fit: Any, cohort: Any = None) -> np.ndarray:
    """Return the log-likelihood of all persons' outcomes in each draw, with the effects of their own groups.

    Parameters
    ----------
    fit : Fit
        With its persons.
    cohort : Cohort or pandas.DataFrame, optional
        The analysis set.

    Returns
    -------
    numpy.ndarray, shape (S,)
        Computed in blocks of persons.
    """
    checked = predictive(fit, cohort, draws=None, check="power scaling")
    blocks = list(checked.blocks())
    sums: dict[int, np.ndarray] = {}

    def block(rows: slice) -> None:
        eta = checked.log_odds(rows)
        terms = np.log1p(np.exp(-np.abs(eta))) + np.maximum(eta, 0)
        sums[rows.start] = terms.sum(axis=1, dtype=np.float64)

    in_threads(block, blocks)
    # The other part of the log-likelihood, the sum of y times the log odds, is linear in the coefficients.
    softplus = np.sum([sums[rows.start] for rows in blocks], axis=0)
    return np.asarray(checked.draws @ (checked.y @ checked.columns) - softplus)


def log_priors(fit: Any) -> dict[str, np.ndarray]:
    """Return the log prior density of each draw, for all priors together and by what they are of, up to constants.

    Group effects are no parameters with a prior of their own here: what is raised to a power is the prior of their SD
    (Kallioinen et al. 2024, section 3.3).

    Parameters
    ----------
    fit : Fit
        With its model's priors.

    Returns
    -------
    dict of str to numpy.ndarray, shape (S,)
        ``all priors`` first; components that the model has.
    """
    recipe, priors = fit.recipe, fit.model.normal_priors()
    draws = fit.coefficients()
    # The prior of the intercept is of persons at the means of all columns.
    centred = draws[:, 0] + draws[:, 1:] @ recipe.centre
    parts = {"exposures": np.zeros(len(draws)), "adjustment": np.zeros(len(draws))}
    for j, column in enumerate(recipe.columns):
        prior = priors[column.term]
        parts[f"{column.role}s" if column.role == "exposure" else column.role] += _normal(draws[:, 1 + j], prior)
    parts["intercept"] = _normal(centred, priors["intercept"])
    parts["SD between groups"] = np.zeros(len(draws))
    for sd, one in zip(fit.group_sds().T, recipe.varying, strict=True):
        parts["SD between groups"] += -0.5 * (sd / fit.model.sd_prior(one.term, one.factor).scale) ** 2
    parts = {name: values for name, values in parts.items() if np.ptp(values) > 0}
    return {"all priors": np.sum(list(parts.values()), axis=0), **parts}


def power_weights(log_density: np.ndarray, power: float) -> tuple[np.ndarray, float]:
    """Return smoothed weights of draws of a posterior of which one component is raised to a power.

    Parameters
    ----------
    log_density : numpy.ndarray, shape (S,)
        Of the component, in each draw.
    power : float
        1 leaves it.

    Returns
    -------
    weights : numpy.ndarray, shape (S,)
        Summing to 1.
    khat : float
        Of their tail.
    """
    from muscle_bayes.inference.psis import pareto_smooth

    smoothed, khat = pareto_smooth((power - 1) * log_density)
    return np.exp(smoothed), khat


def cumulative_jensen_shannon(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the distance between the distributions of draws with equal and with given weights.

    Parameters
    ----------
    values : numpy.ndarray, shape (S,)
        Draws.
    weights : numpy.ndarray, shape (S,)
        Summing to 1.

    Returns
    -------
    float
        Square root of the symmetric cumulative divergence over its upper bound, 0 to 1; the larger of that of the values and
        of their negatives, since it is not symmetric (Nguyen & Vreeken 2015; Kallioinen et al. 2024, section 2.4).
    """
    order = np.argsort(values, kind="stable")
    return max(_cjs(values[order], weights[order]), _cjs(-values[order][::-1], weights[order][::-1]))


def sensitivity_of(values: np.ndarray, log_density: np.ndarray) -> float:
    """Return the derivative of the distance with respect to the binary logarithm of the power, at 1.

    Parameters
    ----------
    values : numpy.ndarray, shape (S,)
        Draws of an estimand.
    log_density : numpy.ndarray, shape (S,)
        Of the component that is scaled.

    Returns
    -------
    float
        0 where scaling changes nothing.
    """
    slopes = [cumulative_jensen_shannon(values, power_weights(log_density, a)[0]) / abs(np.log2(a)) for a in NEAR]
    return float(np.mean(slopes))


def _component(quantities: Sequence[Followed], log_density: np.ndarray) -> dict[str, list[float]]:
    from muscle_bayes.inference.psis import khat_threshold, weighted_quantile

    out: dict[str, list[float]] = {"sensitivity": [sensitivity_of(q.draws, log_density) for q in quantities]}
    for name, power in zip(("halved", "doubled"), SHOWN, strict=True):
        weights, khat = power_weights(log_density, power)
        usable = khat <= khat_threshold(len(weights))
        with np.errstate(divide="ignore"):
            logs = np.log(weights)
        for suffix, probability in (("", 0.5), ("_lower", 0.025), ("_upper", 0.975)):
            out[f"{name}{suffix}"] = [
                weighted_quantile(q.draws, logs, probability)[0] if usable else np.nan for q in quantities
            ]
        out[f"{name}_khat"] = [khat] * len(quantities)
    return out


def _normal(values: np.ndarray, prior: Any) -> np.ndarray:
    return np.asarray(-0.5 * ((values - prior.mean) / prior.sd) ** 2)


def _cjs(ordered: np.ndarray, weights: np.ndarray) -> float:
    width = np.diff(ordered)
    p = np.arange(1, len(ordered)) / len(ordered)
    q = np.cumsum(weights)[:-1]
    p_area, q_area = p @ width, q @ width
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.log2((p + q) / 2)
        towards_p = np.where(p > 0, p * (np.log2(p) - middle), 0.0)
        towards_q = np.where(q > 0, q * (np.log2(q) - middle), 0.0)
    half = 0.5 / np.log(2) * (q_area - p_area)
    divergence = max(0.0, towards_p @ width + half) + max(0.0, towards_q @ width - half)
    return float(np.sqrt(divergence / (p_area + q_area)))
