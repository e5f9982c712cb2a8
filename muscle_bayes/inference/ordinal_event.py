"""An ordered outcome cut at one category: the fit of the event "this category or higher" that lies in the ordinal fit."""

from dataclasses import replace

import numpy as np
import xarray as xr

from muscle_bayes.errors import EstimandError
from muscle_bayes.inference.draws import Draws
from muscle_bayes.inference.fit import Fit


def event_fit(fit: Fit, category: str | int) -> Fit:
    """Return a fit of an ordered outcome as one of the event "this category or higher".

    P(Y >= k) = F(eta - c), c the threshold below category k: a logistic model with intercept -c, whose draws are those of the
    ordinal fit. Nothing is fitted again.

    Parameters
    ----------
    fit : Fit
        Of family ``cumulative``.
    category : str or int
        One of its categories but the lowest.

    Returns
    -------
    Fit
        Of family ``bernoulli``, with the same draws of coefficients and group effects.

    Raises
    ------
    EstimandError
        Where the fit is of an event already, or the category is none, or the lowest, which everyone reaches.
    """
    labels = list(fit.categories)
    if not labels:
        raise EstimandError(
            f"fit of {fit.model.name!r}", "its outcome is an event, which cannot be cut", "Take the fit as it is"
        )
    if str(category) not in labels[1:]:
        raise EstimandError(
            f"category {str(category)!r}",
            "everyone is at least there" if str(category) == labels[0] else "the outcome has no such category",
            f"Take one of {', '.join(labels[1:])}",
        )
    at = labels.index(str(category))
    response = fit.model.parsed.response
    number = _is_number(labels)
    cohort = fit.cohort
    if number:
        event = f"{response} >= {category}"
    else:
        # The order of texts is the model's, not the column's, so that the event has a column of its own.
        own = f"{response}_at_least_{at}"
        event = f"{own} == 1"
        if cohort is not None:
            cohort = cohort.assign(**{own: cohort[response].astype("str").isin(labels[at:]).astype(int)})
    outcome = f"{fit.model.outcome_label}: {category} or higher"
    model = fit.model.model_copy(update={"family": "bernoulli", "event": event, "outcome": outcome, "categories": []})
    maximum = fit.maximum
    if maximum is not None and maximum.thresholds is not None and maximum.joint_covariance is not None:
        t, p = len(maximum.thresholds), len(maximum.coefficients) - 1
        pick = np.zeros((1 + p, t + p))
        pick[0, at - 1] = -1.0
        pick[1:, t:] = np.eye(p)
        joint = np.concatenate([maximum.thresholds, maximum.coefficients[1:]])
        maximum = replace(
            maximum,
            coefficients=pick @ joint,
            covariance=pick @ maximum.joint_covariance @ pick.T,
            thresholds=None,
            joint_covariance=None,
        )
    posterior = None
    if fit.posterior is not None:
        groups = {name: fit.posterior[name].to_dataset() for name in fit.posterior.children}
        draws = Draws.from_dataset(groups["posterior"], fit.recipe)
        assert draws.thresholds is not None
        cut = replace(draws, intercept=-draws.thresholds[..., at - 1], thresholds=None)
        posterior = xr.DataTree.from_dict({**groups, "posterior": cut.to_dataset(fit.recipe)})
    return replace(
        fit,
        model=model,
        posterior=posterior,
        maximum=maximum,
        events=sum(list(fit.categories.values())[at:]),
        cohort=cohort,
        categories={},
    )


def _is_number(labels: list[str]) -> bool:
    try:
        values = [float(label) for label in labels]
    except ValueError:
        return False
    return values == sorted(values)
