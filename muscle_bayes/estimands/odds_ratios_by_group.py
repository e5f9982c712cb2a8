"""Odds ratios within the groups over which they vary: the average, each group's own, and that of a group not in the data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.linear_predictor import new_effects
from muscle_bayes.estimands.sites import conditional_label
from muscle_bayes.specification.grouping import INTERCEPT, Factor


def odds_ratios_by_group(
    fit: Any,
    by: str,
    described: Sequence[Mapping[str, Any]],
    difference: np.ndarray,
    *,
    explicit: bool,
    rope: tuple[float, float],
) -> pd.DataFrame:
    """Return odds ratios over the groups of a factor that their slopes vary over.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    by : str
        A grouping factor, such as ``site``.
    described : sequence of k mappings
        What each contrast is, as `odds_ratios` says it.
    difference : numpy.ndarray, shape (k, p)
        Differences of design rows.
    explicit : bool
        Whether the contrasts were asked for by name; else those that do not vary are left out.
    rope : tuple of float
        Region of practical equivalence.

    Returns
    -------
    pandas.DataFrame
        As `odds_ratios`, with `by, group, by_label, n, events, certified, note`. Groups: ``average``, each level, and, where
        the groups are no predictors, ``new``: one that is not in the data. For maximum likelihood a group's odds ratio is
        that of its conditional mode, without an interval, and there is no new group.

    Raises
    ------
    EstimandError
        Where nothing varies over the factor.
    """
    factor = next((factor for factor in fit.recipe.factors if factor.name == by), None)
    slopes = [
        (t, one.column) for t, one in enumerate(fit.recipe.varying) if one.factor == by and one.column != INTERCEPT
    ]
    if factor is None or not slopes:
        known = ", ".join(dict.fromkeys(one.factor for one in fit.recipe.varying if one.column != INTERCEPT))
        raise EstimandError(
            f"by={by!r}",
            "the model's odds ratios do not vary over it",
            f"Take {known}" if known else f"Let them vary: write (1 + intermat_z|{by}) into the formula",
        )
    moved = np.abs(difference[:, [column for _, column in slopes]]).max(axis=1) > 0
    if explicit and not moved.all():
        name = described[int(np.argmin(moved))]["term"]
        raise EstimandError(
            f"term {name!r} by={by!r}", "its odds ratio does not vary over it", f"Write ({name}|{by}) into the formula"
        )
    described, difference = [row for row, keep in zip(described, moved, strict=True) if keep], difference[moved]

    average = _log_odds_ratios(fit, difference)
    effects = _effects(fit)
    groups = [("average", average)]
    for j, level in enumerate(factor.levels):
        groups.append((level, average + sum(effects[t][:, [j]] * difference[:, column] for t, column in slopes)))
    if not fit.recipe.is_own(factor) and fit.method != "ml":
        fresh = new_effects(fit)
        groups.append(("new", average + sum(fresh[:, [t]] * difference[:, column] for t, column in slopes)))

    frames = []
    n, events = _sizes(fit, factor)
    for level, log_or in groups:
        summary = summarise_draws(np.exp(log_or), fit, null=1.0)
        summary["rope_share"] = np.mean((np.exp(log_or) > rope[0]) & (np.exp(log_or) < rope[1]), axis=0)
        note = ""
        if fit.method == "ml":
            summary["rope_share"] = np.full(len(difference), np.nan)
            if level == "average":
                summary |= _wald(fit, difference)
            else:
                summary |= {key: np.full(len(difference), np.nan) for key in ("lower", "upper")}
                note = "the most likely value of this group, without an interval"
        words = _words(factor, level)
        frames.append(
            pd.DataFrame([dict(row) for row in described]).assign(
                **summary,
                site=conditional_label(fit) if level == "average" else words,
                population="conditional on the covariates" + ("" if level == "average" else f"; {words}"),
                by=by, by_label=_names(factor), group=level, group_label=words,
                n=n.get(level, np.nan), events=events.get(level, np.nan), certified=True, note=note,
            )
        )  # fmt: skip
    frame = pd.concat(frames, ignore_index=True)
    return tidy(
        {"estimand": "odds ratio", "scale": "odds ratio", **{name: frame[name] for name in frame.columns}},
        fit,
        interval=0.95,
        attrs={
            "by": [by],
            "rope": list(rope),
            "pooling": f"partial: slopes vary by {by} around their average",
            "estimate_is": "maximum" if fit.method == "ml" else "posterior median",
        },
    )


def _log_odds_ratios(fit: Any, difference: np.ndarray) -> np.ndarray:
    beta = fit.maximum.coefficients[None, 1:] if fit.method == "ml" else fit.coefficients()[:, 1:]
    return np.asarray(beta @ difference.T)


def _effects(fit: Any) -> list[np.ndarray]:
    if fit.method == "ml":
        return [np.asarray(modes)[None, :] for modes in fit.maximum.effects]
    return list(fit.group_effects())


def _wald(fit: Any, difference: np.ndarray) -> dict[str, np.ndarray]:
    log_or = _log_odds_ratios(fit, difference)[0]
    covariance = fit.maximum.covariance[1:, 1:]
    error = 1.959963984540054 * np.sqrt(np.einsum("kp,pq,kq->k", difference, covariance, difference))
    return {"lower": np.exp(log_or - error), "upper": np.exp(log_or + error)}


def _sizes(fit: Any, factor: Factor) -> tuple[dict[str, int], dict[str, int]]:
    """Return persons and, where the fit has its persons, events of each group, and of all as ``average``."""
    counts = fit.support.counts.get(factor.name)
    provenance = fit.provenance()
    n = {"average": provenance["n"], **({} if counts is None else {str(k): int(v) for k, v in counts.items()})}
    events = {"average": provenance["events"]}
    if fit.cohort is not None:
        event = fit.model.parsed_event
        happened = event.happened(fit.cohort[event.column])
        index = factor.index(fit.cohort)
        events |= dict(
            zip(factor.levels, np.bincount(index, happened, len(factor.levels)).astype(int).tolist(), strict=True)
        )
    return n, events


def _words(factor: Factor, level: str) -> str:
    """Return a group in words: ``Osteoarthritis no, Osteoporosis yes``, ``Augsburg``, ``a new site``."""
    if level in ("average", "new"):
        name = _names(factor)
        name = name if name[:2].isupper() else name[:1].lower() + name[1:]
        return f"average over {name}" if level == "average" else f"a new {name}"
    if len(factor.columns) == 1 and not {*factor.levels} <= {"0", "1"}:
        return level
    told = {"0": "no", "1": "yes"}
    parts = zip(factor.columns, level.split(":"), strict=True)
    return ", ".join(f"{label_of(column)} {told.get(value, value)}" for column, value in parts)


def _names(factor: Factor) -> str:
    """Return what readers call a factor: ``Site``, ``Osteoarthritis and osteoporosis``."""
    first, *others = (label_of(column) for column in factor.columns)
    return " and ".join([first, *(name if name[:2].isupper() else name[:1].lower() + name[1:] for name in others)])
