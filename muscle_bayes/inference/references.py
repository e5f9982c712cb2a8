"""Frequentist reference estimates of the same model, by statsmodels: what other software would have printed."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from muscle_bayes.errors import EstimandError
from muscle_bayes.inference.sandwich import bias_reduced_sandwich

#: Below this many clusters a sandwich is trusted by nobody, corrected or not (Cameron & Miller 2015, J Hum Resour 50:317-372).
FEW_CLUSTERS = 40

#: What tables call each method.
LABELS = {
    "gee": "GEE, exchangeable",
    "cluster_robust": "Logit, cluster-robust",
    "fixed_site": "Logit, site fixed",
}

# A log odds ratio with a standard error like this runs off to infinity: Fisher scoring stopped on its way.
_DIVERGED = 50.0


@dataclass(frozen=True)
class Reference:
    """Coefficients of a reference method with what their intervals need.

    Attributes
    ----------
    label : str
        What tables call it.
    coefficients : numpy.ndarray, shape (1 + p,)
        The intercept of the columns as they are, then the coefficients.
    covariance : numpy.ndarray, shape (1 + p, 1 + p)
        Their covariance.
    quantile : float
        Standard errors between an estimate and its 97.5 % limit.
    site_effects : numpy.ndarray, shape (J,), or None
        Log odds of each site against their mean, where the method estimates them.
    site_covariance : numpy.ndarray, shape (J, J), or None
        Their covariance.
    site : str
        What its odds ratios hold for.
    note : str
        What a reader must know about it.
    """

    label: str
    coefficients: np.ndarray
    covariance: np.ndarray
    quantile: float
    site_effects: np.ndarray | None
    site_covariance: np.ndarray | None
    site: str
    note: str


def reference(name: str, fit: Any) -> Reference:
    """Fit a reference method to the analysis set of a fit.

    Parameters
    ----------
    name : {"gee", "cluster_robust", "fixed_site"}
        Generalised estimating equations with exchangeable working correlation within sites (Liang & Zeger 1986); logistic
        regression without sites, its covariance clustered by site; logistic regression with one constant a site.
    fit : Fit
        With its cohort.

    Returns
    -------
    Reference
        Intervals of the clustered methods use Student's t with J - 1 degrees of freedom.

    Raises
    ------
    EstimandError
        Where there is no such method, the fit has no cohort or no sites, or the estimates do not exist.
    """
    methods: dict[str, Callable[..., Reference]] = {
        "gee": _gee, "cluster_robust": _cluster_robust, "fixed_site": _fixed_site,
    }  # fmt: skip
    if name not in methods:
        raise EstimandError(f"reference {name!r}", "there is no such method", f"Take some of {', '.join(methods)}")
    if fit.cohort is None:
        raise EstimandError(
            f"reference {name!r}", "the fit was loaded without its persons", "load_fit(path, cohort=...)"
        )
    if fit.recipe.site is None or len(fit.recipe.site_levels) < 2:
        raise EstimandError(f"reference {name!r}", "the model has no sites to cluster by", "Leave the references out")
    X = np.column_stack([np.ones(len(fit.cohort)), fit.recipe.matrix(fit.cohort)])
    y = fit.model.parsed_event.happened(fit.cohort[fit.model.parsed_event.column]).astype(float)
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationError, PerfectSeparationWarning

    try:
        with warnings.catch_warnings():
            for warned in (ConvergenceWarning, PerfectSeparationWarning, RuntimeWarning):
                warnings.simplefilter("error", warned)
            found = methods[name](X, y, fit.recipe.site_index(fit.cohort), len(fit.recipe.site_levels))
        if not np.isfinite(found.covariance).all() or np.sqrt(np.diag(found.covariance)).max() > _DIVERGED:
            raise np.linalg.LinAlgError("a standard error is beyond all bounds")
        return found
    except (
        np.linalg.LinAlgError, PerfectSeparationError, ConvergenceWarning, PerfectSeparationWarning, RuntimeWarning,
    ) as error:  # fmt: skip
        raise EstimandError(
            f"reference {name!r}",
            f"its estimates do not exist on these data ({error})",
            "Look for separation or for columns that repeat each other; a fit with priors needs neither",
        ) from error


def _few(sites: int) -> str:
    if sites >= FEW_CLUSTERS:
        return ""
    return (
        f" {sites} clusters are few: even with the bias correction and t({sites - 1}) its intervals can cover less than "
        "they say."
    )


def _gee(X: np.ndarray, y: np.ndarray, index: np.ndarray, sites: int) -> Reference:
    import statsmodels.api as sm

    structure = sm.cov_struct.Exchangeable()
    found = sm.GEE(y, X, groups=index, family=sm.families.Binomial(), cov_struct=structure).fit(cov_type="naive")
    correlation = float(structure.dep_params)
    return Reference(
        LABELS["gee"],
        np.asarray(found.params),
        bias_reduced_sandwich(X, y, index, np.asarray(found.params), correlation),
        float(stdtrit(sites - 1, 0.975)),
        None,
        None,
        "averaged over sites",
        "GEE estimates averages over sites (marginal odds ratios), which lie nearer to 1 than odds ratios within a site; "
        f"its sandwich is bias-reduced (Mancl & DeRouen 2001) with t({sites - 1})." + _few(sites),
    )


def _cluster_robust(X: np.ndarray, y: np.ndarray, index: np.ndarray, sites: int) -> Reference:
    import statsmodels.api as sm

    found = sm.GLM(y, X, family=sm.families.Binomial()).fit()
    return Reference(
        LABELS["cluster_robust"],
        np.asarray(found.params),
        bias_reduced_sandwich(X, y, index, np.asarray(found.params)),
        float(stdtrit(sites - 1, 0.975)),
        None,
        None,
        "site left out",
        "The cluster-robust logit leaves sites out of the odds (marginal odds ratios, confounded by site where "
        f"exposures differ between sites); its sandwich is bias-reduced (Mancl & DeRouen 2001) with t({sites - 1})."
        + _few(sites),
    )


def _fixed_site(X: np.ndarray, y: np.ndarray, index: np.ndarray, sites: int) -> Reference:
    import statsmodels.api as sm

    p = X.shape[1] - 1
    found = sm.GLM(y, np.column_stack([np.eye(sites)[index], X[:, 1:]]), family=sm.families.Binomial()).fit()
    estimates, covariance = np.asarray(found.params), np.asarray(found.cov_params())
    # The intercept of the other methods is that of a typical site: here the unweighted mean of the sites' constants.
    typical = np.zeros((1 + p, sites + p))
    typical[0, :sites] = 1 / sites
    typical[1:, sites:] = np.eye(p)
    deviation = np.column_stack([np.eye(sites) - 1 / sites, np.zeros((sites, p))])
    return Reference(
        LABELS["fixed_site"],
        typical @ estimates,
        typical @ covariance @ typical.T,
        float(ndtri(0.975)),
        deviation @ estimates,
        deviation @ covariance @ deviation.T,
        "conditional on site",
        "The logit with fixed sites compares persons within sites only and learns nothing about sites in general: "
        "it has no site SD, and says nothing about a new site.",
    )
