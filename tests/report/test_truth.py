"""The box that tells what a simulation put in says which intervals hold it."""

import numpy as np
import pytest

import muscle_bayes as mb
from muscle_bayes.report.results import FitResults
from muscle_bayes.report.truth import truth_box


@pytest.fixture
def item(small_fit: mb.Fit) -> FitResults:
    return FitResults("main", small_fit.model, small_fit, {"odds_ratios": mb.odds_ratios(small_fit)})


def test_it_says_where_the_interval_holds_the_truth_and_where_it_misses(item: FitResults, small_fit: mb.Fit) -> None:
    coefficients = small_fit.coefficients()[:, 1:]
    far = coefficients[:, 1].mean() + 3 * coefficients[:, 1].std(ddof=1)
    box = truth_box(item, {"cbp": {"intermat_z": float(coefficients[:, 0].mean()), "lmm_z": float(far)}})
    assert box is not None
    inside, outside = box.sentences
    assert f"odds ratio of {np.exp(2 * coefficients[:, 0].mean()):.2f} per 2 Z" in inside
    assert inside.endswith("the interval holds it.")
    assert "the interval misses it, 3.0 posterior standard deviations away" in outside


def test_it_is_silent_where_nothing_is_known(item: FitResults) -> None:
    assert truth_box(item, None) is None
    assert truth_box(item, {"pain_nrs >= 4": {"intermat_z": 0.1}}) is None


def test_the_simulations_truth_has_the_terms_of_the_model(item: FitResults) -> None:
    box = truth_box(item, mb.simulate_cohort(n=100, seed=1).attrs["truth"])
    assert box is not None
    assert [sentence.split(":")[0] for sentence in box.sentences] == ["InterMAT", "LMM"]
    assert "odds ratio of 1.22 per 2 Z" in box.sentences[0]
    assert "odds ratio of 0.87 per 2 Z" in box.sentences[1]
