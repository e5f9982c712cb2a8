"""Sensitivity analysis by real refits: one row a specification and estimand, each with its certificate."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.followed import ESTIMANDS, require_followed
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.multiverse import combinations, in_order, reviewers, rule_names, standing
from muscle_bayes.estimands.one_specification import Settings, missing_rows
from muscle_bayes.estimands.refitting import REFIT_DRAWS
from muscle_bayes.estimands.specifications import (
    ADJUSTMENTS,
    AGE_TERMS,
    CHOICES,
    LEAN_MUSCLE,
    SITE_TERMS,
    STANDING,
    WIDTHS,
    Specification,
    site_exclusions,
)
from muscle_bayes.estimands.sweeping import sweep
from muscle_bayes.specification.priors import SETS

_NUMBERS = ("estimate", "lower", "upper", "mcse", "lower_mcse", "upper_mcse", "prob_gt_null")
_ADIPOSE = ("threshold", "fraction", "mixture")


def sensitivity(
    fit_or_model: Any,
    cohort: Any = None,
    priors: Sequence[str] | Mapping[str, Any] = ("weak", "sceptical"),
    site_sd: Sequence[float] = (0.25, 0.5, 1.0),
    leave_out_sites: bool = True,
    adipose: Sequence[str] = _ADIPOSE,
    adjustment: Sequence[str] = (STANDING,),
    *,
    lean_muscle: Sequence[str] = (STANDING,),
    site_term: Sequence[str] = (STANDING,),
    age_term: Sequence[str] = (STANDING,),
    exclusions: Sequence[Mapping[str, Any]] = (),
    reviewer: bool = True,
    estimands: Sequence[str] = tuple(ESTIMANDS),
    per: float = 2.0,
    draws: int = REFIT_DRAWS,
    seed: int = 1,
    results: str | Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Refit a model under every combination of the choices given, and under what reviewers ask for, one change at a time.

    Each specification is a fit of its own by the Laplace engine, with its certificate; one that is not certified, or that could
    not be fitted, is a row without an estimate that says why. All specifications of a model have the same persons, those who
    are complete on it as it stands, less whom a specification leaves out. Z-scores are taken over everyone and held where
    persons are left out; "per 2 Z" is two of each definition's own SDs.

    Parameters
    ----------
    fit_or_model : Fit or Model or str, or a sequence of models
        A fit also brings its persons. The first model is the one that others are compared with.
    cohort : Cohort or pandas.DataFrame, optional
        Needed for a model, or for a fit that was loaded without its persons.
    priors : sequence of str, or mapping of str to Priors
        ``weak``, ``sceptical``, ``published``, ``twice as wide``, ``half as wide`` (the SD of every prior in which an exposure
        takes part, interactions and terms with a prior of their own included, which sets leave alone); or one's own by name.
    site_sd : sequence of float
        Scales of the half-normal prior of the site SD.
    leave_out_sites : bool
        Also leave each site out in turn (three sites or more).
    adipose : sequence of {"threshold", "fraction", "mixture"}
        Definitions of adipose tissue, where the model takes its exposures from the canonical columns.
    adjustment : sequence of str
        Sets of covariates: ``as specified``, ``with BMI`` (adjusts LMM for its own denominator), ``without osteoarthritis and
        osteoporosis`` (they may lie on the way from muscle to pain), ``with BMI, without osteoarthritis and osteoporosis``,
        ``without diagnoses``, ``without physical activity``, ``without covariates``.
        docs/adjustment.md says which set answers which question.
    lean_muscle : sequence of str
        In place of volume by BMI: ``volume / height²``, ``volume given height and weight`` (the residual of its allometric
        regression), ``volume beside height and weight``.
    site_term : sequence of str
        ``as specified``, ``fixed effect``, ``within and between`` (site means of the exposures as covariates, Mundlak 1978),
        ``centred exposures`` (less their site's mean), ``Z within site`` (in SDs of their site too).
    age_term : sequence of str
        ``as specified`` or ``spline`` (natural cubic, 4 degrees of freedom).
    exclusions : sequence of mapping
        Rules as study.toml states them (`name, column, op, value`), each applied alone.
    reviewer : bool
        Also compute the model as it stands with each other choice above in turn, and without persons with osteoporosis, with
        osteoarthritis, with a BMI of 35 or above, of 65 years or older.
    estimands : sequence of {"odds ratio", "risk difference", "RERI"}
        Risks are those of the persons' own sites, own value ± half of `per`; RERI is that of the first two exposures.
    per : float
        Z-scores that a contrast spans.
    draws, seed : int
        Of each fit.
    results : str or pathlib.Path, optional
        A file to which each result is written as it comes; what it holds already is not computed again, so that a run that
        was killed goes on. A result counts only for the same choices, model, table, draws, seed and version of this package.
    workers : int, optional
        Processes; by default one a core, and none for little work.
    progress : callable, optional
        Called with how many specifications are done, and how many there are.
    allow_unconverged : bool
        Show estimates of fits that failed their gate.

    Returns
    -------
    pandas.DataFrame
        One row a specification, estimand and exposure: canonical columns, `specification` (number), a column for each choice
        (`model, priors, site_sd, excluded, adipose, adjustment, lean_muscle, site_term, age_term`), `reference` (the first
        model as it stands), `n, events, certified, note, khat, ess, seconds`.

    Raises
    ------
    EstimandError
        Where persons, exposures or a choice are not there, or no specification could be fitted.

    Notes
    -----
    Simonsohn, Simmons & Nelson 2020, Nat Hum Behav 4, 1208-1214; Steegen et al. 2016, Perspect Psychol Sci 11, 702-712. The share
    of specifications that agree is no probability: they share their persons, and nobody drew them at random.
    """
    models, cohort, let_in = _models_and_persons(fit_or_model, cohort)
    require_followed(estimands)
    stated = dict(priors) if isinstance(priors, Mapping) else {}
    _require_choices(
        {
            "priors": (priors, (*SETS, "published", *WIDTHS, *stated)), "adjustment": (adjustment, ADJUSTMENTS),
            "lean_muscle": (lean_muscle, LEAN_MUSCLE), "site_term": (site_term, SITE_TERMS),
            "age_term": (age_term, AGE_TERMS), "adipose": (adipose, _ADIPOSE),
        }
    )  # fmt: skip
    table = getattr(cohort, "table", cohort).reset_index(drop=True)
    own = getattr(getattr(cohort, "exposure", None), "adipose", None) or "threshold"
    first, rules = models[0], rule_names(exclusions)
    base = first.design(cohort)
    reference = standing(first, own)
    sites = [f"site {level}" for level in site_exclusions(base.frame, base.recipe.site, leave_out_sites)]
    wanted = [reference]
    wanted += combinations(
        models, priors=list(priors), site_sd=site_sd, excluded=["nobody", *sites, *rules], adipose=adipose,
        adjustment=adjustment, lean_muscle=lean_muscle, site_term=site_term, age_term=age_term, own=own,
    )  # fmt: skip
    if reviewer:
        asked, their_rules = reviewers(first, table, own)
        wanted, rules = wanted + asked, {**their_rules, **rules}
    specifications = in_order(wanted)
    settings = Settings(
        {model.name: model for model in models}, table, base.simulated, own, rules, stated,
        let_in, tuple(estimands), per, draws, seed,
    )  # fmt: skip
    found = sweep(settings, specifications, results=results, workers=workers, progress=progress)
    return _frame(settings, specifications, reference, found, allow_unconverged=allow_unconverged)


