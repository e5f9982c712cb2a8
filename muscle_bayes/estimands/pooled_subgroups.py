"""Partially pooled subgroups: one model of everyone, in which the exposures' slopes vary over the groups of one variable."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError, MuscleBayesError
from muscle_bayes.estimands.frame import summarise_draws
from muscle_bayes.estimands.odds_ratios import odds_ratios
from muscle_bayes.estimands.refitting import certificate, refit, without
from muscle_bayes.estimands.variables import design_rows, variables_of
from muscle_bayes.specification.grouping import INTERCEPT, level_texts

#: Draws where the Laplace engine does not vouch for itself and NUTS samples: its chains need more than importance draws do.
_SAMPLED = 4000


def pooled_model(model: Any, column: str, levels: Sequence[str]) -> Any:
    """Return a model with the exposures' slopes varying over the groups of a column.

    The column's main effect stays (or is added), so that how often the outcome occurs in a group is not pooled; its
    interactions with exposures leave, since the varying slopes take their place. Over a factor whose intercept varies
    already, such as the site, the slopes join the intercept.

    Parameters
    ----------
    model : Model
        The model of everyone.
    column : str
        Column of the groups.
    levels : sequence of str
        Its levels, for a column of text that the formula does not have yet.

    Returns
    -------
    Model
        A copy; the SDs of the slopes have its prior `slope_sd`.

    Raises
    ------
    EstimandError
        Where no exposure is left to vary.
    """
    base = without(model, [column])
    formula = base.parsed
    exposures = [name for name in base.exposures if (name,) in formula.terms]
    if not exposures:
        raise EstimandError(f"by={column!r}", "no straight term of an exposure is left to vary over it", "Take another")
    categorical = bool(set(exposures) & set(base.levels))
    slopes = " + ".join(exposures)
    joined = column in [group.factor for group in model.parsed.groups]
    groups = [str(group) for group in formula.groups]
    terms = [":".join(term) for term in formula.terms]
    update: dict[str, Any] = {}
    if joined:
        groups.append(f"(1 + {slopes}|{column})")
    else:
        terms.append(column)
        groups.append(f"({int(categorical)} + {slopes}|{column})")
        own = {column: list(model.levels[column])} if column in model.levels else {}
        own = own or ({} if set(levels) <= {"0", "1"} else {column: list(levels)})
        update = {"levels": {**base.levels, **own}}
        stated = {key: prior for key, prior in model.priors.terms.items() if key == column}
        update["priors"] = base.priors.model_copy(update={"terms": {**base.priors.terms, **stated}})
    return base.model_copy(update={"formula": f"{formula.response} ~ {' + '.join([*terms, *groups])}", **update})


def pooled_subgroups(
    overall: Any,
    persons: pd.DataFrame,
    column: str,
    groups: pd.Series,
    *,
    per: float | None,
    draws: int,
    seed: int,
) -> tuple[list[pd.DataFrame], str]:
    """Return the partially pooled odds ratios of one variable's groups.

    Parameters
    ----------
    overall : Fit
        Of everyone.
    persons : pandas.DataFrame
        Its analysis set.
    column : str
        What makes the groups.
    groups : pandas.Series
        Ordered categorical: the group of each person.
    per : float or None
        As in `odds_ratios`.
    draws, seed : int
        Of the fit by the Laplace engine.

    Returns
    -------
    frames : list of pandas.DataFrame
        Odds ratios of each group by its name in `groups`, and the ratio of odds ratios of two groups; empty where there is no
        usable fit.
    note : str
        Why not, or by which engine it was fitted where that was not the Laplace engine.
    """
    kept = groups.notna()
    # A pilot has nobody in some groups.
    persons, groups = persons[kept], groups[kept].cat.remove_unused_categories()
    if len(groups.cat.categories) < 2:
        return [], "not fitted with partial pooling: everybody is in one group"
    known = column in overall.model.parsed.names or column in overall.recipe.group_columns
    if not known:
        column = column if column not in persons else f"{column}_group"
        persons = persons.assign(**{column: groups.astype("str")})
    texts = level_texts(persons[column])
    named = {str(texts[groups == name].iloc[0]): str(name) for name in groups.cat.categories}
    try:
        fitted, note = _fit(pooled_model(overall.model, column, list(named)), persons, overall, draws, seed)
    except MuscleBayesError as error:
        return [], f"not fitted with partial pooling: {error.problem}"
    failed = certificate(fitted)
    if failed:
        return [], f"partial pooling: {failed}"
    terms = [name for name in overall.model.exposures if (name,) in fitted.model.parsed.terms and name != column]
    frame = odds_ratios(fitted, per, terms=terms, by=column)
    frame = pd.concat([frame[frame["group"] == level] for level in named], ignore_index=True)
    whole = {name: frame[name].astype("int64") for name in ("n", "events")}
    frame = frame.assign(**whole, group=frame["group"].map(named), note=note).drop(
        columns=["text", "interval", "group_label"]
    )
    frames = [frame]
    if len(named) == 2:
        frames.append(_ratio(fitted, column, named, per, frame))
    return frames, note


def _fit(model: Any, persons: pd.DataFrame, overall: Any, draws: int, seed: int) -> tuple[Any, str]:
    """Fit by the Laplace engine, or by NUTS where that one does not take the model or does not certify it."""
    settings: dict[str, Any] = {"seed": seed, "simulated": overall.simulated}
    try:
        fitted = refit(model, persons, overall.recipe.constants, draws=draws, **settings)
        if not certificate(fitted):
            return fitted, ""
    except MuscleBayesError:
        pass  # Too many things vary for that engine; what is wrong with the data, the other one refuses as well.
    fitted = refit(model, persons, overall.recipe.constants, draws=_SAMPLED, method="nuts", **settings)
    return fitted, "sampled by NUTS"


def _ratio(fit: Any, column: str, named: Mapping[str, str], per: float | None, pattern: pd.DataFrame) -> pd.DataFrame:
    """Return the ratio of the second group's odds ratio to the first's, of each exposure that is no category."""
    factor = next(factor for factor in fit.recipe.factors if factor.name == column)
    order = [factor.levels.index(level) for level in named]
    first, second = named.values()
    variables, effects = variables_of(fit), fit.group_effects()
    rows, drawn = [], []
    for name in dict.fromkeys(pattern["variable"]):
        if variables[name].kind == "categorical":
            continue
        known = pattern[pattern["variable"] == name].iloc[0]
        half = (fit.model.exposures[name].contrast if per is None else per) / 2
        pair = design_rows(fit, variables, [{name: -half}, {name: half}])
        log_or: Any = 0.0
        for t, one in enumerate(fit.recipe.varying):
            if one.factor == column and one.column != INTERCEPT:
                apart = effects[t][:, order[1]] - effects[t][:, order[0]]
                log_or = log_or + apart * (pair[1] - pair[0])[one.column]
        drawn.append(np.exp(log_or))
        rows.append({key: known[key] for key in ("term", "role", "label", "variable", "level", "at", "site")})
        rows[-1]["contrast"] = f"{known['contrast']}: {column} = {second} against {first}"
    if not rows:
        return pd.DataFrame()
    return pd.DataFrame(rows).assign(
        **summarise_draws(np.column_stack(drawn), fit, null=1.0),
        estimand="ratio of odds ratios", scale="ratio of odds ratios", by=column, group=f"{second} / {first}",
        n=fit.n, events=fit.events, certified=True, note="",
        population=f"conditional on the covariates; {column} (n = {fit.n:,})",
    )  # fmt: skip
