"""Engines for ordered outcomes behind the signature of the others: a model and its design in, draws or a maximum out."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import InvalidValueError, ModelFileError
from muscle_bayes.inference.adapters import CHAINS, EngineResult, run_pymc, sampled
from muscle_bayes.inference.diagnostics import Diagnostics, Finding
from muscle_bayes.inference.draws import Draws
from muscle_bayes.inference.maximum import Maximum
from muscle_bayes.inference.ordinal_findings import threshold_prior_findings
from muscle_bayes.inference.ordinal_maximum_likelihood import ordinal_maximum_likelihood
from muscle_bayes.inference.ordinal_problem import OrdinalProblem
from muscle_bayes.inference.ordinal_sampling import ordinal_nuts
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.model import Model

_Z_975 = 1.959963984540054
#: Of chains that are sampled again: few people in many categories leave corners that the usual steps overshoot.
_CAREFUL = 0.99
_TUNE = 300


def run_ordinal(model: Model, design: Design, method: str, *, draws: int, seed: int, progress: bool) -> EngineResult:
    """Fit a model of an ordered outcome by the engine that is asked for.

    Parameters
    ----------
    model, design : Model, Design
        What to fit, of family ``cumulative``.
    method : {"auto", "nuts", "pymc", "ml", "laplace"}
        `auto` samples our own density, or the PyMC model where more varies by group than one intercept.
    draws, seed, progress
        As in `fit`.

    Returns
    -------
    EngineResult
        Draws or a maximum, with diagnostics.

    Raises
    ------
    InvalidValueError
        For `laplace`, which has no certificate for ordered outcomes.
    ModelFileError
        For `nuts` and `ml` where more varies by group than one intercept.
    """
    if method == "laplace":
        raise InvalidValueError(
            "method='laplace'",
            "its certificate is written for events, and nobody has shown that it holds for thresholds",
            "Take 'auto' or 'nuts' for the ordered outcome, or fit the event 'this category or higher' (family = \"bernoulli\")",
        )
    if method == "ml":
        return run_ordinal_ml(model, design)
    if method == "pymc" or (method == "auto" and not _one_intercept(design)):
        result = _labelled(run_pymc(model, design, draws=draws, seed=seed, progress=progress), model, design)
        if method == "pymc":
            return result
        note = Finding("note", "sampled by PyMC, since more varies by group than one intercept")
        return replace(result, diagnostics=replace(result.diagnostics, findings=(*result.diagnostics.findings, note)))
    return run_ordinal_nuts(model, design, draws=draws, seed=seed)


def ordinal_problem(model: Model, design: Design) -> OrdinalProblem:
    """Return the arrays that the ordinal engines take.

    Parameters
    ----------
    model : Model
        With its priors.
    design : Design
        The analysis set.

    Returns
    -------
    OrdinalProblem
        With one random intercept, or none.

    Raises
    ------
    ModelFileError
        Where more varies by group than one intercept.
    """
    if not _one_intercept(design):
        raise ModelFileError(
            f"model {model.name!r}",
            "more varies by group than one intercept, which the engines for ordered outcomes do not take",
            "Take method='pymc', or one (1|site)",
        )
    recipe, priors = design.recipe, model.normal_priors()
    own = [priors[column.term] for column in recipe.columns]
    factor = recipe.varying[0].factor if recipe.varying else None
    levels = {one.name: len(one.levels) for one in recipe.factors}
    return OrdinalProblem(
        y=design.y.astype(np.int64),
        n_categories=len(design.categories),
        X=design.X,
        site=design.groups[factor] if factor else None,
        n_sites=levels[factor] if factor else 0,
        prior_mean=np.array([prior.mean for prior in own]),
        prior_sd=np.array([prior.sd for prior in own]),
        concentration=model.priors.thresholds.concentration(len(design.categories)),
        sd_scale=model.sd_prior("1", factor).scale if factor else 1.0,
        # Thresholds stand for minus the log odds of being above them.
        middle_mean=-model.priors.intercept.mean,
        middle_sd=model.priors.intercept.sd,
    )


def run_ordinal_nuts(model: Model, design: Design, *, draws: int, seed: int) -> EngineResult:
    """NUTS on our own density of the proportional-odds model in standardised coordinates.

    Parameters
    ----------
    model, design : Model, Design
        What to fit.
    draws : int
        Posterior draws over four chains.
    seed : int
        Of the sampler.

    Returns
    -------
    EngineResult
        Chains with their diagnostics.
    """
    problem = ordinal_problem(model, design)
    found = ordinal_nuts(problem, draws // CHAINS, chains=CHAINS, seed=seed)
    again = bool(found.statistics["diverging"].any())
    if again:
        found = ordinal_nuts(problem, draws // CHAINS, 2 * _TUNE, CHAINS, seed, target_accept=_CAREFUL)
    varies = bool(design.recipe.varying)
    drawn = Draws(
        intercept=np.zeros(found.sd.shape),
        coefficients=found.beta,
        effects=(found.effects,) if varies else (),
        sds=(found.sd,) if varies else (),
        thresholds=found.thresholds + (found.beta @ design.recipe.centre)[..., None],
    )
    result = _labelled(sampled("nuts", drawn, found.statistics, design), model, design)
    if not again:
        return result
    note = Finding(
        "note", f"sampled again in smaller steps (target_accept {_CAREFUL:g}), since the first chains diverged"
    )
    return replace(result, diagnostics=replace(result.diagnostics, findings=(*result.diagnostics.findings, note)))


def run_ordinal_ml(model: Model, design: Design) -> EngineResult:
    """Maximum marginal likelihood by the Laplace approximation, as R's ordinal::clmm.

    Parameters
    ----------
    model, design : Model, Design
        What to fit; priors are ignored.

    Returns
    -------
    EngineResult
        The maximum with Wald intervals.
    """
    empty = [name for k, name in enumerate(design.categories) if not (design.y == k).any()]
    if empty:
        raise InvalidValueError(
            f"category {empty[0]!r}",
            "nobody of the analysis set is in it, so that maximum likelihood has no estimate of its thresholds",
            "Take it out of the model's `categories`, join it with its neighbour, or fit with priors (method='nuts')",
        )
    found = ordinal_maximum_likelihood(ordinal_problem(model, design))
    recipe, t = design.recipe, len(found.thresholds)
    # Thresholds of the columns as they are: those of the centred ones plus centre'beta.
    uncentre = np.eye(t + len(found.coefficients))
    uncentre[:t, t:] = recipe.centre
    joint = uncentre @ found.covariance @ uncentre.T
    covariance = np.zeros((1 + len(found.coefficients),) * 2)
    covariance[1:, 1:] = joint[t:, t:]
    varies = bool(recipe.varying)
    site = 0 if varies and recipe.varying[0].name == f"1|{recipe.site}" else None
    maximum = Maximum(
        coefficients=np.concatenate([[0.0], found.coefficients]),
        covariance=covariance,
        sds=(float(found.sd or 0.0),) if varies else (),
        effects=(found.effects,) if varies else (),
        log_likelihood=found.log_likelihood,
        site=site,
        thresholds=found.thresholds + recipe.centre @ found.coefficients,
        joint_covariance=joint,
    )
    names = [*threshold_labels(design.categories), *(column.label for column in recipe.columns)]
    values = np.concatenate([maximum.thresholds, found.coefficients])
    parameters = pd.DataFrame({"estimate": values, "se": np.sqrt(np.diag(joint))}, index=names)
    measures: dict[str, Any] = {"log likelihood": found.log_likelihood}
    findings = []
    if varies:
        label = recipe.varying[0].label
        parameters.loc[f"{label}_sigma"] = [maximum.sds[0], np.nan]
        measures[f"p-value of SD = 0 of {label}"] = found.sd_p_value
        if found.sd == 0:
            findings.append(
                Finding(
                    "warning", f"the SD of {label} is estimated at 0 (singular): no spread between groups was found"
                )
            )
    parameters["2.5 %"] = parameters["estimate"] - _Z_975 * parameters["se"]
    parameters["97.5 %"] = parameters["estimate"] + _Z_975 * parameters["se"]
    if not found.converged:
        findings.append(
            Finding("failure", "the likelihood has no maximum that the optimiser could find; look for separation")
        )
    return EngineResult("ml", Diagnostics(tuple(findings), measures, parameters), maximum=maximum)


def threshold_labels(categories: tuple[str, ...]) -> list[str]:
    """Return what summaries call the thresholds: ``threshold[0|1]`` lies between the categories 0 and 1."""
    return [f"threshold[{low}|{high}]" for low, high in pairwise(categories)]


def _labelled(result: EngineResult, model: Model, design: Design) -> EngineResult:
    names = {f"threshold[{k}]": label for k, label in enumerate(threshold_labels(design.categories))}
    parameters = result.diagnostics.parameters.rename(index=names)
    found = tuple(replace(finding, text=_renamed(finding.text, names)) for finding in result.diagnostics.findings)
    found += tuple(threshold_prior_findings(model.priors.thresholds.concentration(len(design.categories)), design))
    return replace(result, diagnostics=replace(result.diagnostics, parameters=parameters, findings=found))


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def _one_intercept(design: Design) -> bool:
    varying = design.recipe.varying
    return not varying or (len(varying) == 1 and varying[0].term == "1")