def _frame(
    settings: Settings,
    specifications: Sequence[Specification],
    reference: Specification,
    found: Sequence[dict[str, Any]],
    *,
    allow_unconverged: bool,
) -> pd.DataFrame:
    """Put the results of all specifications into one frame."""
    rows = []
    for number, (one, result) in enumerate(zip(specifications, found, strict=True), start=1):
        said = one.stated() | {"specification": number, "reference": one == reference}
        said |= {key: result[key] for key in ("n", "events", "certified", "note", "khat", "ess", "seconds")}
        said["site_sd"] = np.nan if one.site_sd is None else one.site_sd
        own = result["rows"] or missing_rows(settings.models[one.model], settings.estimands)
        shown = result["certified"] or allow_unconverged
        rows += [{**row, **(dict.fromkeys(_NUMBERS, np.nan) if not shown else {}), **said} for row in own]
    fitted = [r["provenance"] for r in found if r["provenance"] is not None]
    if not fitted:
        notes = {r["note"] for r in found}
        raise EstimandError(
            "sensitivity", f"no specification could be fitted ({min(notes)})", "Mend the table or model"
        )
    at = specifications.index(reference)
    provenance = found[at]["provenance"] or fitted[0]
    frame = pd.DataFrame(rows)
    for name in _NUMBERS:
        frame[name] = frame[name].astype("float64") if name in frame else np.nan
    certified = [bool(r["certified"]) for r in found]
    return tidy(
        {name: frame[name] for name in frame.columns},
        SimpleNamespace(provenance=lambda: dict(provenance)),
        interval=0.95,
        decimals=3,
        attrs={
            "choices": [name for name in CHOICES if len(frame[name].unique()) > 1],
            "specifications": len(found),
            "not_certified": len(found) - sum(certified),
            "reused": sum(r["reused"] for r in found),
            "per": settings.per,
            "refit_draws": settings.draws,
        },
    )


def _models_and_persons(fit_or_model: Any, cohort: Any) -> tuple[list[Any], Any, tuple[str, ...]]:
    """Return the models, the persons, and which models' published priors have been let in by a fit."""
    from muscle_bayes.specification import Model, load_model

    let_in: tuple[str, ...] = ()
    if hasattr(fit_or_model, "recipe"):
        models = [fit_or_model.model]
        # Its own published priors have passed the check that the data are not used twice; others have not.
        let_in = (fit_or_model.model.name,) if fit_or_model.model.priors.set == "published" else ()
        if cohort is None and fit_or_model.cohort is not None:
            # Its Z-scores would win over those that each definition needs.
            cohort = fit_or_model.cohort.drop(
                columns=[z for z in fit_or_model.recipe.constants if z in fit_or_model.cohort]
            )
            cohort.attrs = {"simulated": fit_or_model.simulated}
    else:
        single = isinstance(fit_or_model, Model | str | Path)
        several = [fit_or_model] if single else list(fit_or_model)
        models = [one if isinstance(one, Model) else load_model(one) for one in several]
    if cohort is None:
        raise EstimandError("sensitivity", "there are no persons to refit to", "Give them: cohort=...")
    if not models or not all(model.exposures for model in models):
        raise EstimandError("sensitivity", "a model names no exposure", "Name one in its [exposures]")
    if len({model.name for model in models}) < len(models):
        raise EstimandError("sensitivity", "two models have the same name", "Give each a name of its own")
    return models, cohort, let_in


def _require_choices(choices: Mapping[str, tuple[Any, Any]]) -> None:
    for name, (asked, known) in choices.items():
        strange = [one for one in asked if one not in known]
        if strange:
            raise EstimandError(f"{name}={strange[0]!r}", "there is no such choice", f"Take of {', '.join(known)}")
