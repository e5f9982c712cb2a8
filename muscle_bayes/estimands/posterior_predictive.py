"""Posterior predictive check: whether the model gives back the prevalence that was observed, group by group."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.ordered import is_ordered
from muscle_bayes.estimands.ordered_predictive import ORDERED_DRAWS, ordered_predictive
from muscle_bayes.estimands.predictive import groups_of, predictive
from muscle_bayes.estimands.sites import MEANING, expit, site_label


def posterior_predictive(
    fit: Any,
    by: Sequence[str] | None = None,
    *,
    site: str | None = None,
    draws: int | None = None,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Compare the observed prevalence of groups with what the model replicates for the same persons.

    For each posterior draw an outcome is drawn for every person from their probability; the prevalence of each group in
    such a data set is one replicate. Groups that the model has a coefficient for (site, sex) are met almost by
    construction; those that it has none for (age bands, tenths of an exposure, interactions) test its form.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    by : sequence of str, optional
        Columns to group by; a numeric one in tenths, ``age_band`` in bands of age. By default those of site, sex and
        age_band that are there.
    site : {"known", "typical", "new"}, optional
        By default the persons' own sites.
    draws : int, optional
        Posterior draws that are used, one replicate each; by default 4,000 (1,000 for an ordered outcome).
    cohort : Cohort or pandas.DataFrame, optional
        Other persons with the outcome, in place of the analysis set.
    allow_unconverged : bool
        Check a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        One row for everyone and for each group: `estimate, lower, upper` of the replicated prevalence, `observed`, `n`,
        `events`, `p_value` (P(replicated > observed) + P(equal) / 2; near 0 or 1 is a misfit), `outside` (the observed
        prevalence lies outside the interval). Of an ordered outcome: a row for each category; see `ordered_predictive`.

    Raises
    ------
    EstimandError
        Where persons, outcomes or columns are not there.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Gelman, Meng & Stern 1996, Statistica Sinica 6, 733-807. The data are used twice, so that p-values crowd around 0.5
    where the model holds: a small one is a misfit, a moderate one no proof.
    """
    fit.require_converged(allow_unconverged)
    if is_ordered(fit):
        return ordered_predictive(fit, by, site=site, draws=draws or ORDERED_DRAWS, cohort=cohort)
    checked = predictive(fit, cohort, site=site, draws=draws or 4000, check="posterior predictive check")
    if by is None:
        by = [name for name in (fit.recipe.site, "sex", "age_band") if name and _there(checked.persons, name)]
    rows: list[dict[str, Any]] = [{"by": "all", "group": "all", "codes": np.ones(len(checked.y), dtype=bool)}]
    for column in by:
        groups = groups_of(checked.persons, column)
        rows += [
            {"by": column, "group": str(level), "codes": (groups == level).to_numpy(dtype=bool)}
            for level in groups.cat.categories
        ]
    members = np.column_stack([row.pop("codes") for row in rows])  # (n, G)
    size, events = members.sum(axis=0), checked.y @ members
    counts = replicates(checked, members.astype(np.float32), fit.seed)
    summary = summarise_draws(counts / size, checked, null=np.nan)
    observed = events / size
    greater, equal = (counts > events).mean(axis=0), (counts == events).mean(axis=0)
    frame = pd.DataFrame(rows)
    who = "analysis set" if cohort is None else "persons given"
    return tidy(
        {
            "estimand": "replicated prevalence",
            "term": frame["by"],
            "contrast": frame["group"],
            **summary,
            "prob_gt_null": np.nan,
            "scale": "probability",
            "site": site_label(fit, checked.site),
            "population": [
                f"{who} (n = {n:,})" if one == "all" else f"{one} = {group} (n = {n:,})"
                for one, group, n in zip(frame["by"], frame["group"], size, strict=True)
            ],
            "role": "check",
            "label": ["Everyone" if one == "all" else _label(one) for one in frame["by"]],
            "group": frame["group"],
            "n": size,
            "events": events.astype(int),
            "observed": observed,
            "p_value": greater + equal / 2,
            "outside": (observed < summary["lower"]) | (observed > summary["upper"]),
        },
        fit,
        interval=0.95,
        decimals=3,
        attrs={"draws_used": len(checked.draws), "site_meaning": MEANING[checked.site]},
    )


def replicates(checked: Any, members: np.ndarray, seed: int) -> np.ndarray:
    """Return the replicated number of events in each group, shape (k, G)."""
    rng = np.random.default_rng([seed, 72])
    counts = np.zeros((len(checked.draws), members.shape[1]))
    for rows in checked.blocks():
        probability = expit(checked.log_odds(rows))
        happened = rng.random(probability.shape, dtype=np.float32) < probability
        counts += happened.astype(np.float32) @ members[rows]
    return counts


def _there(persons: pd.DataFrame, column: str) -> bool:
    return column in persons or (column == "age_band" and "age_years" in persons)


def _label(column: str) -> str:
    return (
        "Age band" if column == "age_band" else label_of(column).capitalize() if column == "site" else label_of(column)
    )
