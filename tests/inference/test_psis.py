"""Pareto smoothing against weights of known tail and against ArviZ's own (which takes negative log weights)."""

import numpy as np
import pytest
from scipy import stats

from muscle_bayes.inference import psis


def heavy(seed: int, n: int = 4000, rate: float = 0.49) -> np.ndarray:
    """Log weights rate * x^2 of x ~ N(0, 1): a tail of shape 2 * rate."""
    return rate * np.random.default_rng(seed).normal(size=n) ** 2


def test_khat_of_known_weights() -> None:
    """The shape is 2 * rate; the mean of 20 estimates is within its bias (about 0.1 at this tail size) of it."""
    for rate in (0.15, 0.3, 0.49):
        estimates = [psis.pareto_smooth(heavy(seed, 40_000, rate))[1] for seed in range(1, 21)]
        assert np.mean(estimates) == pytest.approx(2 * rate, abs=0.12)
    assert psis.pareto_smooth(heavy(1))[1] > 0.75


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rate", [0.1, 0.3, 0.49])
def test_smoothing_equals_that_of_arviz(seed: int, rate: float) -> None:
    array_stats = pytest.importorskip("arviz_stats.base").array_stats
    log_weights = heavy(seed, rate=rate)
    theirs, their_khat = array_stats.psislw(-log_weights)
    ours, khat = psis.pareto_smooth(log_weights)
    assert khat == pytest.approx(float(their_khat), rel=1e-8)
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_constant_weights_are_trusted_fully() -> None:
    smoothed, khat = psis.pareto_smooth(np.full(500, -3.0))
    assert khat == -np.inf
    np.testing.assert_allclose(np.exp(smoothed), 1 / 500)
    assert psis.effective_size(np.full(500, -3.0)) == pytest.approx(500)


def test_threshold_is_that_of_the_paper() -> None:
    assert psis.khat_threshold(4000) == pytest.approx(0.7)
    assert psis.khat_threshold(1000) == pytest.approx(2 / 3)
    assert psis.khat_threshold(100) == pytest.approx(0.5)


def test_moments_quantiles_and_evidence_cover_the_truth_at_their_standard_errors() -> None:
    """Target N(1, 0.5^2) times a constant, proposal t_5: 200 repetitions, z-scores must look standard normal.

    The SD of 200 standard normal z-scores lies in 0.86 to 1.15 and their mean in +-0.19 with probability over 99 %.
    """
    rng = np.random.default_rng(1)
    z = []
    for _ in range(200):
        x = 1 + 0.7 * rng.standard_t(5, size=1000)
        log_proposal = stats.t.logpdf((x - 1) / 0.7, 5) - np.log(0.7)
        log_weights = stats.norm.logpdf(x, 1, 0.5) + 2.0 - log_proposal
        mean, mean_mcse, sd, sd_mcse = psis.weighted_moments(x[:, None], log_weights)
        evidence, evidence_mcse = psis.log_mean(log_weights)
        median, median_mcse = psis.weighted_quantile(x, log_weights, 0.5)
        low, low_mcse = psis.weighted_quantile(x, log_weights, 0.025)
        truth = stats.norm.ppf(0.025, 1, 0.5)
        z.append(
            [
                (mean[0] - 1) / mean_mcse[0],
                (sd[0] - 0.5) / sd_mcse[0],
                (evidence - 2) / evidence_mcse,
                (median - 1) / median_mcse,
                (low - truth) / low_mcse,
            ]
        )
    spread, centre = np.std(z, axis=0), np.mean(z, axis=0)
    assert np.all((spread > 0.82) & (spread < 1.25)), spread
    assert np.all(np.abs(centre) < 0.25), centre


def test_resampling_keeps_every_weight_within_one_copy() -> None:
    log_weights = np.random.default_rng(1).normal(size=300)
    share = np.exp(log_weights) / np.exp(log_weights).sum()
    index = psis.resample(log_weights, 1000, np.random.default_rng(2))
    copies = np.bincount(index, minlength=300)
    assert copies.sum() == 1000
    assert np.all(np.abs(copies - 1000 * share) < 1)
    assert abs(np.corrcoef(index[:-1], index[1:])[0, 1]) < 0.1  # in random order, so that chains are alike


def test_errors_of_resampled_draws_cover_the_truth() -> None:
    """As above, for summaries of the resampled draws: 300 repetitions, SD of the z-scores within 15 % of 1."""
    rng = np.random.default_rng(2)
    z = []
    for _ in range(300):
        x = 0.3 + 1.2 * rng.standard_t(6, size=1000)
        log_weights = stats.norm.logpdf(x) - stats.t.logpdf((x - 0.3) / 1.2, 6) + np.log(1.2)
        index = psis.resample(log_weights, 1000, rng)
        values = np.stack([x[index], 2 * x[index]], axis=1)
        error = [psis.resampled_mcse(values, index, log_weights, kind) for kind in ("mean", "sd")]
        tails = [psis.resampled_mcse(values, index, log_weights, "quantile", p) for p in (0.5, 0.9)]
        assert error[0][1] == pytest.approx(2 * error[0][0])
        drawn = values[:, 0]
        truth = stats.norm.ppf(0.9)
        z.append(
            [
                drawn.mean() / error[0][0],
                (drawn.std() - 1) / error[1][0],
                np.median(drawn) / tails[0][0],
                (np.quantile(drawn, 0.9) - truth) / tails[1][0],
            ]
        )
    spread = np.std(z, axis=0)
    assert np.all((spread > 0.82) & (spread < 1.2)), spread
    assert np.all(np.abs(np.mean(z, axis=0)) < 0.25)
