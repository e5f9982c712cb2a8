"""Random intercepts and slopes as Bambi and PyMC state them: independent normals, each with the SD of its own prior."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.specification.design import Design
from muscle_bayes.specification.grouping import Varying
from muscle_bayes.specification.model import Model

#: Persons a group from which the data, not the prior, place the effects.
_CENTRED_FROM = 2_000


def blocks_of(varying: tuple[Varying, ...]) -> dict[str, list[int]]:
    """Return the numbers of what varies by the posterior's variable: one each, or one a level of a categorical term."""
    blocks: dict[str, list[int]] = {}
    for t, one in enumerate(varying):
        blocks.setdefault(one.name, []).append(t)
    return blocks


def bambi_groups(model: Model, design: Design) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the grouping columns as Bambi needs them, and the priors of what varies over them.

    Parameters
    ----------
    model : Model
        With its priors.
    design : Design
        Its analysis set.

    Returns
    -------
    columns : dict of str to array
        Columns of the data; whole numbers as integers, so that levels read ``0:1`` and not ``0.0:1.0``.
    priors : dict of str to bambi.Prior
        By variable.
    """
    import bambi as bmb

    recipe = design.recipe
    columns: dict[str, Any] = {}
    for factor in recipe.factors:
        for name in factor.columns:
            values = design.frame[name]
            if name in recipe.predictors:
                whole = pd.api.types.is_float_dtype(values) and bool((values == values.round()).all())
                columns[name] = values.astype(int) if whole else values
            elif len(factor.columns) == 1:
                levels = list(factor.levels)
                columns[name] = pd.Categorical(np.array(levels)[design.groups[factor.name]], categories=levels)
            else:
                columns[name] = values.astype("str")
    priors = {}
    for one in recipe.varying:
        spread = bmb.Prior("HalfNormal", sigma=model.sd_prior(one.term, one.factor).scale)
        priors[one.name] = bmb.Prior("Normal", mu=0, sigma=spread)
    return columns, priors


def add_group_effects(graph: Any, model: Model, design: Design) -> Any:
    """Add group effects to a PyMC model under construction.

    Parameters
    ----------
    graph : pymc.Model
        In whose context this is called.
    model : Model
        With its priors.
    design : Design
        Its analysis set.

    Returns
    -------
    tensor, shape (n,)
        What the groups add to each person's log odds; 0.0 without groups.
    """
    import pymc as pm

    recipe, total = design.recipe, 0.0
    raw = design.X + recipe.centre
    factors = {factor.name: factor for factor in recipe.factors}
    for name, members in blocks_of(recipe.varying).items():
        first = recipe.varying[members[0]]
        factor = factors[first.factor]
        graph.add_coord(factor.dim, factor.levels)
        dims: tuple[str, ...] = (factor.dim,)
        own: tuple[str, ...] | None = None
        if first.level is not None:
            own = (f"{first.term}__expr_dim",)
            graph.add_coord(own[0], [recipe.varying[t].level for t in members])
            dims = (*dims, *own)
        sigma = pm.HalfNormal(f"{name}_sigma", model.sd_prior(first.term, first.factor).scale, dims=own)
        if len(design.y) >= _CENTRED_FROM * len(factor.levels):
            effects = pm.Normal(name, 0, sigma, dims=dims)
        else:
            effects = pm.Deterministic(name, sigma * pm.Normal(f"{name}_offset", 0, 1, dims=dims), dims=dims)
        for place, t in enumerate(members):
            each = effects if own is None else effects[:, place]
            total = total + each[design.groups[first.factor]] * recipe.varying[t].covariate(raw)
    return total
