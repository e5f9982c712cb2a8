"""Reporting checklists filled in from a fit: what it answers, and what only the authors can."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import InvalidValueError

if TYPE_CHECKING:
    from muscle_bayes.inference.fit import Fit

FILLED, PARTLY, AUTHORS, IDLE = "filled in", "filled in in part", "to be written by the authors", "not applicable"


def report_checklist(fit: "Fit", facts: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the checklists BARG and STROBE with what a fit says to each item.

    Parameters
    ----------
    fit : Fit
        Any method.
    facts : mapping of str to str, optional
        What was made of the fit beyond itself, such as ``sensitivity``, ``prior_predictive``, ``posterior_predictive``,
        ``risks``, ``interactions``, ``other_analyses``; in place of what the fit says.

    Returns
    -------
    pandas.DataFrame
        One row an item: `checklist, item, asks, status` (``filled in``, ``filled in in part``, ``to be written by the
        authors``, ``not applicable``), `text` (with the fit's numbers), `authors` (what is left to them).
        ``.attrs["references"]`` has the sources.

    Raises
    ------
    InvalidValueError
        Where `facts` has a name that no item asks for.

    Notes
    -----
    Kruschke 2021, Nat Hum Behav 5, 1282-1291; von Elm et al. 2007, Lancet 370, 1453-1457. The items are in our words.
    """
    lists = tomllib.loads(files("muscle_bayes.inference").joinpath("checklists.toml").read_text(encoding="utf-8"))
    asked = {item["fact"] for content in lists.values() for item in content["items"] if "fact" in item}
    unknown = sorted(set(facts or {}) - asked)
    if unknown:
        raise InvalidValueError(
            f"fact {unknown[0]!r}", "no item of the checklists asks for it", f"Take of {', '.join(sorted(asked))}"
        )
    known = {**facts_of(fit), **(facts or {})}
    rows = []
    for name, content in lists.items():
        for item in content["items"]:
            text, left = known.get(item.get("fact", ""), ""), item.get("authors", "")
            if text and item["fact"] in (facts or {}) and item["fact"] in _MADE:
                # What the study has made is no longer the authors' to make.
                left = ""
            status = AUTHORS if not text else IDLE if text.startswith("Not applicable") else PARTLY if left else FILLED
            rows.append((name, item["item"], item["asks"], status, text, left))
    frame = pd.DataFrame(rows, columns=["checklist", "item", "asks", "status", "text", "authors"])
    frame.attrs.update(fit.provenance())
    frame.attrs["references"] = {name: content["reference"] for name, content in lists.items()}
    frame.attrs["titles"] = {name: content["title"] for name, content in lists.items()}
    return frame


#: Facts that a study makes; the authors are told how where it has not.
_MADE = frozenset({"prior_predictive", "posterior_predictive", "sensitivity", "risks"})


