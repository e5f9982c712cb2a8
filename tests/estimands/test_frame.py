"""Summaries of draws and their Monte Carlo errors."""

from types import SimpleNamespace

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy.stats import norm

from muscle_bayes.estimands.frame import COLUMNS, sorted_quantile, summarise_draws, tidy


def test_sorted_quantile_is_numpys() -> None:
    values = np.sort(np.random.default_rng(1).normal(size=(101, 3)), axis=0)
    for p in (0.0, 0.025, 0.5, 0.9999, 1.0):
        np.testing.assert_allclose(sorted_quantile(values, p), np.quantile(values, p, axis=0), rtol=1e-14)
    each = sorted_quantile(values, np.array([0.1, 0.5, 0.9]))
    np.testing.assert_allclose(each, [np.quantile(values[:, j], p) for j, p in enumerate((0.1, 0.5, 0.9))])


def test_errors_of_independent_normal_draws_have_their_closed_form(fit) -> None:
    draws = 4000
    values = norm.ppf((np.arange(draws) + 0.5) / draws)[:, None]
    summary = summarise_draws(values, fit, null=1.0)
    assert summary["estimate"][0] == pytest.approx(0, abs=1e-3)
    assert summary["lower"][0] == pytest.approx(norm.ppf(0.025), abs=3e-3)
    assert summary["prob_gt_null"][0] == pytest.approx(norm.sf(1), abs=1 / draws)
    # sd of a sample quantile: sqrt(p (1 - p) / S) / density
    expected = np.sqrt(0.025 * 0.975 / draws) / norm.pdf(norm.ppf(0.025))
    assert summary["lower_mcse"][0] == pytest.approx(expected, rel=0.03)
    assert summary["upper_mcse"][0] == pytest.approx(expected, rel=0.03)
    assert summary["mcse"][0] == pytest.approx(np.sqrt(np.pi / 2 / draws), rel=0.01)


def test_error_of_an_interval_limit_agrees_with_arviz_on_autocorrelated_draws() -> None:
    rng = np.random.default_rng(1)
    chains = np.empty((4, 1000))
    chains[:, 0] = rng.normal(size=4)
    for t in range(1, 1000):
        chains[:, t] = 0.7 * chains[:, t - 1] + np.sqrt(1 - 0.49) * rng.normal(size=4)

    def mcse(values, kind):
        return np.array(
            [array_stats.mcse(v.reshape(4, 1000), chain_axis=0, draw_axis=1, method=kind) for v in values.T]
        )

    summary = summarise_draws(chains.reshape(-1, 1), SimpleNamespace(method="nuts", mcse=mcse), null=0.0)
    for name, p in (("lower_mcse", 0.025), ("upper_mcse", 0.975)):
        other = float(array_stats.mcse(chains, chain_axis=0, draw_axis=1, method="quantile", prob=p))
        # The two take different steps on the same draws; the spacing of order statistics in the tail is all they differ by.
        assert summary[name][0] == pytest.approx(other, rel=0.3)


def test_a_quantity_without_spread_has_no_error(fit) -> None:
    summary = summarise_draws(np.ones((4000, 1)), fit, null=1.0)
    assert summary["estimate"][0] == summary["lower"][0] == summary["upper"][0] == 1
    assert summary["mcse"][0] == summary["lower_mcse"][0] == 0


def test_tidy_puts_canonical_columns_first_and_provenance_into_attrs(fit) -> None:
    frame = tidy({"term": ["a"], "extra": [1], "estimate": [2.0]}, fit, interval=0.95, attrs={"per": 2})
    assert tuple(frame.columns[: len(COLUMNS)]) == COLUMNS
    assert frame["interval"].tolist() == [0.95]
    assert frame["lower"].isna().all()
    assert frame.attrs["model"] == "fake"
    assert frame.attrs["simulated"] is True
    assert frame.attrs["per"] == 2
