"""`fit`: from a model and a cohort to a fit, by the engine that is asked for or the first that vouches for itself."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.diagnostics import Diagnostics, Finding, design_findings, summarise_parameters
from muscle_bayes.inference.draws import Draws
from muscle_bayes.inference.fit import Fit, Maximum, Method, hash_rows
from muscle_bayes.inference.laplace import laplace_posterior
from muscle_bayes.inference.problem import GroupTerm, LogitProblem
from muscle_bayes.inference.pymc_engine import sample_pymc
from muscle_bayes.inference.support import describe_support
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.model import Model, Priors, load_model

_CHAINS = 4


@dataclass(frozen=True)
class _Result:
    """What an engine gives back; draws or a maximum."""

    method: Method
    diagnostics: Diagnostics
    draws: Draws | None = None
    sample_stats: xr.Dataset | None = None
    maximum: Maximum | None = None


def fit(
    model: Model | str | Path,
    cohort: Any,
    method: Literal["auto", "nuts", "laplace", "ml"] = "auto",
    *,
    seed: int = 1,
    draws: int = 4000,
    tune: int = 1000,
    priors: str | Priors | None = None,
    progress: bool = False,
) -> Fit:
    """Fit a model to a cohort.

    Parameters
    ----------
    model : Model or str or pathlib.Path
        A model, the name of one in the catalogue, or a model file.
    cohort : Cohort or pandas.DataFrame
        One row a participant, raw units.
    method : {"auto", "nuts", "laplace", "ml"}
        `laplace` corrects a Laplace approximation by importance sampling and certifies the result; `nuts` samples the
        posterior with PyMC and nutpie; `auto` takes `laplace` where it certifies itself, else `nuts`, and says so.
    seed : int
        Seed of every random number.
    draws : int
        Posterior draws, laid out as four chains.
    tune : int
        Tuning draws a chain, for `nuts`.
    priors : str or Priors, optional
        A prior set (`weak`, `sceptical`), or priors of one's own.
    progress : bool
        Whether the sampler shows its progress.

    Returns
    -------
    Fit
        The posterior with diagnostics; look at `fit.diagnostics` before anything else.

    Raises
    ------
    MissingColumnError, EmptyTableError, InvalidValueError
        Where the cohort does not hold what the model needs.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    model = model.with_priors(priors)
    if draws < _CHAINS or draws % _CHAINS:
        raise InvalidValueError(
            "draws", f"{draws} draws cannot be laid out as {_CHAINS} chains", f"Take a multiple of {_CHAINS}"
        )
    design = model.design(cohort)
    if method == "nuts":
        result = _nuts(model, design, draws, tune, seed, progress)
    elif method in ("laplace", "auto"):
        result = _laplace(model, design, draws, seed)
        if method == "auto" and not result.diagnostics.passed:
            reasons = "; ".join(finding.text for finding in result.diagnostics.findings)
            result = _nuts(model, design, draws, tune, seed, progress)
            note = Finding("note", f"sampled by NUTS because the Laplace posterior was not certified: {reasons}")
            result = replace(
                result, diagnostics=replace(result.diagnostics, findings=(*result.diagnostics.findings, note))
            )
    else:
        raise InvalidValueError("method", f"there is no engine {method!r}", "Take auto, laplace or nuts")
    return _assemble(model, design, result, seed)


def logit_problem(model: Model, design: Design) -> LogitProblem:
    """Return the arrays that the engines take.

    Parameters
    ----------
    model : Model
        With its priors.
    design : Design
        The analysis set.

    Returns
    -------
    LogitProblem
        The intercept of the centred design first; one random intercept, or none.
    """
    priors = model.normal_priors()
    ordered = [priors["intercept"], *(priors[column.term] for column in design.recipe.columns)]
    site = design.recipe.site
    groups = (GroupTerm(f"1|{site}", design.site, len(design.recipe.site_levels)),) if site else ()
    return LogitProblem(
        y=design.y,
        X=np.column_stack([np.ones(len(design.y)), design.X]),
        groups=groups,
        prior_mean=np.array([prior.mean for prior in ordered]),
        prior_sd=np.array([prior.sd for prior in ordered]),
        sd_scale=np.full(len(groups), model.priors.site_sd.half_normal),
    )


def _laplace(model: Model, design: Design, draws: int, seed: int) -> _Result:
    found = laplace_posterior(logit_problem(model, design), draws, seed, least_ess=min(1000.0, 0.4 * draws))
    site = design.recipe.site is not None
    chained = Draws.from_centred(
        _chains(found.beta),
        design.recipe,
        _chains(found.effects[0]) if site else None,
        _chains(found.sd[:, 0]) if site else None,
    )
    stats = xr.Dataset(
        {"log_weight": (("chain", "draw"), _chains(found.raw_log_weights[found.raw_index]))},
        attrs={"ess": found.ess, "khat": found.khat, "log_evidence": found.log_evidence},
    )
    measures = {
        "k-hat": found.khat,
        "ESS of the weights": found.ess,
        "log evidence": found.log_evidence,
        "its MCSE": found.log_evidence_mcse,
    }
    failures = tuple(Finding("failure", f"not certified: {reason}") for reason in found.certificate.failures)
    parameters = summarise_parameters(chained, design.recipe, weights_ess=found.ess)
    return _Result("laplace", Diagnostics(failures, measures, parameters), chained, stats)


def _nuts(model: Model, design: Design, draws: int, tune: int, seed: int, progress: bool) -> _Result:
    chained, stats, diagnostics = sample_pymc(
        model, design, draws=draws // _CHAINS, tune=tune, chains=_CHAINS, seed=seed, progress=progress
    )
    sample_stats = xr.Dataset({name: (("chain", "draw"), values) for name, values in stats.items()})
    return _Result("nuts", diagnostics, chained, sample_stats)


def _chains(values: np.ndarray) -> np.ndarray:
    return values.reshape(_CHAINS, -1, *values.shape[1:])


def _assemble(model: Model, design: Design, result: _Result, seed: int) -> Fit:
    tree = None
    if result.draws is not None:
        centre = result.draws.coefficients.mean(axis=(0, 1))
        groups = {"posterior": result.draws.to_dataset(design.recipe)}
        if result.sample_stats is not None:
            groups["sample_stats"] = result.sample_stats
        tree = xr.DataTree.from_dict(groups)
    else:
        assert result.maximum is not None
        centre = result.maximum.coefficients[1:]
    site = [design.recipe.site] if design.recipe.site else []
    used = list(dict.fromkeys([model.parsed_event.column, *design.recipe.raw_columns, *site]))
    findings = (*result.diagnostics.findings, *design_findings(design))
    return Fit(
        model=model,
        method=result.method,
        seed=seed,
        recipe=design.recipe,
        posterior=tree,
        maximum=result.maximum,
        support=describe_support(model, design, centre),
        diagnostics=replace(result.diagnostics, findings=findings),
        flow=design.flow,
        n=len(design.y),
        events=int(design.y.sum()),
        simulated=design.simulated,
        data_hash=hash_rows(design.frame[used]),
        cohort=design.frame,
    )
