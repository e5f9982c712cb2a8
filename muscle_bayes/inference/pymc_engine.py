"""Any model of the catalogue through PyMC, sampled by nutpie."""

from typing import Any

import numpy as np
from arviz_stats.base import array_stats

from muscle_bayes.inference.diagnostics import Diagnostics, chain_findings, summarise_parameters
from muscle_bayes.inference.draws import Draws
from muscle_bayes.specification.bayesian_models import to_pymc
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.model import Model

#: 0.95 gave no divergence on the main model where 0.8 gave one to five.
_TARGET_ACCEPT = 0.95


def sample_pymc(
    model: Model, design: Design, *, draws: int, tune: int, chains: int, seed: int, progress: bool = False
) -> tuple[Draws, dict[str, np.ndarray], Diagnostics]:
    """Sample the posterior with nutpie from the PyMC model.

    Parameters
    ----------
    model : Model
        The model.
    design : Design
        Its analysis set.
    draws, tune, chains : int
        Draws and tuning draws a chain.
    seed : int
        Of the sampler.
    progress : bool
        Whether nutpie shows its progress.

    Returns
    -------
    draws : Draws
        Chains of draws.
    sample_stats : dict of str to numpy.ndarray, shape (chains, draws)
        diverging, energy, tree_depth, n_steps.
    diagnostics : Diagnostics
        Findings about the chains.
    """
    import nutpie

    graph = to_pymc(model, design)
    compiled = nutpie.compile_pymc_model(graph)
    trace: Any = nutpie.sample(
        compiled,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        target_accept=_TARGET_ACCEPT,
        progress_bar=progress,
        save_warmup=False,
    )
    found = Draws.from_dataset(trace["posterior"].to_dataset(), design.recipe)
    stats = trace["sample_stats"].to_dataset()
    kept = {"diverging": "diverging", "energy": "energy", "depth": "tree_depth", "n_steps": "n_steps"}
    sample_stats = {ours: stats[theirs].to_numpy() for theirs, ours in kept.items() if theirs in stats}
    parameters = summarise_parameters(found, design.recipe)
    divergences = int(sample_stats["diverging"].sum())
    bfmi = float(np.min(array_stats.bfmi(sample_stats["energy"], chain_axis=0, draw_axis=1)))
    measures = {
        "divergences": divergences,
        "largest R-hat": float(parameters["r_hat"].max()),
        "smallest bulk ESS": float(parameters["ess_bulk"].min()),
        "smallest tail ESS": float(parameters["ess_tail"].min()),
        "smallest BFMI": bfmi,
    }
    return found, sample_stats, Diagnostics(tuple(chain_findings(parameters, divergences, bfmi)), measures, parameters)
