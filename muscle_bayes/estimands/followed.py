"""Draws of the estimands that a sensitivity analysis follows: odds ratios, risk differences and RERI of the exposures.

The same quantities as `odds_ratios`, `risks` and `interaction` report, without all that those report beside them, so that a
refit costs little more than the fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import summarise_draws
from muscle_bayes.estimands.interaction import CELLS, cell_levels, reri
from muscle_bayes.estimands.odds_ratios import stated_contrasts
from muscle_bayes.estimands.sites import check_site, site_label
from muscle_bayes.estimands.standardisation import analysis_set, mean_risks
from muscle_bayes.estimands.variables import Variable, variables_of

#: What can be followed, and the scale that each is on.
ESTIMANDS = {"odds ratio": "odds ratio", "risk difference": "probability", "RERI": "RERI"}

_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Followed:
    """One estimand of a fit, draw by draw.

    Attributes
    ----------
    estimand, term, contrast : str
        As the frames of `odds_ratios`, `risks` and `interaction` call them.
    null : float
        Value of no effect.
    site : str
        Which site it is meant for.
    population : str
        Whom it is averaged over.
    draws : numpy.ndarray, shape (S,)
        One value a posterior draw.
    """

    estimand: str
    term: str
    contrast: str
    null: float
    site: str
    population: str
    draws: np.ndarray


def require_followed(estimands: Sequence[str]) -> None:
    """Refuse the name of an estimand that cannot be followed."""
    unknown = [name for name in estimands if name not in ESTIMANDS]
    if unknown:
        raise EstimandError(f"estimand {unknown[0]!r}", "it is not followed", f"Take of {', '.join(ESTIMANDS)}")


def followed(
    fit: Any,
    estimands: Sequence[str] = tuple(ESTIMANDS),
    per: float = 2.0,
    *,
    site: str | None = None,
    cohort: Any = None,
) -> list[Followed]:
    """Return draws of the odds ratios, risk differences and RERI of a fit's exposures.

    Parameters
    ----------
    fit : Fit
        With its persons, where risks are asked for.
    estimands : sequence of {"odds ratio", "risk difference", "RERI"}
        Which.
    per : float
        Z-scores that odds ratios and risk differences span; RERI takes the levels of `interaction`.
    site : {"known", "typical", "new", "marginal"}, optional
        For risks; by default the persons' own sites.
    cohort : Cohort or pandas.DataFrame, optional
        Persons to average over, in place of the analysis set.

    Returns
    -------
    list of Followed
        An odds ratio for each exposure (each level of a categorical one), a risk difference for each that is a Z-score, and
        RERI of the first two that are.

    Raises
    ------
    EstimandError
        Where an estimand is not followed, or there are no persons to average over.
    """
    require_followed(estimands)
    variables = variables_of(fit)
    exposures = [name for name in fit.model.exposures if name in fit.recipe.predictors]
    out: list[Followed] = []
    if "odds ratio" in estimands and exposures:
        described, difference = stated_contrasts(fit, per, terms=exposures)
        conditional = "conditional on site" if fit.recipe.site_levels else "no random effect of site"
        ratios = np.exp(fit.coefficients()[:, 1:] @ difference.T)
        # An odds ratio at each level of what it interacts with: as many terms as there are levels.
        labels = [row["term"] for row in described]
        terms = [
            f"{label} ({row['at']})" if labels.count(label) > 1 else label
            for label, row in zip(labels, described, strict=True)
        ]
        out += [
            Followed("odds ratio", term, row["contrast"], 1.0, conditional, "conditional on the covariates", draw)
            for term, row, draw in zip(terms, described, ratios.T, strict=True)
        ]
    moved = [variables[name] for name in exposures if name in fit.recipe.constants]
    if not moved or not set(estimands) & {"risk difference", "RERI"}:
        return out
    persons = analysis_set(fit, cohort)
    site = site or ("known" if fit.recipe.site_levels else "typical")
    check_site(fit, site)
    shared: dict[str, Any] = {
        "site": site,
        "site_index": fit.recipe.group_index(persons) if site == "known" else None,
    }
    who = f"{'analysis set' if cohort is None else 'persons given'} (n = {len(persons):,})"
    where = site_label(fit, site)
    if "risk difference" in estimands:
        half = per / 2
        # All designs in one call: where they differ by the same shift for everyone, one exponential serves them all.
        designs = [_moved(fit, persons, {v.name: persons[v.name] + s * half}) for v in moved for s in (-1, 1)]
        risk = mean_risks(fit, designs, **shared)[:, 0, :]
        for j, variable in enumerate(moved):
            words = f"{variable.label}: own value + {half:g} Z against {_MINUS} {half:g} Z"
            difference = risk[:, 2 * j + 1] - risk[:, 2 * j]
            out.append(Followed("risk difference", variable.name, words, 0.0, where, who, difference))
    if "RERI" in estimands and len(moved) >= 2:
        pair = moved[:2]
        levels = [cell_levels(variable, fit, None, variables) for variable in pair]
        cells = [{v.name: at[exposed] for v, at, exposed in zip(pair, levels, cell, strict=True)} for cell in CELLS]
        risk = mean_risks(fit, [_moved(fit, persons, cell) for cell in cells], **shared)[:, 0, :]
        excess = reri(*(risk[:, k] / risk[:, 0] for k in (1, 2, 3)))
        names, words = " × ".join(v.name for v in pair), "; ".join(map(_exposed, pair, levels))
        out.append(Followed("RERI", names, words, 0.0, where, who, excess))
    return out


def summary_rows(fit: Any, quantities: Sequence[Followed]) -> pd.DataFrame:
    """Summarise followed estimands as rows of an estimand's frame, without provenance.

    Parameters
    ----------
    fit : Fit
        Whose draws they are.
    quantities : sequence of Followed
        Of `followed`.

    Returns
    -------
    pandas.DataFrame
        Canonical columns with ``lower_mcse, upper_mcse``; median and 95 % equal-tailed interval.
    """
    if not quantities:
        return pd.DataFrame()
    nulls = np.array([quantity.null for quantity in quantities])
    summary = summarise_draws(np.column_stack([q.draws for q in quantities]) - nulls, fit, null=0.0)
    for key in ("estimate", "lower", "upper"):
        summary[key] = summary[key] + nulls
    stated = [
        {key: getattr(q, key) for key in ("estimand", "term", "contrast", "site", "population")} for q in quantities
    ]
    return pd.DataFrame(stated).assign(**summary, scale=[ESTIMANDS[q.estimand] for q in quantities], role="exposure")


def _moved(fit: Any, persons: pd.DataFrame, values: dict[str, Any]) -> np.ndarray:
    return np.asarray(fit.recipe.matrix(persons.assign(**values)))


def _exposed(variable: Variable, levels: tuple[Any, Any]) -> str:
    unexposed, exposed = (variable.stated(level) for level in levels)
    return f"{exposed} against {unexposed.split(' = ')[1]}"
