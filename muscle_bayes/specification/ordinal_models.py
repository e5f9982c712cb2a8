"""The proportional-odds model as real Bambi and PyMC objects.

Thresholds carry a Dirichlet prior on the shares of the categories among people whose predictors are at their mean: with
c_k the thresholds of the centred columns, pi_k = F(c_k) - F(c_{k-1}) ~ Dirichlet(a, ..., a), F the logistic function
(McCullagh 1980, JRSS B 42:109, for the model).
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.specification.design import Design
from muscle_bayes.specification.group_models import bambi_groups
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.transforms import namespace

#: Name of the thresholds, Bambi's; they are those of the columns as they are (not centred).
THRESHOLD = "threshold"


def ordinal_to_bambi(model: Model, design: Design) -> Any:
    """Return the model as a `bambi.Model` of family ``cumulative``.

    Bambi neither centres the columns of this family nor lets thresholds and coefficients have a joint prior, so the
    thresholds are flat and a potential carries their Dirichlet prior: the posterior is ours, the prior predictive of Bambi is
    not defined.

    Parameters
    ----------
    model : Model
        The model.
    design : Design
        Its analysis set.

    Returns
    -------
    bambi.Model
        Not built yet.
    """
    import bambi as bmb
    import pymc as pm
    import pytensor.tensor as pt

    formula, recipe = model.parsed, design.recipe
    codes = design.y.astype(int)
    outcome = pd.Categorical([design.categories[code] for code in codes], list(design.categories), ordered=True)
    columns, priors = bambi_groups(model, design)
    data = design.frame[list(formula.names)].assign(**columns, **{formula.response: outcome})
    start = _start(codes, len(design.categories))
    concentration = model.priors.thresholds.dirichlet

    def flat(name: str, dims: Any = None, **_: Any) -> Any:
        return pm.Flat(name, dims=dims, transform=pm.distributions.transforms.ordered, initval=start)

    def dirichlet(threshold: Any, *coefficients: Any) -> Any:
        """Log density of the thresholds of the centred columns."""
        stacked = pt.concatenate([pt.atleast_1d(one) for one in coefficients]) if coefficients else np.empty(0)
        centred = threshold - pt.dot(recipe.centre, stacked) if coefficients else threshold
        below = pm.math.sigmoid(centred)
        shares = pt.concatenate([below[:1], below[1:] - below[:-1], 1 - below[-1:]])
        density = pm.logp(pm.Dirichlet.dist(np.full(len(design.categories), concentration)), shares)
        return density + (pt.log(below) + pt.log1p(-below)).sum()

    for label, prior in model.normal_priors().items():
        if label != "intercept":
            priors[label] = bmb.Prior("Normal", mu=prior.mean, sigma=prior.sd)
    priors[THRESHOLD] = bmb.Prior("Flat", auto_scale=False, dist=flat)
    labels = list(dict.fromkeys(column.term for column in recipe.columns))
    with warnings.catch_warnings():
        # The intercept stays in the formula for the coding of categories by it, and Bambi says that it leaves it out.
        warnings.filterwarnings("ignore", message="The intercept is omitted in ordinal families")
        return bmb.Model(
            str(formula),
            data,
            family="cumulative",
            priors=priors,
            potentials=[((THRESHOLD, *labels), dirichlet)],
            extra_namespace=namespace(recipe.smooths),
        )


def add_ordered_outcome(graph: Any, model: Model, design: Design, log_odds: Any, shift: Any) -> None:
    """Add thresholds and the outcome to a PyMC model.

    Parameters
    ----------
    graph : pymc.Model
        With coefficients and site effects.
    model, design : Model, Design
        The model and its analysis set.
    log_odds : tensor, shape (n,)
        Linear predictor of the centred columns, without an intercept.
    shift : tensor
        Column means times coefficients: what centring takes off.
    """
    import pymc as pm
    import pytensor.tensor as pt

    size = len(design.categories)
    graph.add_coord(f"{THRESHOLD}_dim", np.arange(size - 1))
    graph.add_coord("category", list(design.categories))
    shares = pm.Dirichlet("category_share", np.full(size, model.priors.thresholds.dirichlet), dims="category")
    below = pt.cumsum(shares)[:-1]
    # From the other end as well: 1 minus a sum close to 1 has few digits left.
    above = pt.cumsum(shares[::-1])[::-1][1:]
    centred = pt.log(below) - pt.log(above)
    pm.Deterministic(THRESHOLD, centred + shift, dims=f"{THRESHOLD}_dim")
    codes = design.y.astype(int)
    eta = log_odds + np.zeros(len(codes))
    pm.OrderedLogistic(model.parsed.response, eta=eta, cutpoints=centred, compute_p=False, observed=codes)


def _start(codes: np.ndarray, categories: int) -> np.ndarray:
    counts = np.bincount(codes, minlength=categories) + 1.0
    below = np.cumsum(counts)[:-1] / counts.sum()
    return np.log(below / (1 - below))
