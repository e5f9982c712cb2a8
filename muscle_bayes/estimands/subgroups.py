"""Odds ratios within subgroups: a separate fit to each and partially pooled ones, beside the fit to everyone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError, MuscleBayesError
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.odds_ratios import odds_ratios, stated_contrasts
from muscle_bayes.estimands.pooled_subgroups import pooled_subgroups
from muscle_bayes.estimands.predictive import groups_of
from muscle_bayes.estimands.refitting import REFIT_DRAWS, certificate, refit, without
from muscle_bayes.estimands.variables import variables_of

#: The subgroups of the 2025 paper, and those that reviewers ask for.
DEFAULT_BY = ("osteoarthritis", "osteoporosis", "sex", "age_band", "site")


def subgroups(
    fit_or_model: Any,
    by: Sequence[str] | None = None,
    cohort: Any = None,
    *,
    per: float | None = 2.0,
    pooled: bool = True,
    draws: int = REFIT_DRAWS,
    seed: int = 1,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return the exposures' odds ratios within subgroups, from separate fits and partially pooled.

    Separate: each fit has the model's terms but those of the variable that makes the subgroup, the model's priors, and the
    Z-scores of everyone, so that "per 2 Z" is the same contrast in each. Age stays in the model within age bands. The
    subgroups of a variable share no person, so that two of them are compared by their ratio of odds ratios.

    Partially pooled: for each variable one model of everyone in which the exposures' slopes vary over its groups, as normal
    effects around their average, and all other terms are shared. An estimate is drawn towards the average, the more so the
    less its group tells. With two groups the prior of their SD (`slope_sd` of the model) decides much of how far.

    Parameters
    ----------
    fit_or_model : Fit or Model or str
        A fit with its persons; or a model, which is first fitted to everyone.
    by : sequence of str, optional
        Columns; ``age_band`` for bands of age. By default those of `DEFAULT_BY` that are there.
    cohort : Cohort or pandas.DataFrame, optional
        Needed for a model, or for a fit that was loaded without its persons.
    per : float or None
        Z-scores that an odds ratio spans; None takes each exposure's own contrast.
    pooled : bool
        Whether partially pooled estimates are added.
    draws, seed : int
        Of the fits by the Laplace engine.
    allow_unconverged : bool
        Show estimates of fits that failed their gate.

    Returns
    -------
    pandas.DataFrame
        ``odds ratio`` of everyone and of each subgroup, and ``ratio of odds ratios`` of variables with two groups.
        Further columns: `pooling` (``everyone``, ``separate`` or ``partial``), `by, group, label, by_label, n, events,
        certified, note` (why a subgroup has no estimate), `khat`.

    Raises
    ------
    EstimandError
        Where persons or columns are not there, or the model has no exposure to report.
    UnconvergedFitError
        Where the fit to everyone failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Wang et al. 2007, N Engl J Med 357, 2189-2194, on what reports of subgroups owe their readers; Jones et al. 2011, Clin Trials
    8, 129-143, on partial pooling of them.
    """
    by = [by] if isinstance(by, str) else by
    overall = _overall(fit_or_model, cohort, draws, seed)
    overall.require_converged(allow_unconverged)
    if not overall.model.exposures:
        raise EstimandError("subgroups", "the model names no exposure", "Name one in its [exposures]")
    persons = overall.cohort
    if persons is None:
        persons = overall.model.design(cohort).frame if cohort is not None else None
    if persons is None:
        raise EstimandError("subgroups", "the fit was loaded without its persons", "Give them: cohort=...")
    columns = list(by) if by is not None else [c for c in DEFAULT_BY if c in persons or c == "age_band"]
    if by is None and "age_years" not in persons:
        columns = [c for c in columns if c != "age_band"]

    everyone = {"by": "all", "group": "all", "by_label": "", "n": overall.n, "events": overall.events}
    first = odds_ratios(overall, per, terms=list(overall.model.exposures), allow_unconverged=True)
    frames = [_described(first, everyone, overall).assign(pooling="everyone")]
    notes: dict[str, str] = {}
    for column in columns:
        groups, fits, at = groups_of(persons, column), {}, len(frames)
        label = "Age band" if column == "age_band" else "Site" if column == overall.recipe.site else label_of(column)
        model = without(overall.model, [column])
        for level in groups.cat.categories:
            own = persons[groups == level]
            happened = overall.model.parsed_event.happened(own[overall.model.parsed_event.column])
            said = {"by": column, "group": str(level), "by_label": label, "n": len(own), "events": int(happened.sum())}
            try:
                fitted = refit(
                    model, own, overall.recipe.constants, draws=draws, seed=seed, simulated=overall.simulated
                )
            except MuscleBayesError as error:
                frames.append(_missing(first, said, f"not fitted: {error.problem}"))
                continue
            if certificate(fitted) and not allow_unconverged:
                frames.append(_missing(first, said, certificate(fitted)).assign(khat=_khat(fitted)))
                continue
            fits[str(level)] = fitted
            terms = [name for name in overall.model.exposures if name in model.exposures]
            frames.append(_described(odds_ratios(fitted, per, terms=terms, allow_unconverged=True), said, fitted))
        if len(groups.cat.categories) == len(fits) == 2:
            frames.append(_ratio(fits, column, label, per, first))
        frames[at:] = [one.assign(pooling="separate") for one in frames[at:]]
        if pooled and len(groups.cat.categories) > 1:
            found, notes[label] = pooled_subgroups(overall, persons, column, groups, per=per, draws=draws, seed=seed)
            frames += [one.assign(by=column, by_label=label, pooling="partial") for one in found]
    frame = pd.concat(frames, ignore_index=True)
    return tidy(
        {name: frame[name] for name in frame.columns if name not in {"text", "interval"}},
        overall,
        interval=0.95,
        attrs={
            "per": per,
            "by": columns,
            "estimate_is": "posterior median",
            "refit_method": "laplace",
            "refit_draws": draws,
            "pooling": "none: a separate fit to each subgroup" + ("; and partial" if pooled else ""),
            "pooled": pooled,
            "pooled_notes": {label: note for label, note in notes.items() if note},
        },
    )


