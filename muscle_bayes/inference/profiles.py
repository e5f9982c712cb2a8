"""Profile likelihood intervals of a maximum-likelihood fit, by the names of its parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError


def profile_intervals(fit: Any, parameters: Sequence[str] | None = None, *, level: float = 0.95) -> pd.DataFrame:
    """Return profile likelihood intervals beside Wald's, as lme4's ``confint(fit, method = "profile")``.

    Each parameter costs some ten further fits: name those that matter on a large cohort.

    Parameters
    ----------
    fit : Fit
        By maximum likelihood, with its cohort.
    parameters : sequence of str, optional
        Coefficients by the labels of `fit.recipe.columns`, group SDs as in `fit.summary()`; by default the exposures' coefficients
        and every group SD.
    level : float
        Confidence level.

    Returns
    -------
    pandas.DataFrame
        Index: the parameter; columns ``estimate, lower, upper, wald_lower, wald_upper``, all log odds. A group SD has no Wald
        interval, and its lower limit is 0 where 0 is not rejected. A limit is infinite where the likelihood never falls far enough.

    Raises
    ------
    EstimandError
        Where the fit is no maximum, has no cohort, or a parameter is none of its own.

    Notes
    -----
    Venzon & Moolgavkar (1988), Applied Statistics 37, 87-94. The intercept is left out: it is that of the centred columns inside.
    """
    from muscle_bayes.inference.adapters import logit_problem
    from muscle_bayes.inference.maximum_likelihood import maximum_likelihood
    from muscle_bayes.inference.profile_likelihood import profile_interval

    if fit.method != "ml":
        raise EstimandError(
            "profile_intervals", f"a fit by {fit.method} has no likelihood profile", "Fit with method='ml'"
        )
    if fit.categories:
        raise EstimandError(
            "profile_intervals",
            "the fit is of an ordered outcome, for which there are Wald intervals only",
            "Take fit.summary()",
        )
    if fit.cohort is None:
        raise EstimandError(
            "profile_intervals", "the fit was loaded without its persons", "Give them: load_fit(path, cohort=...)"
        )
    problem = logit_problem(fit.model, fit.model.design(fit.cohort))
    labels = [column.label for column in fit.recipe.columns]
    sds = [f"{term.name}_sigma" for term in problem.groups]
    chosen = (
        [column.label for column in fit.recipe.columns if column.role == "exposure"] + sds
        if parameters is None
        else list(parameters)
    )
    unknown = [name for name in chosen if name not in labels and name not in sds]
    if unknown:
        raise EstimandError(
            f"parameter {unknown[0]!r}", "the fit has none of that name", f"Take some of {', '.join(labels + sds)}"
        )
    found = maximum_likelihood(problem, test_sd=False)
    wald = fit.summary()
    rows = []
    for name in chosen:
        place = {"coefficient": 1 + labels.index(name)} if name in labels else {"group": sds.index(name)}
        lower, upper = profile_interval(problem, found, level=level, **place)
        estimate = found.coefficients[place["coefficient"]] if name in labels else found.sd[place["group"]]
        sides = wald.loc[name, ["2.5 %", "97.5 %"]] if level == 0.95 and name in wald.index else (np.nan, np.nan)
        rows.append((name, float(estimate), lower, upper, *map(float, sides)))
    columns = ["parameter", "estimate", "lower", "upper", "wald_lower", "wald_upper"]
    return pd.DataFrame(rows, columns=columns).set_index("parameter")
