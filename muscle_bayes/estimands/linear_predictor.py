"""The linear predictor with its group effects: columns of persons, draws of their coefficients, and what is integrated out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.sites import expit
from muscle_bayes.specification.grouping import INTERCEPT

#: Groups that a person is in: the number of the site, or numbers by grouping factor.
Members = np.ndarray | Mapping[str, np.ndarray] | None

# 20 Gauss-Hermite nodes integrate expit over a normal of SD up to 3 to better than 1e-6.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class LinearPredictor:
    """Log odds of persons as a product of columns and draws.

    Attributes
    ----------
    columns : numpy.ndarray, shape (n, q)
        1, the design columns, and a column for each group's effect where groups are known.
    draws : numpy.ndarray, shape (S, q)
        Their coefficients.
    variances : numpy.ndarray, shape (S, T)
        Variances of effects that are integrated out: T is 0 but for ``site="marginal"``.
    squares : numpy.ndarray, shape (n, T)
        Squares of what these effects are multiplied with.
    """

    columns: np.ndarray
    draws: np.ndarray
    variances: np.ndarray
    squares: np.ndarray

    def log_odds(self) -> np.ndarray:
        """Return the log odds, shape (S, n), without what is integrated out."""
        return self.draws @ self.columns.T

    def probabilities(self, shift: np.ndarray | float = 0.0) -> np.ndarray:
        """Return probabilities, shape (S, n), of log odds moved by `shift` (n,), integrated where that is asked for."""
        eta = self.log_odds() + shift
        if not self.variances.shape[1]:
            return expit(eta)
        # Effects of one person are independent normals, so that their sum is one, and the integral has one dimension.
        sd = np.sqrt(self.variances @ self.squares.T)
        out = np.zeros_like(eta)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            out += weight * expit(eta + node * sd)
        return out

    def rows(self, chosen: np.ndarray) -> "LinearPredictor":
        """Return the same of some persons."""
        return LinearPredictor(self.columns[chosen], self.draws, self.variances, self.squares[chosen])


def linear_predictor(
    fit: Any,
    X: np.ndarray,
    *,
    site: str,
    members: Members = None,
    coefficients: np.ndarray | None = None,
    kept: np.ndarray | None = None,
) -> LinearPredictor:
    """Put together the log odds of persons, each with the effects of their groups.

    Groups that are made of the model's predictors (such as osteoarthritis:osteoporosis) belong to the person, and their
    effects are always those of the person's own group. All others follow `site`.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    X : numpy.ndarray, shape (n, p)
        Design rows, not centred.
    site : {"known", "typical", "new", "marginal"}
        See `muscle_bayes.estimands.sites.MEANING`. With "new" all persons are at the same new site, whose intercept and slopes
        are one draw for each posterior draw.
    members : numpy.ndarray or mapping of str to numpy.ndarray, shape (n,), optional
        For "known": the number of each person's site, or numbers by factor as `Recipe.group_index` gives them.
    coefficients : numpy.ndarray, shape (S, 1 + p), optional
        The maximum of the likelihood in place of the fit's draws, with the modes of the effects; a new site is then a typical one.
    kept : numpy.ndarray of int, optional
        Which of the fit's draws to use; by default all.

    Returns
    -------
    LinearPredictor
        Nothing of size S x n.
    """
    recipe, at_maximum = fit.recipe, coefficients is not None
    draws = np.array(fit.coefficients() if coefficients is None else coefficients, dtype=float)
    draws = draws if kept is None else draws[kept]
    columns, betas = [np.ones((len(X), 1)), X], [draws]
    variances: list[np.ndarray] = []
    squares: list[np.ndarray] = []
    if not recipe.varying:
        return LinearPredictor(np.column_stack(columns), draws, np.empty((len(draws), 0)), np.empty((len(X), 0)))

    effects = _effects(fit, at_maximum, kept)
    groups = {**recipe.own_index(X), **_members(fit, site, members)}
    own = {factor.name for factor in recipe.factors if recipe.is_own(factor)}
    fresh = new_effects(fit) if site == "new" and not at_maximum else None
    sds = None
    for t, one in enumerate(recipe.varying):
        if one.factor in groups:
            z = one.covariate(X)
            indicator = np.zeros((len(X), effects[t].shape[1]))
            indicator[np.arange(len(X)), groups[one.factor]] = z
            columns.append(indicator)
            betas.append(effects[t])
        elif one.factor in own or site == "typical":
            continue
        elif fresh is not None:
            place = 0 if one.column == INTERCEPT else 1 + one.column
            betas[0][:, place] += fresh[:, t] if kept is None else fresh[kept, t]
        elif site == "marginal":
            if sds is None:
                sds = np.broadcast_to(fit.maximum.sds, (len(draws), len(effects))) if at_maximum else fit.group_sds()
                sds = sds if kept is None or at_maximum else sds[kept]
            variances.append(sds[:, t] ** 2)
            squares.append(one.covariate(X) ** 2)
    return LinearPredictor(
        np.column_stack(columns),
        np.column_stack(betas),
        np.column_stack([np.empty((len(draws), 0)), *variances]),
        np.column_stack([np.empty((len(X), 0)), *squares]),
    )


def new_effects(fit: Any) -> np.ndarray:
    """Return effects of one group that is not in the data, for each posterior draw.

    Parameters
    ----------
    fit : Fit
        With draws of the SDs.

    Returns
    -------
    numpy.ndarray, shape (S, T)
        One draw of N(0, SD) for each of `recipe.varying`.
    """
    sds = fit.group_sds()
    # Seeded by the fit, so that the same fit always gives the same new site.
    rng = np.random.default_rng([fit.seed, 71])
    return np.column_stack([rng.standard_normal(len(sds)) * sd for sd in sds.T])


def _effects(fit: Any, at_maximum: bool, kept: np.ndarray | None) -> list[np.ndarray]:
    if at_maximum:
        return [np.asarray(modes)[None, :] for modes in fit.maximum.effects]
    return [effects if kept is None else effects[kept] for effects in fit.group_effects()]


def _members(fit: Any, site: str, members: Members) -> dict[str, np.ndarray]:
    """Return the groups of known sites by factor; empty where sites are not known."""
    if site != "known":
        return {}
    asked = [factor.name for factor in fit.recipe.factors if not fit.recipe.is_own(factor)]
    named = dict(members) if isinstance(members, Mapping) else {} if members is None else {fit.recipe.site: members}
    missing = [name for name in asked if name not in named]
    if missing:
        raise EstimandError("site='known'", f"the persons' {missing[0]} is not given", f"Add the column {missing[0]!r}")
    return {name: np.asarray(named[name]) for name in asked}