def _overall(fit_or_model: Any, cohort: Any, draws: int, seed: int) -> Any:
    if hasattr(fit_or_model, "recipe"):
        return fit_or_model
    from muscle_bayes.inference import fit

    if cohort is None:
        raise EstimandError("subgroups", "a model alone has no persons", "Give them: cohort=...")
    return fit(fit_or_model, cohort, method="laplace", draws=draws, seed=seed)


def _khat(fit: Any) -> float:
    return float(fit.diagnostics.measures.get("k-hat", np.nan))


def _described(frame: pd.DataFrame, said: dict[str, Any], fit: Any) -> pd.DataFrame:
    failed = certificate(fit)
    return frame.assign(
        **said,
        population=f"conditional on the covariates; {_who(said)}",
        certified=not failed,
        note=failed,
        khat=_khat(fit),
    )


def _who(said: dict[str, Any]) -> str:
    who = "everyone" if said["by"] == "all" else f"{said['by']} = {said['group']}"
    return f"{who} (n = {said['n']:,})"


def _missing(pattern: pd.DataFrame, said: dict[str, Any], note: str) -> pd.DataFrame:
    """Return the rows of a subgroup that has no estimate, which say why."""
    kept = ["estimand", "term", "contrast", "scale", "site", "role", "label", "variable", "level", "at"]
    return pattern[kept].assign(
        **said, population=f"conditional on the covariates; {_who(said)}", certified=False, note=note, khat=np.nan
    )


def _ratio(fits: dict[str, Any], column: str, label: str, per: float | None, pattern: pd.DataFrame) -> pd.DataFrame:
    """Return the ratio of the second group's odds ratio to the first's; independent, since they share no person."""
    (a, first), (b, second) = fits.items()
    rows, draws = [], []
    variables = variables_of(first)
    for name in first.model.exposures:
        variable = variables[name]
        # The quartiles of a raw curve are other values in each group: no ratio of one contrast.
        if variable.kind == "categorical" or (variable.curved and variable.kind == "numeric" and not variable.compared):
            continue
        described, _ = stated_contrasts(first, per, terms=[name])
        differences = [(one, stated_contrasts(one, per, terms=[name])[1]) for one in (first, second)]
        for k, said in enumerate(described):
            logs = [one.coefficients()[:, 1:] @ difference[k] for one, difference in differences]
            # Both have the same seed: a shift keeps their draws from being paired by it.
            draws.append(np.exp(logs[1] - np.roll(logs[0], len(logs[0]) // 2)))
            known = pattern[pattern["term"] == said["term"]].iloc[0]
            rows.append({key: known[key] for key in ("term", "role", "label", "variable", "level", "at", "site")})
            rows[-1]["contrast"] = f"{known['contrast']}: {column} = {b} against {a}"
    if not rows:
        return pd.DataFrame()
    n, events = first.n + second.n, first.events + second.events
    worse = first if (first.weights_ess or 0) < (second.weights_ess or 0) else second
    return pd.DataFrame(rows).assign(
        **summarise_draws(np.column_stack(draws), worse, null=1.0),
        estimand="ratio of odds ratios",
        scale="ratio of odds ratios",
        population=f"conditional on the covariates; {column} (n = {n:,})",
        by=column, group=f"{b} / {a}", by_label=label, n=n, events=events, certified=True, note="",
        khat=max(_khat(first), _khat(second)),
    )  # fmt: skip