def facts_of(fit: "Fit") -> dict[str, str]:
    """Return what a fit says of itself, in sentences with its numbers.

    Parameters
    ----------
    fit : Fit
        Any method.

    Returns
    -------
    dict of str to str
        Facts of checklists.toml; what is not there is not known to a fit.
    """
    model, recipe, bayes = fit.model, fit.recipe, fit.method != "ml"
    terms = {role: _named(c.term for c in recipe.columns if c.role == role) for role in ("exposure", "adjustment")}
    marked, share = " The data are simulated." if fit.simulated else "", 100 * fit.events / max(fit.n, 1)
    facts = {
        "question": model.question,
        "variables": (
            f"Outcome: {model.outcome_label} ({model.parsed_event}). Exposures: {terms['exposure'] or 'none'}. Adjustment: "
            f"{terms['adjustment'] or 'none'}."
        ),
        "likelihood": _likelihood(fit),
        "priors": _priors(fit) if bayes else "None: the fit is by maximum likelihood.",
        "formula": f"{model.parsed}; model.to_bambi(cohort) and model.to_pymc(cohort) give the same model as code.",
        "software": ", ".join(f"{name} {version}" for name, version in fit.provenance()["versions"].items()) + ".",
        "estimates": _estimates(fit),
        "bayes_factors": "Not applicable: none was computed.",
        "decisions": "Not applicable: no decision rule; estimates with intervals and probabilities are reported.",
        "rope": "Odds ratios between 0.95 and 1.05 are counted as practically none; the share of draws inside is reported.",
        "informed_priors": (
            "The priors are informed by published results; sensitivity to others is asked for."
            if model.priors.set == "published"
            else "Not applicable: no prior was informed by earlier data."
        ),
        "data": f"Hash of the analysis set (SHA-256) {fit.data_hash}.{marked}",
        "files": "study.toml, the model file and study.lock.json hold all settings, hashes and versions of a run.",
        "seed": f"Seed {fit.seed}; the same data, seed and versions give the same numbers.",
        "size": f"{fit.n:,} participants, {_outcome(fit, share)}.{marked}",
        "sites": _sites(fit),
        "flow": _flow(fit.flow),
        "flow_diagram": "The report draws it (section Participants).",
        "characteristics": "The report has the analysis set by outcome (section Participants).",
        "missing": _missing(fit.flow),
        "standardisation": _standardisation(fit),
        "sampling": f"Persons of one site are alike: {_grouping(fit)}."
        if recipe.site
        else "No grouping enters the model.",
        "interactions": _interactions(fit),
        "categories": _categories(fit),
        "limitations": "The report lists what these data and this model cannot say (section Limitations).",
    }
    return facts | _computation(fit)


def _named(names: Any) -> str:
    return ", ".join(dict.fromkeys(names))


def _likelihood(fit: "Fit") -> str:
    kind = "Cumulative logit (proportional odds)" if fit.model.family == "cumulative" else "Bernoulli with a logit link"
    priors = "" if fit.method == "ml" else "; the site SD is estimated with them" if fit.recipe.site else ""
    further = f"{len(fit.categories) - 1} thresholds" if fit.categories else "an intercept"
    return f"{kind}, {len(fit.recipe.columns)} coefficients and {further}; {_grouping(fit)}{priors}."


def _grouping(fit: "Fit") -> str:
    recipe = fit.recipe
    return (
        f"random intercepts for {len(recipe.site_levels)} levels of {recipe.site}, normal with an unknown SD"
        if recipe.site
        else "no hierarchy"
    )


def _outcome(fit: "Fit", share: float) -> str:
    if not fit.categories:
        return f"of whom {fit.events:,} ({share:.1f} %) had the outcome"
    counts = ", ".join(f"{name}: {count:,}" for name, count in fit.categories.items())
    return f"in {len(fit.categories)} ordered categories of the outcome ({counts})"


def _priors(fit: "Fit") -> str:
    said = [
        f"{name}: {prior.stated}{f' ({prior.reason})' if prior.reason else ''}"
        for name, prior in fit.model.normal_priors().items()
    ]
    if fit.categories:
        thresholds, middle = fit.model.priors.thresholds, fit.model.priors.intercept
        low, high = middle.prevalence_95
        said.append(f"middle threshold: prevalence above it {low:.3g} to {high:.3g} at the means ({middle.reason})")
        said.append(f"distances of thresholds: {thresholds.stated} ({thresholds.reason})")
    if fit.recipe.site:
        site = fit.model.priors.site_sd
        said.append(f"site SD: half-normal({site.half_normal:g}) ({site.reason})")
    return "; ".join(said) + "."


def _estimates(fit: "Fit") -> str:
    """Say the odds ratio of each exposure that is one column, at the zero of what it interacts with."""
    if not fit.diagnostics.passed:
        return "The fit failed its gate: no estimate of it is shown."
    said = []
    for j, column in enumerate(fit.recipe.columns):
        if column.role != "exposure" or column.term not in fit.model.exposures or column.level is not None:
            continue
        per = fit.model.exposures[column.term].contrast
        if fit.maximum is not None:
            centre, sd = fit.maximum.coefficients[1 + j], np.sqrt(fit.maximum.covariance[1 + j, 1 + j])
            values = np.exp(per * (centre + np.array([0.0, -1.96, 1.96]) * sd))
        else:
            values = np.exp(per * np.quantile(fit.coefficients()[:, 1 + j], [0.5, 0.025, 0.975]))
        unit = " Z" if column.term in fit.recipe.constants else ""
        said.append(
            f"{column.term}: odds ratio {values[0]:.2f} per {per:g}{unit} (95 % interval {values[1]:.2f} to {values[2]:.2f})"
        )
    if not said:
        return "" if fit.model.exposures else "The model names no exposure."
    kind = "Maxima with Wald intervals" if fit.maximum is not None else "Posterior medians with equal-tailed intervals"
    mixed = any(len(term) > 1 for term in fit.recipe.terms)
    return f"{'; '.join(said)}. {kind}{'; where exposures interact, at 0 of the other' if mixed else ''}."


