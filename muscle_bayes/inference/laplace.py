"""Certified Laplace posterior: a Laplace proposal over a grid of SDs, corrected by importance sampling.

Method
------
1. Given the group SDs, coefficients and effects have a log-concave posterior (logistic likelihood, normal priors):
one mode,
   found by Newton's method. Mode and curvature at design points over the log SDs give the marginal posterior of the
   SDs by Laplace's approximation, as in integrated nested Laplace approximations (Rue, Martino and Chopin 2009, JRSS
   B 71:319).
2. That approximation is only a proposal: log SDs from cells filled by it, with the prior and a uniform mixed in;
   coefficients and effects from multivariate t distributions at the conditional mode.
3. Each draw is weighed by the ratio of the posterior to the proposal, so that what is left is Monte Carlo error,
which is
   measured. The largest weights are smoothed (Vehtari et al. 2024, JMLR 25(72)); the mean weight is the evidence.
4. With one term of many small groups, each effect is integrated out by adaptive quadrature (`quadrature`), the
weights are
   those of coefficients and SD alone, and effects are drawn from their one-dimensional conditionals.

Limits
------
The certificate lists what is checked (`laplace_certificate`). It refuses, rightly, where the conditional posterior is
far from Gaussian (separation under wide priors, outcomes of almost one kind in small samples, several terms of many
small groups); then NUTS is the engine. It cannot see errors of the model, and its draws carry the Monte Carlo error
of `ess` draws, not of as many as there are.
"""

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.density import LogitLikelihood, available_threads
from muscle_bayes.inference.laplace_certificate import Certificate, Criterion, certify
from muscle_bayes.inference.laplace_conditional import ExpandedConditional
from muscle_bayes.inference.laplace_grid import LogSdProposal, build_proposal
from muscle_bayes.inference.laplace_proposal import MAIN, WIDE, WIDENING, WeightedDraws, importance_sample
from muscle_bayes.inference.laplace_quadrature import CHECKED_DRAWS, QuadratureConditional
from muscle_bayes.inference.problem import LogitProblem
from muscle_bayes.inference.psis import effective_size, log_mean, pareto_smooth, resample

NODE_SPACING = {1: 0.5, 2: 1.0, 3: 1.5}  # of the expansions in log SD, by number of group terms
NEGLIGIBLE = 0.01  # information of a group on its effect, in units of the prior's, below which expansions do not change
SMALL = 50  # rows a group below which each effect is far from Gaussian, and is integrated out
FEW_GROUPS = 30  # up to here larger groups' effects are proposed with the coefficients
MANY_ROWS = 200  # rows a group from which that also works for more groups
MOST_EFFECTS = 150  # in a joint proposal, before quadrature is better
MOST_TERMS = 3  # of which a grid of SDs is affordable
HOPELESS = 400  # effects, beyond which no joint proposal is tried


@dataclass(frozen=True)
class LaplacePosterior:
    """Posterior draws of a logistic mixed model from the certified Laplace engine.

    Parameters
    ----------
    beta : (draws, q)
        Coefficients of the centred design, equally weighted.
    effects : list of (draws, n_levels)
        Effects of every group term.
    sd : (draws, T)
        Group SDs.
    raw_index : (draws,) int
        Which weighted draw each of these is a copy of.
    raw_beta, raw_sd : as above, with S rows
        The draws of the proposal.
    raw_effects : list of (S, n_levels)
        Likewise; empty where effects were integrated out, since they are then drawn for the equally weighted draws
        only.
    raw_log_weights : (S,)
        Their log importance weights, unsmoothed.
    smoothed_log_weights : (S,)
        The same, Pareto-smoothed and summing to 1; resampling used these.
    khat, ess : float
        Tail of the weights, and effective sample size of the raw weights.
    log_evidence, log_evidence_mcse : float
        log p(y) and its Monte Carlo standard error.
    certificate : Certificate
        Every criterion with its value.
    """

    beta: np.ndarray
    effects: list[np.ndarray]
    sd: np.ndarray
    raw_index: np.ndarray
    raw_beta: np.ndarray
    raw_effects: list[np.ndarray]
    raw_sd: np.ndarray
    raw_log_weights: np.ndarray
    smoothed_log_weights: np.ndarray
    khat: float
    ess: float
    log_evidence: float
    log_evidence_mcse: float
    certificate: Certificate


