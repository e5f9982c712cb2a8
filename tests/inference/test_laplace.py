"""The Laplace engine: what it certifies is right, and what it cannot get right it refuses."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import integrate, stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.laplace import LaplacePosterior, groups_are_many_or_small, laplace_posterior
from muscle_bayes.inference.laplace_grid import prior_box
from muscle_bayes.inference.problem import GroupTerm, LogitProblem
from muscle_bayes.inference.psis import weighted_moments, weighted_quantile

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "adversarial"


def load_problems() -> ModuleType:
    spec = importlib.util.spec_from_file_location("adversarial_problems", FIXTURES / "make_references.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ADVERSARIAL = load_problems()
MUST_CERTIFY = {"site_sd_zero", "two_sites", "many_groups_of_5", "duplicated_column", "ill_scaled", "slope_by_site"}


def weighted_parameters(posterior: LaplacePosterior) -> tuple[np.ndarray, np.ndarray]:
    """All parameters and the log weights to compare them with: raw draws, or those resampled from them."""
    if posterior.raw_effects:
        draws = ADVERSARIAL.parameters(posterior.raw_beta, posterior.raw_effects, posterior.raw_sd)
        return draws, posterior.smoothed_log_weights
    return ADVERSARIAL.parameters(posterior.beta, posterior.effects, posterior.sd), np.zeros(len(posterior.beta))


@pytest.mark.parametrize("name", list(ADVERSARIAL.PROBLEMS))
def test_adversarial_problem_agrees_with_long_nuts_or_is_refused(name: str) -> None:
    """Means, SDs and quantiles within 5 joint standard errors: 70 comparisons a problem pass in over 99.9 %.

    Resampled draws (many small groups) carry at most the weights' own error once more, hence the factor for them.
    """
    posterior = laplace_posterior(ADVERSARIAL.PROBLEMS[name](), draws=2000 if name == "many_groups_of_5" else 4000)
    if name in MUST_CERTIFY:
        assert posterior.certificate.passed, posterior.certificate.failures
    if not posterior.certificate.passed:
        assert posterior.certificate.failures
        return
    expected = json.loads((FIXTURES / f"{name}.json").read_text())
    draws, log_weights = weighted_parameters(posterior)
    inflation = 1.0 if posterior.raw_effects else np.sqrt(2)
    mean, mean_mcse, sd, sd_mcse = weighted_moments(draws, log_weights)
    z_mean = (mean - expected["mean"]) / np.hypot(inflation * mean_mcse, expected["mean_mcse"])
    z_sd = (sd - expected["sd"]) / np.hypot(inflation * sd_mcse, expected["sd_mcse"])
    assert np.abs(z_mean).max() < 5, (name, z_mean)
    assert np.abs(z_sd).max() < 5, (name, z_sd)
    for k in range(draws.shape[1]):
        for row, probability in enumerate(ADVERSARIAL.QUANTILES):
            quantile, error = weighted_quantile(draws[:, k], log_weights, probability)
            difference = quantile - expected["quantiles"][row][k]
            assert abs(difference) < 5 * np.hypot(inflation * error, expected["quantile_mcse"][row][k]) + 1e-5


def test_truncated_grid_is_refused() -> None:
    """A grid of SDs cut below the truth gives fine weights and a wrong SD: coverage has to catch it."""
    problem = ADVERSARIAL.PROBLEMS["large_site_effects"]()
    limits = prior_box(problem.sd_scale)
    limits[1] = np.log(0.6)
    certificate = laplace_posterior(problem, log_sd_limits=limits).certificate
    failed = {criterion.name.split(" ")[0] for criterion in certificate.criteria if not criterion.passed}
    assert not certificate.passed
    assert {"log", "posterior"} <= failed  # not covered, and mass beyond the edge
    low = prior_box(problem.sd_scale)
    low[0] = np.log(0.05)
    assert not laplace_posterior(ADVERSARIAL.PROBLEMS["site_sd_zero"](), log_sd_limits=low).certificate.passed


def test_evidence_and_moments_equal_the_integral() -> None:
    """Intercept and SD of three sites by nested numerical integration: no approximation in common."""
    site = np.repeat(np.arange(3), 8)
    cases = np.array([1, 3, 6])
    y = np.concatenate([np.arange(8) < c for c in cases]).astype(float)
    problem = LogitProblem(
        y, np.ones((24, 1)), (GroupTerm("1|site", site, 3),), np.array([-0.5]), np.array([1.0]), np.array([0.7])
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    sd, alpha = np.linspace(0, 5, 401), np.linspace(-6, 5, 221)
    eta = alpha[:, None, None] + sd[:, None] * nodes
    joint = stats.norm.pdf(alpha, -0.5, 1)[:, None] * stats.halfnorm.pdf(sd, scale=0.7)
    for c in cases:
        joint = joint * (np.exp(c * eta - 8 * np.logaddexp(0, eta)) @ weights / weights.sum())

    def integral(values: np.ndarray) -> float:
        return float(integrate.simpson(integrate.simpson(values, x=sd), x=alpha))

    evidence = integral(joint)
    mean_sd, mean_alpha = integral(joint * sd) / evidence, integral(joint * alpha[:, None]) / evidence
    posterior = laplace_posterior(problem, draws=20_000)
    assert posterior.certificate.passed
    assert abs(posterior.log_evidence - np.log(evidence)) < 4 * posterior.log_evidence_mcse
    draws = np.hstack([posterior.raw_beta, posterior.raw_sd])
    mean, mcse, _, _ = weighted_moments(draws, posterior.raw_log_weights)
    assert np.all(np.abs(mean - [mean_alpha, mean_sd]) < 4 * mcse)


@pytest.mark.parametrize("slope", [False, True])
def test_quadrature_and_joint_proposals_agree(slope: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two engines share no proposal and no likelihood code: evidence and moments within 4.5 joint errors."""
    rng = np.random.default_rng(3)
    n, levels = 900, 20
    x = rng.normal(size=n)
    x -= x.mean()
    index = rng.integers(levels - 1, size=n)  # the last level has no rows
    z = x if slope else np.ones(n)
    eta = -0.8 + 0.5 * x + rng.normal(0, 0.6, levels)[index] * z
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(float)
    term = GroupTerm("g", index, levels, x.copy() if slope else None)
    X = np.column_stack([np.ones(n), x])
    problem = LogitProblem(y, X, (term,), np.zeros(2), np.full(2, 1.5), np.array([0.5]))
    assert not groups_are_many_or_small(
        LogitProblem(y, X, (GroupTerm("g", index % 5, 5),), np.zeros(2), np.ones(2), np.ones(1))
    )
    monkeypatch.setattr("muscle_bayes.inference.laplace.SMALL", 0)
    joint = laplace_posterior(problem, draws=4000)
    monkeypatch.setattr("muscle_bayes.inference.laplace.SMALL", 100)
    integrated = laplace_posterior(problem, draws=4000)
    assert joint.raw_effects
    assert not integrated.raw_effects
    assert joint.certificate.passed
    assert integrated.certificate.passed, integrated.certificate.failures
    gap = abs(joint.log_evidence - integrated.log_evidence)
    assert gap < 4.5 * np.hypot(joint.log_evidence_mcse, integrated.log_evidence_mcse) + 0.02
    first = np.hstack([joint.beta, joint.effects[0], np.log(joint.sd)])
    second = np.hstack([integrated.beta, integrated.effects[0], np.log(integrated.sd)])
    spread = first.std(axis=0)
    # Resampled draws of at least 1,500 effective ones on either side.
    assert np.all(np.abs(first.mean(axis=0) - second.mean(axis=0)) < 4.5 * spread * np.sqrt(2 / 1500))
    assert np.all(np.abs(np.log(second.std(axis=0) / spread)) < 4.5 * np.sqrt(1 / 1500))


