"""The same model as real Bambi and PyMC objects."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.specification.design import Design
from muscle_bayes.specification.model import Model

#: Name of the intercept of the centred design in the PyMC model; `Intercept` is that of the columns as they are.
CENTRED_INTERCEPT = "Intercept_centered"

#: Persons a site from which the data, not the prior, place the site effects.
_CENTRED_FROM = 2_000


def to_bambi(model: Model, design: Design) -> Any:
    """Return the model as a `bambi.Model`.

    Parameters
    ----------
    model : Model
        The model.
    design : Design
        Its analysis set.

    Returns
    -------
    bambi.Model
        Not built yet; its data are the analysis set with the outcome as 0/1 in the formula's response.
    """
    import bambi as bmb

    formula = model.parsed
    site = design.recipe.site
    data = design.frame[list(formula.names)].assign(**{formula.response: design.y.astype(int)})
    if site:
        data[site] = pd.Categorical(
            np.array(design.recipe.site_levels)[design.site], categories=list(design.recipe.site_levels)
        )
    priors: dict[str, Any] = {}
    for label, prior in model.normal_priors().items():
        priors["Intercept" if label == "intercept" else label] = bmb.Prior("Normal", mu=prior.mean, sigma=prior.sd)
    if site:
        spread = bmb.Prior("HalfNormal", sigma=model.priors.site_sd.half_normal)
        priors[f"1|{site}"] = bmb.Prior("Normal", mu=0, sigma=spread)
    return bmb.Model(str(formula), data, family="bernoulli", priors=priors)


def to_pymc(model: Model, design: Design) -> Any:
    """Return the model as a `pymc.Model` with a numerically stable likelihood.

    Bambi passes the probability through a clipped inverse logit and stores it for every person and draw; here the
    likelihood takes the log odds. Variables, dimensions and coordinates carry Bambi's names.

    Parameters
    ----------
    model : Model
        The model.
    design : Design
        Its analysis set.

    Returns
    -------
    pymc.Model
        Free variables: `Intercept_centered`, one per term, ``1|site_sigma``, and ``1|site`` (with many persons a site, where
        the centred form samples better) or ``1|site_offset``.
    """
    import pymc as pm
    import pytensor.tensor as pt

    recipe = design.recipe
    priors = model.normal_priors()
    with pm.Model() as graph:
        intercept = pm.Normal(CENTRED_INTERCEPT, priors["intercept"].mean, priors["intercept"].sd)
        blocks = []
        for term in recipe.terms:
            label = ":".join(term)
            levels = [column.level for column in recipe.columns if column.term == label]
            prior = priors[label]
            if levels[0] is None:
                blocks.append(pm.Normal(label, prior.mean, prior.sd)[None])
            else:
                dim = f"{label}_dim"
                graph.add_coord(dim, levels)
                blocks.append(pm.Normal(label, prior.mean, prior.sd, dims=dim))
        log_odds = intercept
        if blocks:
            coefficients = pt.concatenate(blocks)
            pm.Deterministic("Intercept", intercept - pt.dot(recipe.centre, coefficients))
            log_odds = log_odds + pt.dot(design.X, coefficients)
        else:
            pm.Deterministic("Intercept", intercept * 1.0)
        if recipe.site:
            name = f"1|{recipe.site}"
            dim = f"{recipe.site}__factor_dim"
            graph.add_coord(dim, recipe.site_levels)
            sigma = pm.HalfNormal(f"{name}_sigma", model.priors.site_sd.half_normal)
            if len(design.y) >= _CENTRED_FROM * len(recipe.site_levels):
                effects = pm.Normal(name, 0, sigma, dims=dim)
            else:
                effects = pm.Deterministic(name, sigma * pm.Normal(f"{name}_offset", 0, 1, dims=dim), dims=dim)
            log_odds = log_odds + effects[design.site]
        pm.Bernoulli(model.parsed.response, logit_p=log_odds, observed=design.y.astype(np.int8))
    return graph