def laplace_posterior(
    problem: LogitProblem,
    draws: int = 4000,
    seed: int = 1,
    *,
    least_ess: float = 1000.0,
    threads: int | None = None,
    log_sd_limits: np.ndarray | None = None,
) -> LaplacePosterior:
    """Posterior by importance-corrected Laplace approximation, with its certificate.

    Parameters
    ----------
    problem : LogitProblem
        Data and priors.
    draws : int
        Number of weighted draws, and of the equally weighted draws made of them.
    seed : int
        Seed of the draws.
    least_ess : float
        Effective draws that the certificate asks for (1,000; 400 for refits in sweeps with 1,000 draws).
    threads : int, optional
        Threads for the likelihood; default: the cores of this process, at most 4.
    log_sd_limits : (2, T), optional
        A fixed grid of log SDs instead of one that grows to where the mass is. For tests of the certificate.

    Returns
    -------
    LaplacePosterior
        Draws, weights and certificate; use the draws only where `certificate.passed`.

    Raises
    ------
    InvalidValueError
        More than three group terms, or several with more than 400 effects: not a problem for this engine.
    """
    threads = threads or available_threads()
    rng = np.random.default_rng(seed)
    if groups_are_many_or_small(problem):
        return _integrated(problem, draws, least_ess, threads, log_sd_limits, rng)
    if problem.n_terms > MOST_TERMS or problem.n_effects > HOPELESS:
        raise InvalidValueError(
            where=f"{problem.n_terms} group terms with {problem.n_effects} effects",
            problem="importance sampling has no hope of a certificate with so many dimensions",
            remedy="sample by NUTS",
        )
    conditional = ExpandedConditional(LogitLikelihood(problem))
    with threadpool_limits(1, user_api="blas"):
        proposal = _proposal(conditional, log_sd_limits)
    sample = importance_sample(conditional, proposal, MAIN, draws, rng, threads)
    wide = importance_sample(conditional, proposal.tempered(WIDENING), WIDE, draws, rng, threads)
    certificate = certify(sample, wide, proposal, least_ess)
    posterior = _assemble(problem, sample, certificate, draws, rng)
    raw_effects = problem.split_effects(sample.x[:, problem.q :])
    effects = [effect[posterior.raw_index] for effect in raw_effects]
    return replace(posterior, effects=effects, raw_effects=raw_effects)


def groups_are_many_or_small(problem: LogitProblem) -> bool:
    """Whether effects are integrated out by quadrature: a single term with small groups, or many of them."""
    if problem.n_terms != 1:
        return False
    groups = problem.groups[0].n_levels
    return (
        problem.n < SMALL * groups or groups > MOST_EFFECTS or (groups > FEW_GROUPS and problem.n < MANY_ROWS * groups)
    )


