"""When an importance-corrected Laplace posterior may be used: every criterion with its value and threshold.

The k-hat diagnostic cannot see where nothing was proposed; the criteria on coverage, on the mass at the edges and on
the agreement with a second, wider proposal are there for that. What fails any of them is not used: it goes to NUTS.
"""

from dataclasses import dataclass

import numpy as np

from muscle_bayes.inference.laplace_grid import COVERED, EDGE_MASS, LogSdProposal, prior_box
from muscle_bayes.inference.laplace_proposal import WeightedDraws
from muscle_bayes.inference.psis import (
    effective_size,
    khat_threshold,
    log_mean,
    pareto_smooth,
    weighted_moments,
)

MOST_STANDARD_ERRORS = 4.0
LEAST_WIDE_ESS = 100.0  # below, the second proposal is too noisy to contradict the first


@dataclass(frozen=True)
class Criterion:
    """One condition of the certificate.

    Parameters
    ----------
    name : str
        What is asked, in words.
    value : float
        What was found.
    threshold : float
        The limit.
    passed : bool
        Whether the value keeps to the limit.
    """

    name: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Certificate:
    """All criteria of one fit.

    Parameters
    ----------
    criteria : tuple of Criterion
        In the order in which they are described in the documentation.
    """

    criteria: tuple[Criterion, ...]

    @property
    def passed(self) -> bool:
        """Whether every criterion is met."""
        return all(criterion.passed for criterion in self.criteria)

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each criterion that is not met."""
        return tuple(f"{c.name}: {c.value:.4g}, limit {c.threshold:.4g}" for c in self.criteria if not c.passed)


def certify(
    draws: WeightedDraws,
    wide: WeightedDraws,
    proposal: LogSdProposal,
    least_ess: float,
    extra: tuple[Criterion, ...] = (),
) -> Certificate:
    """Check the weighted draws of a Laplace proposal.

    Parameters
    ----------
    draws : WeightedDraws
        Draws of the proposal.
    wide : WeightedDraws
        Draws of a second, wider proposal.
    proposal : LogSdProposal
        Where SDs were proposed.
    least_ess : float
        Effective draws that are asked for.
    extra : tuple of Criterion
        Further criteria (quadrature).

    Returns
    -------
    Certificate
        The criteria with their values.
    """
    n = len(draws.log_weights)
    finite = bool(np.isfinite(draws.log_weights).all() and np.isfinite(wide.log_weights).all())
    if not finite:
        return Certificate((_at_most("importance weights that are not finite", np.inf, 0.0), *extra))
    khat, wide_khat = pareto_smooth(draws.log_weights)[1], pareto_smooth(wide.log_weights)[1]
    criteria = [
        _at_most("Pareto k-hat of the importance weights", khat, khat_threshold(n), strict=True),
        _at_least("effective draws", effective_size(draws.log_weights), least_ess),
        *_coverage(draws, proposal),
        _at_most("Pareto k-hat of the wider proposal", wide_khat, khat_threshold(len(wide.log_weights)), strict=True),
        _at_least("effective draws of the wider proposal", effective_size(wide.log_weights), LEAST_WIDE_ESS),
        _at_most(
            "disagreement with the wider proposal in Monte Carlo standard errors (evidence, means, SDs)",
            disagreement(draws, wide),
            MOST_STANDARD_ERRORS,
        ),
        _at_least("priors of coefficients and effects are normal (1 = yes)", 1.0, 1.0),
    ]
    return Certificate((*criteria, *extra))


def disagreement(draws: WeightedDraws, wide: WeightedDraws) -> float:
    """Largest difference between two weighted samples in units of its Monte Carlo standard error.

    Compared are the log evidence and the mean and SD of every coefficient, effect, SD and log SD.
    """
    differences = []
    evidence, evidence_mcse = log_mean(draws.log_weights)
    other, other_mcse = log_mean(wide.log_weights)
    differences.append(abs(evidence - other) / np.hypot(evidence_mcse, other_mcse))
    first = weighted_moments(_all_columns(draws), draws.log_weights)
    second = weighted_moments(_all_columns(wide), wide.log_weights)
    for estimate, error in ((0, 1), (2, 3)):
        mcse = np.hypot(first[error], second[error])
        floor = 1e-12 * (np.abs(first[estimate]) + first[2])  # rounding, where an error is 0
        differences.append(np.max(np.abs(first[estimate] - second[estimate]) / np.maximum(mcse, floor + 1e-300)))
    return float(np.max(differences))


def _all_columns(draws: WeightedDraws) -> np.ndarray:
    return np.hstack([draws.x, draws.log_sd, np.exp(draws.log_sd)])


def _coverage(draws: WeightedDraws, proposal: LogSdProposal) -> list[Criterion]:
    if not proposal.box.shape[1]:
        return []
    needed = prior_box(proposal.sd_scale)
    uncovered = np.max(np.maximum(proposal.box[0] - needed[0], needed[1] - proposal.box[1]))
    outside = ((draws.log_sd < proposal.box[0]) | (draws.log_sd > proposal.box[1])).any(axis=1)
    w = np.exp(draws.log_weights - draws.log_weights.max())
    beyond = max(proposal.edge_mass, float(w[outside].sum() / w.sum()))
    low, high = COVERED
    return [
        _at_most(f"log SD left out between the {low:g} and {high:g} prior quantiles", max(0.0, uncovered), 1e-9),
        _at_most("posterior mass of the SDs beyond the edges of the grid", beyond, EDGE_MASS, strict=True),
    ]


def _at_most(name: str, value: float, threshold: float, strict: bool = False) -> Criterion:
    return Criterion(name, float(value), threshold, bool(value < threshold if strict else value <= threshold))


def _at_least(name: str, value: float, threshold: float) -> Criterion:
    return Criterion(name, float(value), threshold, bool(value >= threshold))
