"""The same model as real Bambi and PyMC objects."""

from typing import Any

import numpy as np

from muscle_bayes.specification.design import Design
from muscle_bayes.specification.group_models import add_group_effects, bambi_groups
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.ordinal_models import add_ordered_outcome, ordinal_to_bambi
from muscle_bayes.specification.transforms import namespace

#: Name of the intercept of the centred design in the PyMC model; `Intercept` is that of the columns as they are.
CENTRED_INTERCEPT = "Intercept_centered"


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

    if model.family == "cumulative":
        return ordinal_to_bambi(model, design)
    formula = model.parsed
    columns, priors = bambi_groups(model, design)
    data = design.frame[list(formula.names)].assign(**columns, **{formula.response: design.y.astype(int)})
    for label, prior in model.normal_priors().items():
        priors["Intercept" if label == "intercept" else label] = bmb.Prior("Normal", mu=prior.mean, sigma=prior.sd)
    known = namespace(design.recipe.smooths)
    return bmb.Model(str(formula), data, family="bernoulli", priors=priors, extra_namespace=known)


def to_pymc(model: Model, design: Design, *, comma: str = ",") -> Any:
    """Return the model as a `pymc.Model` with a numerically stable likelihood.

    Bambi passes the probability through a clipped inverse logit and stores it for every person and draw; here the
    likelihood takes the log odds. Variables, dimensions and coordinates carry Bambi's names.

    Parameters
    ----------
    model : Model
        The model.
    design : Design
        Its analysis set.
    comma : str
        What stands for a comma in names of dimensions: nutpie takes one for the end of a name.

    Returns
    -------
    pymc.Model
        Free variables: `Intercept_centered`, one per term, ``1|site_sigma``, and ``1|site`` (with many persons a site, where
        the centred form samples better) or ``1|site_offset``, and likewise for whatever else varies by group;
        of an ordered outcome `middle_threshold`, `share_below` and `share_above` in place of the intercept.
    """
    import pymc as pm
    import pytensor.tensor as pt

    recipe = design.recipe
    priors = model.normal_priors()
    with pm.Model() as graph:
        ordered = model.family == "cumulative"
        if ordered:
            intercept = pt.as_tensor(0.0)
        else:
            prior = priors["intercept"]
            intercept = pm.Normal(CENTRED_INTERCEPT, prior.mean, prior.sd)
        shift = pt.as_tensor(0.0)
        blocks = []
        for term in recipe.terms:
            label = ":".join(term)
            levels = [column.level for column in recipe.columns if column.term == label]
            prior = priors[label]
            if levels[0] is None:
                blocks.append(pm.Normal(label, prior.mean, prior.sd)[None])
            else:
                dim = f"{label}_dim".replace(",", comma)
                graph.add_coord(dim, levels)
                blocks.append(pm.Normal(label, prior.mean, prior.sd, dims=dim))
        log_odds = intercept
        if blocks:
            coefficients = pt.concatenate(blocks)
            shift = pt.dot(recipe.centre, coefficients)
            log_odds = log_odds + pt.dot(design.X, coefficients)
        if not ordered:
            pm.Deterministic("Intercept", intercept - shift)
        log_odds = log_odds + add_group_effects(graph, model, design)
        if ordered:
            add_ordered_outcome(graph, model, design, log_odds, shift)
            return graph
        pm.Bernoulli(model.parsed.response, logit_p=log_odds, observed=design.y.astype(np.int8))
    return graph