def _integrated(
    problem: LogitProblem,
    draws: int,
    least_ess: float,
    threads: int,
    limits: np.ndarray | None,
    rng: np.random.Generator,
) -> LaplacePosterior:
    """Sample by importance in coefficients and SD, and draw effects from their one-dimensional conditionals."""
    conditional = QuadratureConditional(problem)
    with threadpool_limits(1, user_api="blas"):
        proposal = _proposal(conditional, limits)
    trial = importance_sample(conditional, proposal, MAIN, CHECKED_DRAWS, rng, threads)
    likely = resample(trial.log_weights, CHECKED_DRAWS, rng)
    conditional.choose_nodes(trial.x[likely], trial.log_sd[likely], threads)
    sample = importance_sample(conditional, proposal, MAIN, draws, rng, threads)
    wide = importance_sample(conditional, proposal.tempered(WIDENING), WIDE, draws, rng, threads)
    likely = resample(sample.log_weights, CHECKED_DRAWS, rng)
    accuracy = conditional.criterion(sample.x[likely], sample.log_sd[likely], threads)
    certificate = certify(sample, wide, proposal, least_ess, (accuracy,))
    posterior = _assemble(problem, sample, certificate, draws, rng)
    log_sd = sample.log_sd[posterior.raw_index]
    start = conditional.starts(log_sd)
    effects, excess = conditional.rows.draw_effects(posterior.beta, log_sd[:, 0], start, rng, threads)
    envelope = Criterion("log ratio of a group effect's density to its envelope", excess, 1e-6, excess <= 1e-6)
    return replace(posterior, effects=[effects], certificate=Certificate((*certificate.criteria, envelope)))


def _proposal(conditional: ExpandedConditional | QuadratureConditional, limits: np.ndarray | None) -> LogSdProposal:
    """Expansions on a lattice over the box of log SDs, and the proposal made of them."""
    problem = conditional.problem
    terms = problem.n_terms
    if not terms:
        conditional.add(np.empty((1, 0)))
    known: set[tuple[int, ...]] = set()
    # A lattice over several SDs is large; where an SD is so small that effects hardly move, its smallest point serves all.
    negligible = np.log(_negligible_sd(problem)) if terms > 1 else np.full(terms, -np.inf)

    def extend(box: np.ndarray) -> None:
        spacing, origin = NODE_SPACING[terms], np.log(problem.sd_scale)
        first = np.floor((np.maximum(box[0], np.minimum(negligible, box[1])) - origin) / spacing).astype(int)
        last = np.ceil((box[1] - origin) / spacing).astype(int)
        axes = [range(a, b + 1) for a, b in zip(first, last, strict=True)]
        lattice = {tuple(int(i) for i in node) for node in np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, terms)}
        new = np.array(sorted(lattice - known, key=lambda node: sum(abs(i) for i in node)))
        if len(new):
            known.update(lattice)
            conditional.add(origin + spacing * new)

    return build_proposal(conditional.log_marginal, extend, problem.sd_scale, limits)


def _negligible_sd(problem: LogitProblem) -> np.ndarray:
    """SD of each term (T,) at which no group tells a tenth of a prior SD about its effect."""
    # A quarter is the largest p (1 - p).
    squares = [np.ones(problem.n) if term.slope is None else term.slope**2 for term in problem.groups]
    largest = [0.25 * np.bincount(term.index, z2).max() for term, z2 in zip(problem.groups, squares, strict=True)]
    return np.sqrt(NEGLIGIBLE / np.maximum(largest, 1e-300))


def _assemble(
    problem: LogitProblem,
    sample: WeightedDraws,
    certificate: Certificate,
    draws: int,
    rng: np.random.Generator,
) -> LaplacePosterior:
    """Smooth, resample and collect; effects are filled in by the caller."""
    smoothed, khat = pareto_smooth(sample.log_weights)
    index = resample(smoothed, draws, rng)
    beta, sd = sample.x[:, : problem.q], np.exp(sample.log_sd)
    log_evidence, log_evidence_mcse = log_mean(sample.log_weights)
    return LaplacePosterior(
        beta=beta[index],
        effects=[],
        sd=sd[index],
        raw_index=index,
        raw_beta=beta,
        raw_effects=[],
        raw_sd=sd,
        raw_log_weights=sample.log_weights,
        smoothed_log_weights=smoothed,
        khat=khat,
        ess=effective_size(sample.log_weights),
        log_evidence=log_evidence,
        log_evidence_mcse=log_evidence_mcse,
        certificate=certificate,
    )
