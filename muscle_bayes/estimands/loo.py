"""PSIS-LOO: how well a model predicts a person who was left out, and which of several models does so best."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.leave_one_out import leave_one_out
from muscle_bayes.estimands.predictive import effective_draws, in_threads, predictive
from muscle_bayes.estimands.sites import MEANING

_BLOCK = 128
_Z_975 = 1.959963984540054


def loo(fit: Any, *, cohort: Any = None, allow_unconverged: bool = False) -> pd.DataFrame:
    """Return the expected log predictive density of leaving one person out, by importance sampling.

    The site stays known: this is the prediction of one more person of the same sites, not of a new site. Log
    likelihoods are computed in blocks of persons and never kept.

    Parameters
    ----------
    fit : Fit or mapping of str to Fit
        A posterior with its persons; several of the same persons and outcomes are compared.
    cohort : Cohort or pandas.DataFrame, optional
        The analysis set, where the fit was loaded without it.
    allow_unconverged : bool
        Check a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        ``elpd_loo``, ``p_loo`` (effective number of parameters), each with `se` (over persons) and
        a normal interval from it; `n, worst_khat, n_bad` (persons above the threshold of k-hat, for whom the
        approximation does not hold). With several fits also ``elpd_loo difference`` to the best.

    Raises
    ------
    EstimandError
        For maximum likelihood, without persons, or where fits are of different persons or outcomes.
    UnconvergedFitError
        Where a fit failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Vehtari, Gelman & Gabry 2017, Stat Comput 27, 1413-1432. Threshold of k-hat: min(1 - 1 / log10(S), 0.7).
    """
    fits = dict(fit) if isinstance(fit, Mapping) else {"": fit}
    if not fits:
        raise EstimandError("loo", "there is no fit", "Give one or more")
    points, rows = {}, []
    for name, one in fits.items():
        one.require_converged(allow_unconverged)
        points[name] = pointwise(one, cohort)
        rows += _rows(name, points[name], len(one.coefficients()))
    names = sorted(points, key=lambda name: -points[name]["elpd"].sum())
    for name in names[1:]:
        a, b = points[name], points[names[0]]
        if len(a) != len(b) or not np.array_equal(a["y"], b["y"]):
            raise EstimandError(
                "loo",
                f"{name!r} and {names[0]!r} are fits of different persons or outcomes",
                "Fit both to the same table",
            )
        difference = (a["elpd"] - b["elpd"]).to_numpy()
        rows.append(
            _row("elpd_loo difference", name, difference.sum(), _se(difference), len(a))
            | {"contrast": f"{name} against {names[0]}", "mcse": np.hypot(_mcse(a), _mcse(b))}
        )
    frame = pd.DataFrame(rows)
    first = next(iter(fits.values()))
    site = "known" if first.recipe.site_levels else "typical"
    bad = int(np.nanmax(frame["n_bad"]))
    return tidy(
        {
            **{name: frame[name] for name in frame.columns},
            "scale": "log density",
            "site": site if first.recipe.site_levels else "no site in the model",
            "population": f"one more person like those of the analysis set (n = {len(points[names[-1]]):,})",
            "role": "check",
        },
        first,
        interval=0.95,
        decimals=1,
        attrs={"site_meaning": MEANING[site], "reliable": bad == 0},
    )


def pointwise(fit: Any, cohort: Any = None) -> pd.DataFrame:
    """Return the leave-one-out quantities of every person.

    Parameters
    ----------
    fit : Fit
        A posterior with its persons.
    cohort : Cohort or pandas.DataFrame, optional
        The analysis set, where the fit was loaded without it.

    Returns
    -------
    pandas.DataFrame, n rows
        `y, elpd, lpd, khat, mcse`, in the order of the analysis set.

    Raises
    ------
    EstimandError
        For maximum likelihood, which has no posterior.
    """
    if fit.method == "ml":
        raise EstimandError("loo", "maximum likelihood has no posterior", "Fit by laplace or nuts")
    checked = predictive(fit, cohort, draws=None, check="loo")
    n, draws = len(checked.y), len(checked.draws)
    r_eff = min(1.0, effective_draws(fit) / draws)
    out = {name: np.empty(n) for name in ("elpd", "lpd", "khat", "mcse")}
    sign = np.where(checked.y == 1, -1.0, 1.0)

    def block(rows: slice) -> None:
        eta = (checked.columns[rows] * sign[rows, None]) @ checked.draws.T
        # log P(y) = -log(1 + exp(-(2y - 1) eta)), without overflow.
        log_likelihood = -(np.maximum(eta, 0) + np.log1p(np.exp(-np.abs(eta))))
        for name, values in leave_one_out(log_likelihood, r_eff).items():
            out[name][rows] = values

    in_threads(block, [slice(i, min(i + _BLOCK, n)) for i in range(0, n, _BLOCK)])
    return pd.DataFrame({"y": checked.y, **out})


def _rows(name: str, point: pd.DataFrame, draws: int) -> list[dict[str, Any]]:
    elpd = point["elpd"].to_numpy()
    spent = (point["lpd"] - point["elpd"]).to_numpy()
    threshold = min(1 - 1 / np.log10(draws), 0.7)
    known = {
        "worst_khat": float(point["khat"].max()),
        "n_bad": int((point["khat"] > threshold).sum()),
        "khat_threshold": float(threshold),
        "mcse": _mcse(point),
    }
    n = len(point)
    return [
        _row("elpd_loo", name, elpd.sum(), _se(elpd), n) | known,
        _row("p_loo", name, spent.sum(), _se(spent), n) | known,
    ]


def _row(estimand: str, name: str, estimate: float, se: float, n: int) -> dict[str, Any]:
    return {
        "estimand": estimand, "term": name, "contrast": "", "estimate": estimate, "lower": estimate - _Z_975 * se,
        "upper": estimate + _Z_975 * se, "se": se, "n": n, "model_name": name,
    }  # fmt: skip


def _se(values: np.ndarray) -> float:
    return float(np.sqrt(len(values) * values.var(ddof=1)))


def _mcse(point: pd.DataFrame) -> float:
    return float(np.sqrt((point["mcse"] ** 2).sum()))
