"""Standardised risks, differences and ratios of each exposure, by g-computation over the analysis set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.e_values import e_value, e_value_of_limit
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.sites import MEANING, check_site, site_label
from muscle_bayes.estimands.standardisation import analysis_set, mean_risks
from muscle_bayes.estimands.support import share_outside
from muscle_bayes.estimands.variables import Variable, model_scale, variables_of

#: More persons than this outside the support of their own sex and age band, and the row is flagged.
MOST_OUTSIDE = 0.05

#: Contrasts in Z that are tried, widest first, where too many persons are pushed outside.
_NARROWER = (1.5, 1.0, 0.75, 0.5, 0.25, 0.1)


def risks(
    fit: Any,
    terms: Sequence[str] | None = None,
    per: float | None = 2.0,
    levels: Mapping[str, tuple[Any, Any]] | None = None,
    *,
    site: str | None = None,
    by: str | None = None,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return the risk under two exposures of everyone, and what lies between them.

    Risks are averaged over persons within each draw; differences and ratios are taken of these averages; medians and
    intervals last (Robins 1986; Hernán & Robins, What If, ch. 13). A causal reading needs what any such reading needs:
    no unmeasured confounding, positivity, the model.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    terms : sequence of str, optional
        Predictors to move; by default the exposures.
    per : float or None
        An exposure is moved from each person's own value less half of this to their own value plus half (2: -1 Z against
        +1 Z); None takes each exposure's own contrast from the model.
    levels : mapping of str to (value, value), optional
        Fixed levels instead, the same for everyone, in Z or by raw column: ``{"intermat_percent": (5, 10)}``.
    site : {"known", "typical", "new", "marginal"}, optional
        By default the persons' own sites ("typical" where the model has none).
    by : str, optional
        A categorical or binary column: also within each of its levels.
    cohort : Cohort or pandas.DataFrame, optional
        Persons to average over, in place of the analysis set.
    allow_unconverged : bool
        Report a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        For each term and population: ``risk`` at the low and the high level, ``risk difference``, ``risk ratio``, and
        ``cases per 1,000``; of a category one contrast for each level against its reference. Further columns: `label,
        level, outside_share` (share of persons whom the contrast pushes from inside to outside the support of their own sex
        and age band), `already_outside_share` (who lie outside it as they are), `flag`, `note` (what the flag means and
        which narrower contrast stays inside), `e_value, e_value_limit` (of the risk ratio).

    Raises
    ------
    EstimandError
        Where persons, sites or terms are not there.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    fit.require_converged(allow_unconverged)
    site = site or ("known" if fit.recipe.site_levels else "typical")
    check_site(fit, site)
    persons, variables = analysis_set(fit, cohort), variables_of(fit)
    site_index = fit.recipe.group_index(persons) if site == "known" else None
    groups, names = _populations(persons, by, "analysis set" if cohort is None else "persons given")
    fixed = {next(iter(model_scale({k: v[0]}, variables))): _pair(k, v, variables) for k, v in (levels or {}).items()}
    chosen = list(terms) if terms is not None else [v.name for v in variables.values() if v.role == "exposure"]

    described: list[dict[str, Any]] = []
    values, central = [], []
    for name in chosen:
        if name not in variables:
            raise EstimandError(
                f"term {name!r}", "the model has no such predictor", f"Take one of {', '.join(variables)}"
            )
    moves = [
        (variables[name], *move)
        for name in chosen
        for move in _moves(variables[name], persons, fit, per, fixed.get(name))
    ]
    for variable, low, high, words in moves:
        name = variable.name
        moved = [persons.assign(**{name: value}) for value in (low, high)]
        designs = [fit.recipe.matrix(frame) for frame in moved]
        shared: dict[str, Any] = {"site": site, "site_index": site_index}
        risk = _with_all(mean_risks(fit, designs, groups=groups, **shared), groups, by)
        at_maximum = None
        if fit.method == "ml":
            one = mean_risks(fit, designs, groups=groups, coefficients=fit.maximum.coefficients[None, :], **shared)
            at_maximum = _with_all(one, groups, by)
        pushed, already = _outside_shares(fit, variable, persons, moved, groups, by)
        # With several contrasts of one variable the risk at their common reference is told once.
        again = any(d["term"] == name and d["contrast"] == words["low"] for d in described)
        note = _note(fit, variable, persons, words, pushed[-1])
        for g, population in enumerate(names):
            for estimand, scale, level, of in _QUANTITIES:
                if level == "low" and again:
                    continue
                described.append(
                    {
                        "estimand": estimand, "term": name, "contrast": words[level] if level != "" else words["contrast"],
                        "scale": scale, "population": population, "role": variable.role, "label": variable.label,
                        "level": level, "outside_share": pushed[g], "already_outside_share": already[g],
                        "note": note if pushed[g] > MOST_OUTSIDE else "",
                    }
                )  # fmt: skip
                values.append(of(risk[:, g, 0], risk[:, g, 1]))
                if at_maximum is not None:
                    central.append(of(at_maximum[0, g, 0], at_maximum[0, g, 1]))
    frame = pd.DataFrame(described)
    nulls = np.array([1.0 if s == "risk ratio" else 0.0 for s in frame["scale"]])
    draws = np.column_stack(values)
    summary = summarise_draws(draws - nulls, fit, null=0.0)
    for key in ("estimate", "lower", "upper"):
        summary[key] = summary[key] + nulls
    if central:
        summary["estimate"] = np.array(central)
    summary["prob_gt_null"] = np.where(frame["estimand"] == "risk", np.nan, summary["prob_gt_null"])
    ratio = (frame["estimand"] == "risk ratio").to_numpy()
    limits = e_value_of_limit(summary["estimate"], summary["lower"], summary["upper"])
    with np.errstate(invalid="ignore", divide="ignore"):
        of_estimate = e_value(summary["estimate"])
    flags = np.where(frame["outside_share"] > MOST_OUTSIDE, "more than 5 % pushed outside the data", "")
    return tidy(
        {
            **{key: frame[key] for key in frame.columns},
            **summary,
            "site": site_label(fit, site),
            "flag": flags,
            "e_value": np.where(ratio, of_estimate, np.nan),
            "e_value_limit": np.where(ratio, limits, np.nan),
        },
        fit,
        interval=0.95,
        decimals=3,
        attrs={"site_meaning": MEANING[site], "per": per, "n_averaged": len(persons)},
    )


# Estimand, scale, level (empty: a contrast of both), and how it is made of the risks at the low and the high level.
_QUANTITIES = (
    ("risk", "probability", "low", lambda low, high: low),
    ("risk", "probability", "high", lambda low, high: high),
    ("risk difference", "probability", "", lambda low, high: high - low),
    ("risk ratio", "risk ratio", "", lambda low, high: high / low),
    ("cases per 1,000", "cases per 1,000", "", lambda low, high: 1000 * (high - low)),
)


def _populations(persons: pd.DataFrame, by: str | None, who: str) -> tuple[np.ndarray, list[str]]:
    everyone = f"{who} (n = {len(persons):,})"
    if by is None:
        return np.zeros(len(persons), dtype=int), [everyone]
    if by not in persons:
        raise EstimandError(
            f"by={by!r}", "the persons have no such column", f"Take one of {', '.join(map(str, persons))}"
        )
    codes, levels = pd.factorize(persons[by].astype("str"), sort=True)
    sizes = np.bincount(codes)
    return codes, [*(f"{by} = {level} (n = {size:,})" for level, size in zip(levels, sizes, strict=True)), everyone]


def _with_all(risk: np.ndarray, groups: np.ndarray, by: str | None) -> np.ndarray:
    """Append everyone's average, the groups' weighted by their sizes; risk (S, G, k)."""
    if by is None:
        return risk
    weights = np.bincount(groups) / len(groups)
    return np.concatenate([risk, np.einsum("sgk,g->sk", risk, weights)[:, None, :]], axis=1)


def _pair(key: str, value: tuple[Any, Any], variables: Mapping[str, Variable]) -> tuple[Any, Any]:
    low, high = (next(iter(model_scale({key: v}, variables).values())) for v in value)
    return low, high


def _moves(
    variable: Variable, persons: pd.DataFrame, fit: Any, per: float | None, fixed: tuple[Any, Any] | None
) -> list[tuple[Any, Any, dict[str, str]]]:
    """Return each contrast of a variable: one, but of a category or a curve with stated levels each against the reference."""
    if fixed is None and variable.compared:
        return [_move(variable, persons, fit, per, (variable.compared[0], level)) for level in variable.compared[1:]]
    if fixed is None and variable.kind == "categorical":
        return [_move(variable, persons, fit, per, (variable.levels[0], level)) for level in variable.levels[1:]]
    return [_move(variable, persons, fit, per, fixed)]


def _move(
    variable: Variable, persons: pd.DataFrame, fit: Any, per: float | None, fixed: tuple[Any, Any] | None
) -> tuple[Any, Any, dict[str, str]]:
    """Return everyone's low and high value of a variable, and the words for both and for the contrast."""
    if fixed is None and variable.kind == "binary":
        fixed = (0.0, 1.0)
    if fixed is None and variable.curved and variable.kind == "numeric":
        raise EstimandError(
            f"term {variable.name!r}",
            "it is a curve of a raw column, so that no step from a person's own value means the same for everyone",
            f"Say levels={{'{variable.name}': (..., ...)}}, or [exposures.{variable.name}] levels = [...] in the model",
        )
    if fixed is not None:
        low, high = fixed
        words = {"low": variable.stated(low), "high": variable.stated(high)}
        return low, high, words | {"contrast": f"{words['high']} against {words['low'].split(' = ')[1]}"}
    span = per
    # `per` speaks of Z-scores: an exposure in its own unit has the contrast that its model states, as in `odds_ratios`.
    if span is None or variable.kind == "numeric":
        span = fit.model.exposures[variable.name].contrast if variable.name in fit.model.exposures else 2.0
    half, unit = span / 2, " Z" if variable.kind == "standardised" else ""
    own = persons[variable.name]
    words = {
        "low": f"{variable.label}: own value \N{MINUS SIGN} {half:g}{unit}",
        "high": f"{variable.label}: own value + {half:g}{unit}",
        "contrast": f"{variable.label}: own value + {half:g}{unit} against \N{MINUS SIGN} {half:g}{unit}",
    }
    return own - half, own + half, words


