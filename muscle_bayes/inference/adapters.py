"""Each engine behind one signature: a model and its design in, draws or a maximum with their diagnostics out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from muscle_bayes.inference.diagnostics import Diagnostics, Finding, chain_findings, summarise_parameters
from muscle_bayes.inference.draws import Draws
from muscle_bayes.inference.fit import Method
from muscle_bayes.inference.laplace import laplace_posterior
from muscle_bayes.inference.maximum import Maximum
from muscle_bayes.inference.maximum_likelihood import maximum_likelihood
from muscle_bayes.inference.problem import GroupTerm, LogitProblem
from muscle_bayes.inference.sampling import nuts_posterior
from muscle_bayes.specification.bayesian_models import to_pymc
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.grouping import INTERCEPT
from muscle_bayes.specification.model import Model

CHAINS = 4
_Z_975 = 1.959963984540054

#: 0.95 gave no divergence on the main model where 0.8 gave one to five.
_PYMC_TARGET_ACCEPT = 0.95
_PYMC_TUNE = 1000

#: For a comma in names of dimensions, which nutpie would take for the end of a name.
_COMMA = ";"


@dataclass(frozen=True)
class EngineResult:
    """What an engine gives back: draws with their statistics, or a maximum.

    Attributes
    ----------
    method : str
        The engine.
    diagnostics : Diagnostics
        Its own findings; findings about the design are added later.
    draws : Draws or None
        Four chains.
    sample_stats : xarray.Dataset or None
        By chain and draw.
    maximum : Maximum or None
        For maximum likelihood.
    """

    method: Method
    diagnostics: Diagnostics
    draws: Draws | None = None
    sample_stats: xr.Dataset | None = None
    maximum: Maximum | None = None


def logit_problem(model: Model, design: Design) -> LogitProblem:
    """Return the arrays that our own engines take.

    Parameters
    ----------
    model : Model
        With its priors.
    design : Design
        The analysis set.

    Returns
    -------
    LogitProblem
        The intercept of the centred design first; then whatever varies by group, by columns that are not centred, as in
        Bambi and lme4.
    """
    priors = model.normal_priors()
    ordered = [priors["intercept"], *(priors[column.term] for column in design.recipe.columns)]
    recipe = design.recipe
    raw, n_levels = design.X + recipe.centre, {factor.name: len(factor.levels) for factor in recipe.factors}
    groups = tuple(
        GroupTerm(
            one.label,
            design.groups[one.factor],
            n_levels[one.factor],
            None if one.column == INTERCEPT else one.covariate(raw),
        )
        for one in recipe.varying
    )
    return LogitProblem(
        y=design.y,
        X=np.column_stack([np.ones(len(design.y)), design.X]),
        groups=groups,
        prior_mean=np.array([prior.mean for prior in ordered]),
        prior_sd=np.array([prior.sd for prior in ordered]),
        sd_scale=np.array([model.sd_prior(one.term, one.factor).scale for one in recipe.varying]),
    )


def run_laplace(model: Model, design: Design, *, draws: int, seed: int) -> EngineResult:
    """Laplace approximation corrected by importance sampling, with its certificate.

    Parameters
    ----------
    model, design : Model, Design
        What to fit.
    draws : int
        Posterior draws, a multiple of four.
    seed : int
        Of the draws.

    Returns
    -------
    EngineResult
        `sample_stats.attrs` hold ess, khat and log_evidence; each criterion that is not met is a failure.
    """
    found = laplace_posterior(logit_problem(model, design), draws, seed, least_ess=min(1000.0, 0.4 * draws))
    effects, sds = [_chains(effect) for effect in found.effects], [_chains(sd) for sd in found.sd.T]
    chained = Draws.from_centred(_chains(found.beta), design.recipe, effects, sds)
    stats = xr.Dataset(
        {"log_weight": (("chain", "draw"), _chains(found.raw_log_weights[found.raw_index]))},
        attrs={"ess": found.ess, "khat": found.khat, "log_evidence": found.log_evidence},
    )
    measures = {
        "k-hat": found.khat,
        "ESS of the weights": found.ess,
        "log evidence": found.log_evidence,
        "MCSE of the log evidence": found.log_evidence_mcse,
    }
    failures = tuple(Finding("failure", f"not certified: {reason}") for reason in found.certificate.failures)
    parameters = summarise_parameters(chained, design.recipe, weights_ess=found.ess)
    return EngineResult("laplace", Diagnostics(failures, measures, parameters), chained, stats)


def run_nuts(model: Model, design: Design, *, draws: int, seed: int) -> EngineResult:
    """NUTS on our own log density in standardised coordinates.

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
    found = nuts_posterior(logit_problem(model, design), draws // CHAINS, chains=CHAINS, seed=seed)
    draws_ = Draws.from_centred(found.beta, design.recipe, found.effects, list(np.moveaxis(found.sd, -1, 0)))
    return sampled("nuts", draws_, found.statistics, design)


def run_pymc(model: Model, design: Design, *, draws: int, seed: int, progress: bool) -> EngineResult:
    """NUTS on the PyMC model.

    Parameters
    ----------
    model, design : Model, Design
        What to fit.
    draws : int
        Posterior draws over four chains.
    seed : int
        Of the sampler.
    progress : bool
        Whether nutpie shows its progress.

    Returns
    -------
    EngineResult
        Chains with their diagnostics.
    """
    import nutpie

    compiled = nutpie.compile_pymc_model(to_pymc(model, design, comma=_COMMA))
    trace: Any = nutpie.sample(
        compiled,
        draws=draws // CHAINS,
        tune=_PYMC_TUNE,
        chains=CHAINS,
        seed=seed,
        target_accept=_PYMC_TARGET_ACCEPT,
        progress_bar=progress,
        save_warmup=False,
    )
    posterior = trace["posterior"].to_dataset()
    posterior = posterior.rename(
        {name: str(name).replace(_COMMA, ",") for name in posterior.dims if _COMMA in str(name)}
    )
    found = Draws.from_dataset(posterior, design.recipe)
    stats = trace["sample_stats"].to_dataset()
    names = {"diverging": "diverging", "energy": "energy", "depth": "tree_depth", "n_steps": "n_steps"}
    return sampled("pymc", found, {ours: stats[theirs].to_numpy() for theirs, ours in names.items()}, design)


def run_ml(model: Model, design: Design) -> EngineResult:
    """Maximum marginal likelihood by the Laplace approximation, as lme4's glmer.

    Parameters
    ----------
    model, design : Model, Design
        What to fit; priors are ignored.

    Returns
    -------
    EngineResult
        The maximum with Wald intervals; an SD of 0 has none, and is said.
    """
    found = maximum_likelihood(logit_problem(model, design))
    recipe = design.recipe
    uncentre = np.eye(len(found.coefficients))
    uncentre[0, 1:] = -recipe.centre
    maximum = Maximum(
        coefficients=uncentre @ found.coefficients,
        covariance=uncentre @ found.covariance @ uncentre.T,
        sds=tuple(float(sd) for sd in found.sd),
        effects=tuple(found.effects),
        site=next((t for t, one in enumerate(recipe.varying) if one.name == f"1|{recipe.site}"), None),
        log_likelihood=-found.deviance / 2,
    )
    estimates = dict(
        zip(["Intercept", *(column.label for column in recipe.columns)], maximum.coefficients, strict=True)
    )
    errors = list(np.sqrt(np.diag(maximum.covariance)))
    for one, sd in zip(recipe.varying, maximum.sds, strict=True):
        estimates[f"{one.label}_sigma"] = sd
        errors.append(np.nan)
    rows = {"estimate": pd.Series(estimates), "se": pd.Series(errors, index=list(estimates))}
    parameters = pd.DataFrame(rows)
    parameters["2.5 %"] = parameters["estimate"] - _Z_975 * parameters["se"]
    parameters["97.5 %"] = parameters["estimate"] + _Z_975 * parameters["se"]
    findings = []
    if not found.converged:
        findings.append(
            Finding("failure", "the likelihood has no maximum that the optimiser could find; look for separation")
        )
    if found.message:
        findings.append(Finding("warning", found.message))
    measures: dict[str, Any] = {"log likelihood": maximum.log_likelihood}
    for one, p_value in zip(recipe.varying, found.sd_p_value, strict=True):
        what = "site SD = 0" if one.name == f"1|{recipe.site}" else f"SD = 0 of {one.label}"
        measures[f"p-value of {what}"] = float(p_value)
    return EngineResult("ml", Diagnostics(tuple(findings), measures, parameters), maximum=maximum)


def sampled(method: Method, draws: Draws, stats: dict[str, np.ndarray], design: Design) -> EngineResult:
    """Return chains with their diagnostics.

    Parameters
    ----------
    method : str
        The engine.
    draws : Draws
        Chains.
    stats : dict of str to numpy.ndarray, shape (chains, draws)
        Sampler statistics, `diverging` and `energy` among them.
    design : Design
        The analysis set.

    Returns
    -------
    EngineResult
        With the findings of `chain_findings`.
    """
    from arviz_stats.base import array_stats

    parameters = summarise_parameters(draws, design.recipe)
    divergences = int(stats["diverging"].sum())
    bfmi = float(np.min(array_stats.bfmi(stats["energy"], chain_axis=0, draw_axis=1)))
    measures = {
        "divergences": divergences,
        "largest R-hat": float(parameters["r_hat"].max()),
        "smallest bulk ESS": float(parameters["ess_bulk"].min()),
        "smallest tail ESS": float(parameters["ess_tail"].min()),
        "smallest BFMI": bfmi,
    }
    diagnostics = Diagnostics(tuple(chain_findings(parameters, divergences, bfmi)), measures, parameters)
    sample_stats = xr.Dataset({name: (("chain", "draw"), values) for name, values in stats.items()})
    return EngineResult(method, diagnostics, draws, sample_stats)


def _chains(values: np.ndarray) -> np.ndarray:
    return values.reshape(CHAINS, len(values) // CHAINS, *values.shape[1:])
