"""The proportional-odds model as real Bambi and PyMC objects.

Of the thresholds c_k of the centred columns the middle one, c_m with m = K // 2, has the prior of the intercept (with the other
sign). With d_k = c_k - c_m and F the logistic function, the shares F(d_k) - F(d_{k-1}) below d_m = 0, and those above it, are
each Dirichlet(a, ..., a) on their half (McCullagh 1980, JRSS B 42:109, for the model).
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
    thresholds are flat and a potential carries their prior: the posterior is ours, the prior predictive of Bambi is
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
    size = len(design.categories)
    below, concentration = size // 2, model.priors.thresholds.concentration(size)
    middle = model.priors.intercept

    def flat(name: str, dims: Any = None, **_: Any) -> Any:
        return pm.Flat(name, dims=dims, transform=pm.distributions.transforms.ordered, initval=start)

    def prior(threshold: Any, *coefficients: Any) -> Any:
        """Log density of the thresholds of the centred columns."""
        stacked = pt.concatenate([pt.atleast_1d(one) for one in coefficients]) if coefficients else np.empty(0)
        centred = threshold - pt.dot(recipe.centre, stacked) if coefficients else threshold
        place = centred[below - 1]
        cumulated = pm.math.sigmoid(centred - place)
        shares = 2 * pt.concatenate([cumulated[:1], cumulated[1:] - cumulated[:-1], 1 - cumulated[-1:]])
        density = pm.logp(pm.Normal.dist(-middle.mean, middle.sd), place)
        for half, count in ((shares[:below], below), (shares[below:], size - below)):
            if count > 1:
                density += pm.logp(pm.Dirichlet.dist(np.full(count, concentration)), half)
        # From the shares of both halves to the distances; the term of the middle one, log(1/2), is taken off again.
        return density + (np.log(2) + pt.log(cumulated) + pt.log1p(-cumulated)).sum() + np.log(2)

    for label, normal in model.normal_priors().items():
        if label != "intercept":
            priors[label] = bmb.Prior("Normal", mu=normal.mean, sigma=normal.sd)
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
            potentials=[((THRESHOLD, *labels), prior)],
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
    below, concentration = size // 2, model.priors.thresholds.concentration(size)
    place = pm.Normal("middle_threshold", -model.priors.intercept.mean, model.priors.intercept.sd)
    around: list[Any] = [pt.zeros(1)]
    if below > 1:
        lower = pt.cumsum(pm.Dirichlet("share_below", np.full(below, concentration)))[:-1] / 2
        around.insert(0, pt.log(lower) - pt.log1p(-lower))
    if size - below > 1:
        # From the other end: 1 minus a sum close to 1 has few digits left.
        upper = pt.cumsum(pm.Dirichlet("share_above", np.full(size - below, concentration))[::-1])[::-1][1:] / 2
        around.append(pt.log1p(-upper) - pt.log(upper))
    centred = place + pt.concatenate(around)
    pm.Deterministic(THRESHOLD, centred + shift, dims=f"{THRESHOLD}_dim")
    codes = design.y.astype(int)
    eta = log_odds + np.zeros(len(codes))
    pm.OrderedLogistic(model.parsed.response, eta=eta, cutpoints=centred, compute_p=False, observed=codes)


def _start(codes: np.ndarray, categories: int) -> np.ndarray:
    counts = np.bincount(codes, minlength=categories) + 1.0
    below = np.cumsum(counts)[:-1] / counts.sum()
    return np.log(below / (1 - below))
