"""Which site a probability is meant for: known, typical, new, or integrated over sites."""

from typing import Any, Literal

import numpy as np

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.ordered import require_event
from muscle_bayes.specification.grouping import INTERCEPT

Site = Literal["known", "typical", "new", "marginal"]

#: What each choice means, as captions say it.
MEANING = {
    "known": "the site's own effect",
    "typical": "a site of effect 0 (conditional, not an average over sites)",
    "new": "a site not in the data: one draw from N(0, site SD) for each posterior draw",
    "marginal": "integrated over the distribution of site effects",
}


def expit(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) without overflow.

    Parameters
    ----------
    x : numpy.ndarray
        Log odds, any shape.

    Returns
    -------
    numpy.ndarray
        Same shape and dtype.
    """
    half = x * x.dtype.type(0.5)
    np.tanh(half, out=half)
    half *= half.dtype.type(0.5)
    half += half.dtype.type(0.5)
    return half


def check_site(fit: Any, site: str) -> None:
    """Refuse a site that this fit cannot speak about.

    Parameters
    ----------
    fit : Fit
        With `recipe.site_levels`.
    site : str
        What was asked for.

    Raises
    ------
    EstimandError
        Where the word is none of the four, or needs site effects that the model does not have, or the outcome is ordered.
    """
    require_event(fit)
    if site not in MEANING:
        raise EstimandError(f"site={site!r}", "there is no such choice", f"Take one of {', '.join(MEANING)}")
    if site != "typical" and not fit.recipe.site_levels:
        raise EstimandError(f"site={site!r}", "the model has no site term", "Take site='typical'")


def site_label(fit: Any, site: str, name: str | None = None) -> str:
    """Return what an estimand's column `site` says."""
    if not fit.recipe.site_levels:
        return "no site in the model"
    return f"known: {name}" if site == "known" and name else site


def conditional_label(fit: Any) -> str:
    """Return what the column `site` says of odds ratios, which no site's intercept enters, but its slopes do."""
    slopes = sorted({one.factor for one in fit.recipe.varying if one.column != INTERCEPT})
    if slopes:
        return f"average over {' and '.join(slopes)}"
    return "conditional on site" if fit.recipe.site_levels else "no site in the model"
