"""What the report asks of a fit beyond the tables it is handed: interactions, sites, and the analysis set by outcome."""

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.estimands.odds_ratios import contrast_summary, odds_ratios
from muscle_bayes.estimands.rounding import number_text
from muscle_bayes.specification.ordinal import ordinal_codes

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit

#: Values of the other exposure, in Z, that an exposure's odds ratio is stated at.
LEVELS = (-1.0, 0.0, 1.0)


def effective_draws(fit: "Fit") -> float | None:
    """Return the effective sample size that bounds the Monte Carlo error of every share of draws.

    Parameters
    ----------
    fit : Fit
        Any method.

    Returns
    -------
    float or None
        Of the raw weights for `laplace`, of the least effective parameter for `nuts`, None for `ml`.
    """
    if fit.method == "ml":
        return None
    if fit.weights_ess is not None:
        return fit.weights_ess
    ess = fit.diagnostics.parameters.get("ess_bulk")
    return None if ess is None else float(ess.min())


def interaction_pairs(fit: "Fit") -> list[tuple[str, str]]:
    """Return the pairs of Z-scored exposures that the model lets interact, two at a time.

    Parameters
    ----------
    fit : Fit
        With `model` and `recipe`.

    Returns
    -------
    list of tuple of str
        Such as ``[("intermat_z", "lmm_z")]``.
    """
    z = [name for name in fit.model.exposures if name in fit.recipe.constants]
    terms = {frozenset(term) for term in fit.recipe.terms}
    return [pair for pair in combinations(z, 2) if frozenset(pair) in terms]


def interaction_factors(fit: "Fit") -> pd.DataFrame:
    """Return by how much an exposure's odds ratio is multiplied for each Z of the other exposure.

    Parameters
    ----------
    fit : Fit
        That passed its gate.

    Returns
    -------
    pandas.DataFrame
        One row a pair of exposures: estimand columns, then label, other, per. Empty without an interaction.
    """
    pairs = interaction_pairs(fit)
    labels = [column.label for column in fit.recipe.columns]
    difference = np.zeros((len(pairs), len(labels)))
    for i, (first, second) in enumerate(pairs):
        at = next(j for j, label in enumerate(labels) if set(label.split(":")) == {first, second})
        difference[i, at] = fit.model.exposures[first].contrast
    contrasts = [fit.model.exposures[first].contrast for first, _ in pairs]
    named = [(_label(fit, first), _label(fit, second)) for first, second in pairs]
    if not pairs:
        return pd.DataFrame()
    return tidy(
        {
            "estimand": "ratio of odds ratios",
            "term": [f"{first}:{second}" for first, second in pairs],
            "contrast": [
                f"per {per:g} Z of {a}, for each Z of {b}" for per, (a, b) in zip(contrasts, named, strict=True)
            ],
            **contrast_summary(fit, difference),
            "scale": "odds ratio",
            "population": "conditional on the covariates",
            "role": "exposure",
            "label": [a for a, _ in named],
            "other": [b for _, b in named],
            "per": contrasts,
        },
        fit,
        interval=0.95,
    )