def _outside_shares(
    fit: Any,
    variable: Variable,
    persons: pd.DataFrame,
    moved: Sequence[pd.DataFrame],
    groups: np.ndarray,
    by: str | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each population the share whom either level pushes out of their own support, and who lie outside already."""
    if variable.role != "exposure" or not (variable.kind == "standardised" or variable.curved):
        missing = np.full(groups.max() + 1 + (by is not None), np.nan)
        return missing, missing
    already = share_outside(fit, persons, variable.name)
    outside = np.logical_or.reduce([share_outside(fit, frame, variable.name) for frame in moved])

    def shares(who: np.ndarray) -> np.ndarray:
        each = np.bincount(groups, weights=who) / np.bincount(groups)
        return np.append(each, who.mean()) if by is not None else each

    return shares(outside & ~already), shares(already)


def _note(fit: Any, variable: Variable, persons: pd.DataFrame, words: Mapping[str, str], pushed: float) -> str:
    """Return what a share pushed outside the support means, and which narrower contrast would keep persons inside."""
    if not pushed > MOST_OUTSIDE:
        return ""
    meaning = (
        f"{100 * pushed:.0f} % of the persons are moved from inside to outside the 1st to 99th percentile of their own sex and "
        "age band, where the risk rests on the form of the model"
    )
    own = persons[variable.name]
    if "own value" not in words["low"]:
        return f"{meaning}; levels nearer to each other stay inside more often"
    already = share_outside(fit, persons, variable.name)
    for per in _NARROWER:
        moved = [persons.assign(**{variable.name: own + sign * per / 2}) for sign in (-1, 1)]
        outside = np.logical_or.reduce([share_outside(fit, frame, variable.name) for frame in moved])
        share = float((outside & ~already).mean())
        if share <= MOST_OUTSIDE:
            return f"{meaning}; with per={per:g} (own value \N{PLUS-MINUS SIGN} {per / 2:g} Z) {100 * share:.0f} % are"
    return f"{meaning}; narrower contrasts than own value \N{PLUS-MINUS SIGN} {_NARROWER[-1] / 2:g} Z only would keep them inside"