def _computation(fit: "Fit") -> dict[str, str]:
    """Say what vouches for the computation, by engine."""
    measures, verdict = fit.diagnostics.measures, "passed" if fit.diagnostics.passed else "FAILED"
    said = ", ".join(f"{name} {value:,.3g}" for name, value in measures.items() if isinstance(value, int | float))
    if fit.method == "ml":
        return {
            "convergence": "Not applicable: no chains.",
            "resolution": "Not applicable: no draws.",
            "approximation": f"Maximum of the Laplace-approximated marginal likelihood; gate {verdict}: {said}.",
        }
    if fit.method == "laplace":
        return {
            "convergence": "Not applicable: independent draws, no chains.",
            "resolution": (
                f"{len(fit.coefficients()):,} draws with an effective sample size of {fit.weights_ess or float('nan'):,.0f}; "
                "no digit is shown beyond its Monte Carlo error."
            ),
            "approximation": f"Certified Laplace approximation with importance sampling; gate {verdict}: {said}.",
        }
    return {
        "convergence": f"Gate {verdict}: {said}. R-hat of every parameter is in fit.summary().",
        "resolution": "Bulk and tail effective sample sizes of every parameter are in fit.summary(); " + said + ".",
        "approximation": "Not applicable: NUTS.",
    }


def _sites(fit: "Fit") -> str:
    if not fit.recipe.site_levels:
        return ""
    counts = dict(fit.support.counts.get(fit.recipe.site or "", {}))
    named = ", ".join(
        f"{level}{f' ({counts[level]:,})' if level in counts else ''}" for level in fit.recipe.site_levels
    )
    return f"{len(fit.recipe.site_levels)} sites: {named}."


def _flow(flow: pd.DataFrame) -> str:
    if flow.empty:
        return ""
    read, left = int(flow["n_left"].iloc[0]), int(flow["n_left"].iloc[-1])
    steps = [
        f"{int(row['n_removed']):,} {row['reason']}" for row in flow.iloc[1:].to_dict("records") if row["n_removed"]
    ]
    removed = f"; left out: {'; '.join(steps)}" if steps else "; nobody was left out"
    return f"{read:,} read{removed}; {left:,} analysed."


def _missing(flow: pd.DataFrame) -> str:
    steps = flow[flow["step"] == "complete cases"]
    removed = int(steps["n_removed"].sum()) if len(steps) else 0
    if not removed:
        return "No participant lacked a value of the model; nothing was imputed."
    return f"Complete cases: {removed:,} left out ({steps['reason'].iloc[-1]}); nothing was imputed."


def _standardisation(fit: "Fit") -> str:
    said = [
        f"{name} from {z.source} (mean {z.mean:.4g}, SD {z.sd:.4g}{'' if z.over == 'all' else f', within {z.over}'})"
        for name, z in fit.recipe.constants.items()
    ]
    return f"Z-scores over the analysis set: {'; '.join(said)}." if said else "Quantities enter in their raw units."


def _interactions(fit: "Fit") -> str:
    crossed = [":".join(term) for term in fit.recipe.terms if len(term) > 1]
    return f"Product terms in the model: {', '.join(crossed)}." if crossed else "The model has no product term."


def _categories(fit: "Fit") -> str:
    said = [f"{name}: {levels[0]} (reference), {', '.join(levels[1:])}" for name, levels in fit.recipe.levels.items()]
    return f"{'; '.join(said)}." if said else "No quantity was categorised."
