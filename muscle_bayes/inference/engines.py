"""`fit`: from a model and a cohort to a fit, by the engine that is asked for or the first that vouches for itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.adapters import CHAINS, EngineResult, run_laplace, run_ml, run_nuts, run_pymc
from muscle_bayes.inference.array_modules import import_dask_alone
from muscle_bayes.inference.diagnostics import Finding, design_findings
from muscle_bayes.inference.fit import Fit
from muscle_bayes.inference.ordinal_engines import run_ordinal
from muscle_bayes.inference.ordinal_findings import ordinal_findings
from muscle_bayes.inference.provenance import hash_rows
from muscle_bayes.inference.support import describe_support
from muscle_bayes.specification.catalogue import load_model
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.published import require_new_data
from muscle_bayes.specification.sections import Priors


def fit(
    model: Model | str | Path,
    cohort: Any,
    method: Literal["auto", "nuts", "laplace", "pymc", "ml"] = "auto",
    *,
    seed: int = 1,
    draws: int = 4000,
    priors: str | Priors | None = None,
    overlaps_nako: bool = False,
    force_published: bool = False,
    progress: bool = False,
) -> Fit:
    """Fit a model to a cohort.

    Parameters
    ----------
    model : Model or str or pathlib.Path
        A model, the name of one in the catalogue, or a model file.
    cohort : Cohort or pandas.DataFrame
        One row a participant, raw units.
    method : {"auto", "nuts", "laplace", "pymc", "ml"}
        `laplace` corrects a Laplace approximation by importance sampling and certifies the result; `nuts` samples the
        posterior from our own log density; `auto` takes `laplace` where it certifies itself, else `nuts`, and says so.
        `pymc` samples the PyMC model, which is slower and shares no code with the other two below the design matrix. All
        samplers are nutpie's. `ml` maximises the marginal likelihood, as lme4's glmer does, and ignores the priors. For an
        ordered outcome there is no `laplace`: `auto` samples, and `ml` is that of R's ordinal::clmm.
    seed : int
        Seed of every random number.
    draws : int
        Posterior draws, laid out as four chains.
    priors : str or Priors, optional
        A prior set (`weak`, `sceptical`, `published`), or priors of one's own.
    overlaps_nako : bool
        Whether participants are also in the NAKO study of 2025, whose odds ratios the set `published` takes. Such a cohort
        would use its data twice, so `published` is refused for it, for one with NAKO's sites, and for simulated ones.
    force_published : bool
        Take `published` for such a cohort all the same; a finding of the fit then says so.
    progress : bool
        Whether the sampler shows its progress (`pymc`).

    Returns
    -------
    Fit
        The posterior with diagnostics; look at `fit.diagnostics` before anything else.

    Raises
    ------
    ModelFileError, FormulaError
        Where the model breaks a rule.
    PriorError
        Where `published` does not apply to the model, or would use the data twice.
    MissingColumnError, EmptyTableError, InvalidValueError
        Where the cohort does not hold what the model needs, or an argument is none.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    model = model.with_priors(priors)
    if draws < CHAINS or draws % CHAINS:
        raise InvalidValueError(
            "draws", f"{draws} cannot be laid out as {CHAINS} chains", f"Take a multiple of {CHAINS}"
        )
    if method not in ("auto", "nuts", "laplace", "pymc", "ml"):
        raise InvalidValueError("method", f"there is no engine {method!r}", "Take auto, laplace, nuts, pymc or ml")
    if seed < 0:
        raise InvalidValueError("seed", f"{seed} is negative", "Take a whole number from 0")
    design = model.design(cohort)
    import_dask_alone()
    reuse = ""
    if method != "ml":
        reuse = require_new_data(model, design, overlaps_nako=overlaps_nako, force_published=force_published)
    if model.family == "cumulative":
        result = run_ordinal(model, design, method, draws=draws, seed=seed, progress=progress)
    elif method == "ml":
        result = run_ml(model, design)
    elif method == "pymc":
        result = run_pymc(model, design, draws=draws, seed=seed, progress=progress)
    elif method == "nuts":
        result = run_nuts(model, design, draws=draws, seed=seed)
    elif method == "laplace":
        result = run_laplace(model, design, draws=draws, seed=seed)
    else:
        result = _certified_or_sampled(model, design, draws=draws, seed=seed)
    if reuse:
        found = (*result.diagnostics.findings, Finding("warning", reuse))
        result = replace(result, diagnostics=replace(result.diagnostics, findings=found))
    return _assemble(model, design, result, seed)


def _certified_or_sampled(model: Model, design: Design, *, draws: int, seed: int) -> EngineResult:
    """Take the Laplace posterior where it vouches for itself, else sample, and say why."""
    try:
        result = run_laplace(model, design, draws=draws, seed=seed)
        # An outcome that never varies is refused whatever the engine: no need to sample for it.
        if result.diagnostics.passed or design.y.min() == design.y.max():
            return result
        reasons = "; ".join(finding.text for finding in result.diagnostics.findings)
        why = f"the Laplace posterior was not certified: {reasons}"
    except InvalidValueError as error:
        # Too many things vary for a grid of their SDs; what is wrong with the data, NUTS refuses as well.
        why = f"the Laplace engine does not take this model: {error.where}, {error.problem}"
    result = run_nuts(model, design, draws=draws, seed=seed)
    findings = (*result.diagnostics.findings, Finding("note", f"sampled by NUTS because {why}"))
    return replace(result, diagnostics=replace(result.diagnostics, findings=findings))


def _assemble(model: Model, design: Design, result: EngineResult, seed: int) -> Fit:
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
    used = list(dict.fromkeys([model.parsed_event.column, *design.recipe.raw_columns, *design.recipe.group_columns]))
    judge = ordinal_findings if model.family == "cumulative" else design_findings
    findings = (*result.diagnostics.findings, *judge(design, priors=result.maximum is None))
    counts = np.bincount(design.y.astype(int), minlength=len(design.categories))
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
        events=int((design.y > 0).sum()),
        simulated=design.simulated,
        data_hash=hash_rows(design.frame[used]),
        cohort=design.frame,
        categories=dict(zip(design.categories, counts.tolist(), strict=False)),
    )
