"""Symptom burden: the same exposures across outcomes, in one frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.odds_ratios import odds_ratios
from muscle_bayes.estimands.ordered import odds_ratio_of


def symptom_burden(
    fits: Sequence[Any] | Mapping[str, Any],
    per: float | None = 2.0,
    *,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return the odds ratios of the same exposures for several outcomes, such as chronic back pain and its intensity.

    Parameters
    ----------
    fits : sequence of Fit, or mapping of str to Fit
        One fit an outcome; a mapping names them, else they are called by their models' outcomes.
    per : float or None
        Z-scores that an odds ratio spans; None takes each exposure's own contrast.
    cohort : Cohort or pandas.DataFrame, optional
        Not needed; taken so that every estimand is called alike.
    allow_unconverged : bool
        Report fits that failed their gate.

    Returns
    -------
    pandas.DataFrame
        As `odds_ratios`, exposures only, with `outcome, model, n, events, categories, odds_ratio_of, data_hash`; of an
        ordered outcome `events` is missing, `categories` is their number, and the odds ratio is that of a higher category.
        ``.attrs["fits"]`` has every fit's provenance; ``.attrs["comparable"]`` is False where Z-scores differ by more than 1 %
        of an SD between fits, since "per 2 Z" is then not the same contrast.

    Raises
    ------
    EstimandError
        Where there is no fit, two have the same name, or they share no exposure.
    UnconvergedFitError
        Where a fit failed its gate and `allow_unconverged` is False.
    """
    named = list(fits.items()) if isinstance(fits, Mapping) else [(fit.provenance()["outcome"], fit) for fit in fits]
    if not named:
        raise EstimandError("symptom burden", "there is no fit", "Give one fit an outcome")
    names = [name for name, _ in named]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise EstimandError("symptom burden", f"two fits are called {twice[0]!r}", "Name them: {'name': fit, ...}")
    shared = [name for name in named[0][1].model.exposures if all(name in fit.model.exposures for _, fit in named)]
    if not shared:
        raise EstimandError("symptom burden", "the fits share no exposure", "Give fits of the same exposures")
    frames = []
    for name, fit in named:
        said = fit.provenance()
        own = odds_ratios(fit, per, terms=shared, allow_unconverged=allow_unconverged)
        frames.append(
            own.assign(
                outcome=name,
                model=said["model"],
                n=said["n"],
                events=said["events"],
                categories=len(said.get("categories", ())) or np.nan,
                odds_ratio_of=odds_ratio_of(fit),
                data_hash=said["data_hash"],
            )
        )
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs = {
        **named[0][1].provenance(),
        "simulated": any(fit.provenance()["simulated"] for _, fit in named),
        "converged": all(fit.provenance().get("converged", True) for _, fit in named),
        "per": per,
        "outcomes": names,
        "fits": [fit.provenance() for _, fit in named],
        "comparable": _comparable([fit for _, fit in named], shared),
    }
    return frame


def _comparable(fits: Sequence[Any], shared: Sequence[str]) -> bool:
    first = fits[0].recipe.constants
    for fit in fits[1:]:
        for name in shared:
            a, b = first.get(name), fit.recipe.constants.get(name)
            if (a is None) != (b is None):
                return False
            if a is not None and (
                a.source != b.source or abs(a.mean - b.mean) > 0.01 * a.sd or abs(a.sd - b.sd) > 0.01 * a.sd
            ):
                return False
    return True
