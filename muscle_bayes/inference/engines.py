"""`fit`: from a model and a cohort to a fit, by the engine that is asked for or the first that vouches for itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from muscle_bayes.inference.diagnostics import design_findings
from muscle_bayes.inference.fit import Fit, hash_rows
from muscle_bayes.inference.pymc_engine import sample_pymc
from muscle_bayes.inference.support import describe_support
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.model import Model, Priors, load_model

_CHAINS = 4


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
        `nuts` samples the posterior.
    seed : int
        Seed of every random number.
    draws : int
        Posterior draws over all four chains.
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
    design = model.design(cohort)
    per_chain = max(1, draws // _CHAINS)
    found, sample_stats, diagnostics = sample_pymc(
        model, design, draws=per_chain, tune=tune, chains=_CHAINS, seed=seed, progress=progress
    )
    tree = xr.DataTree.from_dict(
        {
            "posterior": found.to_dataset(design.recipe),
            "sample_stats": xr.Dataset({name: (("chain", "draw"), values) for name, values in sample_stats.items()}),
        }
    )
    return Fit(
        model=model,
        method="nuts",
        seed=seed,
        recipe=design.recipe,
        posterior=tree,
        maximum=None,
        support=describe_support(model, design, found.coefficients.mean(axis=(0, 1))),
        diagnostics=replace(diagnostics, findings=(*diagnostics.findings, *design_findings(design))),
        flow=design.flow,
        n=len(design.y),
        events=int(design.y.sum()),
        simulated=design.simulated,
        data_hash=hash_rows(design.frame[_used(model, design)]),
        cohort=design.frame,
    )


def _used(model: Model, design: Design) -> list[str]:
    names = [
        model.parsed_event.column,
        *design.recipe.raw_columns,
        *([design.recipe.site] if design.recipe.site else []),
    ]
    return list(dict.fromkeys(names))