def odds_ratios_at_levels(fit: "Fit") -> pd.DataFrame:
    """Return each interacting exposure's odds ratio at -1, 0 and 1 Z of the other.

    Parameters
    ----------
    fit : Fit
        That passed its gate.

    Returns
    -------
    pandas.DataFrame
        Rows of `odds_ratios`, per the exposure's own contrast; empty without an interaction.
    """
    parts = []
    for pair in interaction_pairs(fit):
        for name, other in (pair, pair[::-1]):
            per = fit.model.exposures[name].contrast
            parts.append(odds_ratios(fit, per=per, at={other: list(LEVELS)}, terms=[name]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def site_table(fit: "Fit") -> pd.DataFrame:
    """Return each site's odds against the typical site.

    Parameters
    ----------
    fit : Fit
        With a site term; any method but `ml` has intervals.

    Returns
    -------
    pandas.DataFrame
        Estimand columns, then label (the site) and n. Empty without a site term.
    """
    if not fit.recipe.site_levels:
        return pd.DataFrame()
    values = np.exp(fit.site_effects())
    summary: dict[str, Any] = dict(summarise_draws(values, fit, null=1.0))
    if fit.method == "ml":
        # The modes have no distribution in this fit.
        summary |= {name: np.full(values.shape[1], np.nan) for name in ("lower", "upper")}
    counts = fit.support.counts.get(fit.recipe.site or "")
    return tidy(
        {
            "estimand": "odds against the typical site",
            "term": [f"1|{fit.recipe.site}[{level}]" for level in fit.recipe.site_levels],
            "contrast": "against a site of effect 0",
            **summary,
            "scale": "odds ratio",
            "role": "adjustment",
            "label": list(fit.recipe.site_levels),
            "n": [np.nan if counts is None else counts.get(level, 0) for level in fit.recipe.site_levels],
        },
        fit,
        interval=0.95,
    )


def site_sd_summary(fit: "Fit") -> pd.DataFrame:
    """Return the standard deviation of the site effects, on the log-odds scale.

    Parameters
    ----------
    fit : Fit
        With a site term.

    Returns
    -------
    pandas.DataFrame
        One row: median and interval.
    """
    summary = summarise_draws(fit.site_sd()[:, None], fit, null=0.0)
    return tidy({"estimand": "site SD", "term": f"1|{fit.recipe.site}_sigma", **summary}, fit, interval=0.95)


def by_outcome(fit: "Fit") -> pd.DataFrame:
    """Describe the analysis set by the outcome: medians with quartiles, or counts.

    Parameters
    ----------
    fit : Fit
        With `cohort`, the analysis set.

    Returns
    -------
    pandas.DataFrame
        Columns variable, level, unit, all, event, no_event; the first row counts participants. An ordered outcome is split above
        its lowest category. Empty where the fit was
        loaded without its cohort. Cells of fewer than five persons are not shown.
    """
    if fit.cohort is None:
        return pd.DataFrame()
    event = fit.model.parsed_event
    if fit.categories:
        happened = ordinal_codes(fit.cohort[event.column], tuple(fit.categories))[1] > 0
    else:
        happened = event.happened(fit.cohort[event.column]).astype(bool)
    parts = {"all": fit.cohort, "event": fit.cohort[happened], "no_event": fit.cohort[~happened]}
    rows = [{"variable": "Participants", "level": "", "unit": "", **{k: f"{len(p):,}" for k, p in parts.items()}}]
    names = [*fit.recipe.raw_columns, *([fit.recipe.site] if fit.recipe.site else [])]
    for name in dict.fromkeys(names):
        about = {"variable": sentence_case(label_of(name)), "unit": unit_of(name)}
        levels = fit.recipe.levels.get(name) or (fit.recipe.site_levels if name == fit.recipe.site else ())
        if levels:
            for level in levels:
                rows.append(
                    {**about, "level": level, **{k: _count(p[name].astype("str") == level) for k, p in parts.items()}}
                )
        elif set(pd.unique(fit.cohort[name].astype(float))) <= {0.0, 1.0}:
            rows.append({**about, "level": "yes", **{k: _count(p[name] == 1) for k, p in parts.items()}})
        else:
            rows.append({**about, "level": "median (quartiles)", **{k: _quartiles(p[name]) for k, p in parts.items()}})
    return pd.DataFrame(rows)


def outcome_heading(fit: "Fit") -> str:
    """Return what heads the column of people with the outcome; an ordered one is split above its lowest category."""
    lowest = next(iter(fit.categories), "")
    return sentence_case(fit.model.outcome_label) + (f" above {lowest}" if lowest else "")


def sentence_case(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def _label(fit: "Fit", name: str) -> str:
    return label_of(fit.recipe.constants[name].source)


def _count(mask: pd.Series) -> str:
    n = int(mask.sum())
    if 0 < n < 5:
        return "< 5"
    return f"{n:,} ({100 * n / len(mask):.1f} %)" if len(mask) else "0"


def _quartiles(values: pd.Series) -> str:
    if values.empty:
        return ""
    low, middle, high = values.astype(float).quantile([0.25, 0.5, 0.75])
    shown = median_texts(middle, low, high)
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def median_texts(middle: float, low: float, high: float) -> tuple[str, str, str]:
    """Return median and quartiles as texts: about three figures of the median, the quartiles with as many decimals."""
    whole = all(float(value).is_integer() for value in (middle, low, high))
    decimals = 0 if whole else 2 if abs(middle) < 10 else 1 if abs(middle) < 100 else 0
    first, second, third = (number_text(value, decimals=decimals) for value in (middle, low, high))
    return first, second, third
