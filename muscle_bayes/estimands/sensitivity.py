"""Sensitivity analysis by real refits: one row a specification and estimand, each with its certificate."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError, MuscleBayesError
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.interaction import interaction
from muscle_bayes.estimands.odds_ratios import odds_ratios
from muscle_bayes.estimands.refitting import REFIT_DRAWS, certificate, refit
from muscle_bayes.estimands.risks import risks
from muscle_bayes.estimands.specifications import site_exclusions, with_adipose, with_adjustment, with_priors

#: What can be followed over the specifications.
ESTIMANDS = ("odds ratio", "risk difference", "RERI")

#: Columns that state the choices of a specification.
CHOICES = ("priors", "site_sd", "left_out", "adipose", "adjustment")


def sensitivity(
    fit_or_model: Any,
    cohort: Any = None,
    priors: Sequence[str] = ("weak", "sceptical"),
    site_sd: Sequence[float] = (0.25, 0.5, 1.0),
    leave_out_sites: bool = True,
    adipose: Sequence[str] = ("threshold", "fraction", "mixture"),
    adjustment: Sequence[str] = ("as specified",),
    *,
    estimands: Sequence[str] = ("odds ratio",),
    per: float = 2.0,
    draws: int = REFIT_DRAWS,
    seed: int = 1,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Refit a model under every combination of priors, sites left out, adipose definitions and covariates.

    Each specification is a fit of its own by the Laplace engine, with its certificate; one that is not certified has no
    estimate and says why. Z-scores are taken over everyone for each adipose definition and held where a site is left out.
    The definitions measure different things, so that "per 2 Z" is two of each definition's own SDs.

    Parameters
    ----------
    fit_or_model : Fit or Model or str
        The model; a fit also brings its persons.
    cohort : Cohort or pandas.DataFrame, optional
        Needed for a model, or for a fit that was loaded without its persons.
    priors : sequence of {"weak", "sceptical"}
        Prior sets of the exposures.
    site_sd : sequence of float
        Scales of the half-normal prior of the site SD.
    leave_out_sites : bool
        Also leave each site out in turn (three sites or more).
    adipose : sequence of {"threshold", "fraction", "mixture"}
        Definitions of adipose tissue, where the model takes its exposures from the canonical columns.
    adjustment : sequence of str
        Sets of covariates: ``as specified``, ``with BMI``, ``without osteoarthritis and osteoporosis`` (they may lie on the
        way from muscle to pain), ``without covariates``. "with BMI" adjusts LMM for its own denominator.
    estimands : sequence of {"odds ratio", "risk difference", "RERI"}
        Risks are those of the persons' own sites, own value ± half of `per`; RERI is that of the first two exposures.
    per : float
        Z-scores that a contrast spans.
    draws, seed : int
        Of each fit.
    allow_unconverged : bool
        Show estimates of fits that failed their gate.

    Returns
    -------
    pandas.DataFrame
        One row a specification, estimand and exposure: canonical columns, `specification` (number), `priors, site_sd,
        left_out, adipose, adjustment`, `reference` (the model as it stands), `n, events, certified, note, khat`.

    Raises
    ------
    EstimandError
        Where persons, exposures, a column or a choice are not there.

    Notes
    -----
    Simonsohn, Simmons & Nelson 2020, Nat Hum Behav 4, 1208-1214. The share of specifications that agree is no
    probability: they share their persons, and nobody drew them at random.
    """
    model, cohort = _model_and_persons(fit_or_model, cohort)
    unknown = [name for name in estimands if name not in ESTIMANDS]
    if unknown:
        raise EstimandError(f"estimand {unknown[0]!r}", "it is not followed", f"Take of {', '.join(ESTIMANDS)}")
    table = getattr(cohort, "table", cohort)
    own = getattr(getattr(cohort, "exposure", None), "adipose", None) or "threshold"
    measured = any(rule.source in ("intermat_percent", "lmm_cm3_per_kg_m2") for rule in model.standardise.values())
    standing = (model.priors.set, model.priors.site_sd.half_normal, "", own, "as specified")
    frames, first, number = [], None, 0
    for definition, covariates in product(adipose if measured else ("",), adjustment):
        variant = with_adipose(model, definition, list(table), own) if definition else model
        variant = with_adjustment(variant, covariates, list(table))
        design = variant.design(cohort)
        site = design.recipe.site
        for left_out in site_exclusions(design.frame, site, leave_out_sites):
            persons = design.frame if not left_out else design.frame[design.frame[site].astype("str") != left_out]
            for prior_set, scale in product(priors, site_sd if site else (np.nan,)):
                number += 1
                choice = (prior_set, scale, left_out, definition or own, covariates)
                said = dict(zip(CHOICES, choice, strict=True)) | {"specification": number}
                specified = with_priors(variant, prior_set, scale) if site else variant.with_priors(prior_set)
                frame, fitted = _one(
                    specified, persons, design, estimands, per, draws, seed, allow_unconverged=allow_unconverged
                )
                reference = choice == standing if site else (choice[0], *choice[2:]) == (standing[0], *standing[2:])
                frames.append(frame.assign(**said, reference=reference))
                if fitted is not None and (first is None or reference):
                    first = fitted
    if first is None:
        raise EstimandError("sensitivity", "no specification could be fitted", "Look at the notes of single fits")
    frame = pd.concat(frames, ignore_index=True)
    frame["left_out"] = frame["left_out"].replace("", "none")
    return tidy(
        {name: frame[name] for name in frame.columns if name not in {"text", "interval"}},
        first,
        interval=0.95,
        decimals=3,
        attrs={
            "choices": [name for name in CHOICES if len(frame[name].unique()) > 1],
            "specifications": number,
            "not_certified": int((~frame.drop_duplicates("specification")["certified"].astype(bool)).sum()),
            "per": per,
            "refit_draws": draws,
        },
    )


