"""Which site a probability is meant for: known, typical, new, or integrated over sites."""

from typing import Any, Literal

import numpy as np

from muscle_bayes.errors import EstimandError

Site = Literal["known", "typical", "new", "marginal"]

#: What each choice means, as captions say it.
MEANING = {
    "known": "the site's own effect",
    "typical": "a site of effect 0 (conditional, not an average over sites)",
    "new": "a site not in the data: one draw from N(0, site SD) for each posterior draw",
    "marginal": "integrated over the distribution of site effects",
}

# 20 Gauss-Hermite nodes integrate expit over a normal of SD up to 3 to better than 1e-6.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


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
        Where the word is none of the four, or needs site effects that the model does not have.
    """
    if site not in MEANING:
        raise EstimandError(f"site={site!r}", "there is no such choice", f"Take one of {', '.join(MEANING)}")
    if site != "typical" and not fit.recipe.site_levels:
        raise EstimandError(f"site={site!r}", "the model has no site term", "Take site='typical'")


def site_label(fit: Any, site: str, name: str | None = None) -> str:
    """Return what an estimand's column `site` says."""
    if not fit.recipe.site_levels:
        return "no site in the model"
    return f"known: {name}" if site == "known" and name else site


def site_offsets(fit: Any, site: str, index: np.ndarray | None = None) -> np.ndarray:
    """Return what the site adds to the log odds in each posterior draw.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    site : {"known", "typical", "new"}
        See `MEANING`; "marginal" is no offset but an integral (`site_probabilities`).
    index : numpy.ndarray, shape (k,), optional
        For "known": number of each person's site in `fit.recipe.site_levels`.

    Returns
    -------
    numpy.ndarray, shape (S, k) for "known", else (S, 1)
        Log odds. For "new" all persons share the draw: they are at the same new site.
    """
    draws = len(fit.coefficients())
    if site == "typical" or not fit.recipe.site_levels:
        return np.zeros((draws, 1))
    if site == "known":
        if index is None:
            raise EstimandError("site='known'", "no person's site is given", "Name the site")
        return fit.site_effects()[:, index]
    # Seeded by the fit, so that the same fit always gives the same new site.
    return (np.random.default_rng([fit.seed, 71]).standard_normal(draws) * fit.site_sd())[:, None]


def site_probabilities(fit: Any, eta: np.ndarray, site: str, index: np.ndarray | None = None) -> np.ndarray:
    """Return probabilities from log odds that leave the site out.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    eta : numpy.ndarray, shape (S, k)
        Intercept and design, without the site.
    site : {"known", "typical", "new", "marginal"}
        See `MEANING`.
    index : numpy.ndarray, shape (k,), optional
        For "known": number of each person's site.

    Returns
    -------
    numpy.ndarray, shape (S, k)
        Probabilities.
    """
    if site != "marginal":
        return expit(eta + site_offsets(fit, site, index))
    sd = fit.site_sd()[:, None]
    out = np.zeros_like(eta)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        out += weight * expit(eta + node * sd)
    return out
