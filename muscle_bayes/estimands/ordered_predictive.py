"""Posterior predictive check of an ordered outcome: the share of each category, observed and replicated."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.linear_predictor import linear_predictor
from muscle_bayes.estimands.predictive import Predictive, groups_of, in_threads, kept_draws, predictive
from muscle_bayes.estimands.sites import MEANING, site_label
from muscle_bayes.specification.ordinal import ordinal_codes

#: Replicated data sets by default: categories are drawn for every person in each.
ORDERED_DRAWS = 1000


def ordered_predictive(
    fit: Any,
    by: Sequence[str] | None = None,
    *,
    site: str | None = None,
    draws: int = ORDERED_DRAWS,
    cohort: Any = None,
) -> pd.DataFrame:
    """Compare the observed shares of the categories with what the model replicates for the same persons.

    For each posterior draw a category is drawn for every person: the linear predictor plus logistic noise, placed among the
    thresholds. The shares of everyone are met almost by construction, since there is a threshold for each; those within groups
    that the model has no thresholds of (sites, sexes, age bands, tenths of an exposure) test that the odds are proportional.

    Parameters
    ----------
    fit : Fit
        Of an ordered outcome, with its persons.
    by : sequence of str, optional
        Columns to group by as well; a numeric one in tenths, ``age_band`` in bands of age.
    site, draws, cohort
        As in `posterior_predictive`.

    Returns
    -------
    pandas.DataFrame
        One row for each category among everyone and in each group, with the columns of `posterior_predictive` and `within`,
        the group; `n` persons of the group, `events` those in the category.
    """
    labels = list(fit.categories)
    # Persons and their sites as the checks of an event take them; linear predictor and thresholds of the same draws.
    checked = predictive(fit.at_least(labels[-1]), cohort, site=site, draws=draws, check="posterior predictive check")
    cuts = fit.thresholds()
    kept = kept_draws(len(cuts), draws)
    cuts = cuts[kept]
    members = fit.recipe.group_index(checked.persons) if checked.site == "known" else None
    eta = linear_predictor(fit, fit.recipe.matrix(checked.persons), site=checked.site, members=members, kept=kept)
    checked = replace(checked, columns=eta.columns, draws=eta.draws)
    response = fit.model.parsed.response
    _, codes = ordinal_codes(checked.persons[response], tuple(labels))
    parts: list[tuple[str, str, np.ndarray]] = [("all", "Everyone", np.ones(len(codes), dtype=bool))]
    for column in by or ():
        groups = groups_of(checked.persons, column)
        name = "Age band" if column == "age_band" else label_of(column)
        parts += [
            (column, f"{name}: {level}", (groups == level).to_numpy(dtype=bool)) for level in groups.cat.categories
        ]
    within = np.column_stack([inside for _, _, inside in parts])
    size = within.sum(axis=0)
    counts = _replicates(checked, cuts, within, fit.seed)  # (draws, groups, K)
    shares = (counts / size[:, None]).reshape(len(counts), -1)
    observed_counts = np.array([np.bincount(codes[inside], minlength=len(labels)) for _, _, inside in parts])
    flat = counts.reshape(len(counts), -1)
    greater = (flat > observed_counts.ravel()).mean(axis=0)
    equal = (flat == observed_counts.ravel()).mean(axis=0)
    summary = summarise_draws(shares, checked, null=np.nan)
    observed = (observed_counts / size[:, None]).ravel()
    who = "analysis set" if cohort is None else "persons given"
    repeat = len(labels)
    return tidy(
        {
            "estimand": "replicated share of a category",
            "term": np.repeat([f"{response} {name}" if by_ != "all" else response for by_, name, _ in parts], repeat),
            "contrast": labels * len(parts),
            **summary,
            "prob_gt_null": np.nan,
            "scale": "probability",
            "site": site_label(fit, checked.site),
            "population": np.repeat(
                [f"{who if by_ == 'all' else name} (n = {n:,})" for (by_, name, _), n in zip(parts, size, strict=True)],
                repeat,
            ),
            "role": "check",
            "label": np.repeat([name for _, name, _ in parts], repeat),
            "group": labels * len(parts),
            "within": np.repeat([name for _, name, _ in parts], repeat),
            "n": np.repeat(size, repeat),
            "events": observed_counts.ravel(),
            "observed": observed,
            "p_value": greater + equal / 2,
            "outside": (observed < summary["lower"]) | (observed > summary["upper"]),
        },
        fit,
        interval=0.95,
        decimals=3,
        attrs={"draws_used": len(checked.draws), "site_meaning": MEANING[checked.site]},
    )


def _replicates(checked: Predictive, cuts: np.ndarray, members: np.ndarray, seed: int) -> np.ndarray:
    """Return how many of each group fall into each category in each replicate, shape (draws, groups, K)."""
    draws, K = len(checked.draws), cuts.shape[1] + 1
    counts = np.zeros((draws, members.shape[1], K))
    blocks = list(checked.blocks())
    streams = np.random.default_rng([seed, 73]).spawn(len(blocks))
    found: list[np.ndarray] = [np.empty(0)] * len(blocks)

    def block(part: slice) -> None:
        i = part.start
        rows = blocks[i]
        inside = members[rows].astype(np.float32)
        uniform = streams[i].random((draws, inside.shape[0]), dtype=np.float32)
        # Away from 0 and 1, whose logistic quantiles are infinite.
        np.clip(uniform, 1e-7, 1 - 6e-8, out=uniform)
        latent = checked.log_odds(rows) + np.log(uniform) - np.log1p(-uniform)
        # Persons above each threshold; the differences of neighbours are the categories' counts.
        above = np.stack([(latent > cuts[:, k : k + 1]).astype(np.float32) @ inside for k in range(K - 1)], axis=-1)
        edges = np.full((draws, inside.shape[1], 1), inside.sum(axis=0)[:, None])
        full = np.concatenate([edges, above, np.zeros_like(edges)], axis=-1)
        found[i] = full[..., :-1] - full[..., 1:]

    in_threads(block, [slice(i, i + 1) for i in range(len(blocks))])
    for part in found:
        counts += part
    return counts