def _model_and_persons(fit_or_model: Any, cohort: Any) -> tuple[Any, Any]:
    if hasattr(fit_or_model, "recipe"):
        model = fit_or_model.model
        if cohort is None and fit_or_model.cohort is not None:
            # Its Z-scores would win over those that each definition needs.
            cohort = fit_or_model.cohort.drop(
                columns=[z for z in fit_or_model.recipe.constants if z in fit_or_model.cohort]
            )
            cohort.attrs = {"simulated": fit_or_model.simulated}
    else:
        from muscle_bayes.specification import Model, load_model

        model = fit_or_model if isinstance(fit_or_model, Model) else load_model(fit_or_model)
    if cohort is None:
        raise EstimandError("sensitivity", "there are no persons to refit to", "Give them: cohort=...")
    if not model.exposures:
        raise EstimandError("sensitivity", "the model names no exposure", "Name one in its [exposures]")
    return model, cohort


def _one(
    model: Any, persons: pd.DataFrame, design: Any, estimands: Sequence[str], per: float, draws: int, seed: int,
    *, allow_unconverged: bool,
) -> tuple[pd.DataFrame, Any]:  # fmt: skip
    """Return the rows of one specification, and its fit where there is one."""
    event = model.parsed_event
    said: dict[str, Any] = {"n": len(persons), "events": int(event.happened(persons[event.column]).sum())}
    try:
        fitted = refit(model, persons, design.recipe.constants, draws=draws, seed=seed, simulated=design.simulated)
    except MuscleBayesError as error:
        return _missing(model, estimands, f"not fitted: {error.problem}").assign(**said, khat=np.nan), None
    failed = certificate(fitted)
    said |= {"khat": float(fitted.diagnostics.measures.get("k-hat", np.nan))}
    if failed and not allow_unconverged:
        return _missing(model, estimands, failed).assign(**said), fitted
    frames = []
    names = [name for name in model.exposures if name in fitted.recipe.predictors]
    if "odds ratio" in estimands:
        frames.append(odds_ratios(fitted, per, terms=names, allow_unconverged=True))
    if "risk difference" in estimands:
        moved = [name for name in names if name in fitted.recipe.constants]
        frame = risks(fitted, moved, per, allow_unconverged=True)
        frames.append(frame[frame["estimand"] == "risk difference"])
    if "RERI" in estimands and len(names) >= 2:
        frame = interaction(fitted, *names[:2], allow_unconverged=True)
        frames.append(frame[frame["estimand"] == "RERI"])
    kept = [frame.drop(columns=["level", "variable", "at", "label", "cell"], errors="ignore") for frame in frames]
    return pd.concat(kept, ignore_index=True).assign(**said, certified=not failed, note=failed), fitted


def _missing(model: Any, estimands: Sequence[str], note: str) -> pd.DataFrame:
    terms = list(model.exposures)
    rows = [(name, term) for name in estimands if name != "RERI" for term in terms]
    if "RERI" in estimands and len(terms) >= 2:
        rows.append(("RERI", " × ".join(terms[:2])))
    scales = {"odds ratio": "odds ratio", "risk difference": "probability", "RERI": "RERI"}
    return pd.DataFrame(
        [
            {
                "estimand": name,
                "term": term,
                "scale": scales[name],
                "role": "exposure",
                "certified": False,
                "note": note,
            }
            for name, term in rows
        ]
    )