def test_no_group_term_is_certified_too() -> None:
    problem = ADVERSARIAL.simulate(1, 600, 5)
    plain = LogitProblem(problem.y, problem.X, (), problem.prior_mean, problem.prior_sd, np.empty(0))
    posterior = laplace_posterior(plain)
    assert posterior.certificate.passed
    assert posterior.effects == []
    assert posterior.sd.shape == (4000, 0)
    assert posterior.ess > 3000


def test_several_terms_with_many_effects_are_refused() -> None:
    rng = np.random.default_rng(1)
    groups = tuple(GroupTerm(f"g{t}", rng.integers(250, size=600), 250) for t in range(2))
    y = (rng.uniform(size=600) < 0.4).astype(float)
    problem = LogitProblem(y, np.ones((600, 1)), groups, np.zeros(1), np.ones(1), np.full(2, 0.5))
    with pytest.raises(InvalidValueError, match="NUTS"):
        laplace_posterior(problem)


def test_draws_are_copies_of_the_weighted_ones_and_the_seed_decides() -> None:
    problem = ADVERSARIAL.PROBLEMS["two_sites"]()
    first, again, other = (laplace_posterior(problem, draws=1000, seed=seed, least_ess=400) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.beta, again.beta)
    assert not np.array_equal(first.beta, other.beta)
    np.testing.assert_array_equal(first.beta, first.raw_beta[first.raw_index])
    np.testing.assert_array_equal(first.effects[0], first.raw_effects[0][first.raw_index])
    copies = np.bincount(first.raw_index, minlength=1000)
    assert np.all(np.abs(copies - 1000 * np.exp(first.smoothed_log_weights)) < 1)


def test_engines_do_not_import_pymc() -> None:
    code = (
        "import sys, muscle_bayes.inference.laplace, muscle_bayes.inference.maximum_likelihood, "
        "muscle_bayes.inference.profile_likelihood, muscle_bayes.inference.sampling\n"
        "assert not {'pymc', 'pytensor', 'nutpie', 'torch', 'bambi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
