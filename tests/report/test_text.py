"""Sentences against rows whose numbers are known."""

import math

import pandas as pd
import pytest

from muscle_bayes.report import text

ROW = {
    "label": "InterMAT",
    "contrast": "per 2 Z (2 SD = 6.1 %) at LMM = 0 Z",
    "at": "LMM = 0 Z",
    "estimate": 1.2249,
    "lower": 1.1351,
    "upper": 1.3012,
    "interval": 0.95,
    "mcse": 0.001,
    "lower_mcse": 0.002,
    "upper_mcse": 0.002,
    "prob_gt_null": 0.9998,
    "role": "exposure",
}


def test_a_clear_association_is_said_with_its_direction_and_all_numbers():
    said = text.association_sentence(ROW, "chronic back pain", method="nuts", effective_draws=2000)
    assert said == (
        "Higher InterMAT went with higher odds of chronic back pain: odds ratio 1.22 per 2 Z (6.1 percentage points) at mean "
        "LMM, 95 % credible interval 1.14 to 1.30; posterior probability of an odds ratio above 1: greater than 0.99."
    )


def test_an_inverse_association():
    row = {**ROW, "label": "LMM", "estimate": 0.87, "lower": 0.79, "upper": 0.95, "prob_gt_null": 0.0004}
    said = text.association_sentence(row, "chronic back pain", method="laplace")
    assert said.startswith("Higher LMM went with lower odds of chronic back pain: odds ratio 0.87")
    assert said.endswith("above 1: less than 0.01.")


def test_an_interval_over_1_is_not_given_a_direction():
    row = {**ROW, "estimate": 1.05, "lower": 0.96, "upper": 1.15, "prob_gt_null": 0.86}
    said = text.association_sentence(row, "chronic back pain", method="nuts", effective_draws=4000)
    assert said.startswith("The data do not tell whether higher InterMAT goes with higher or with lower odds")
    assert "went with" not in said
    assert "above 1: 0.86." in said


def test_maximum_likelihood_has_confidence_intervals_and_no_probability():
    row = {**ROW, "prob_gt_null": math.nan, "mcse": math.nan, "lower_mcse": math.nan, "upper_mcse": math.nan}
    said = text.association_sentence(row, "chronic back pain", method="ml")
    assert "95 % confidence interval 1.14 to 1.30." in said
    assert "probability" not in said
    assert "credible" not in said


def test_a_categorical_exposure_is_said_by_its_levels():
    row = {**ROW, "label": "Physical activity", "contrast": "low against moderate", "at": ""}
    said = text.association_sentence(row, "chronic back pain", method="ml")
    assert said.startswith("Physical activity (low against moderate) went with higher odds")


def test_numbers_show_no_digit_beyond_the_monte_carlo_error():
    # A Monte Carlo error of 0.3 leaves that number one decimal.
    said = text.association_sentence({**ROW, "upper_mcse": 0.3}, "chronic back pain", method="nuts")
    assert "odds ratio 1.22 per" in said
    assert f"1.14 to {ROW['upper']:.1f};" in said


@pytest.mark.parametrize(
    ("probability", "draws", "shown"),
    [
        # sqrt(0.5 * 0.5 / 4) = 0.25: one decimal; / 400 = 0.025: two.
        (0.52, 4, "0.5"),
        (0.52, 400, "0.52"),
        (0.52, 10_000, "0.52"),
        (1.0, 4_000, "> 0.99"),
        (0.0, 4_000, "< 0.01"),
        (math.nan, 4_000, ""),
    ],
)
def test_probabilities_are_rounded_by_their_own_error(probability, draws, shown):
    assert text.chance_text(probability, draws) == shown


@pytest.mark.parametrize(
    ("limits", "begin"),
    [
        ((0.90, 0.99), "The odds ratio of InterMAT was smaller where LMM was higher: "),
        ((1.01, 1.09), "The odds ratio of InterMAT was larger where LMM was higher: "),
        ((0.90, 1.01), "The data do not tell whether the odds ratio of InterMAT depends on LMM: "),
    ],
)
def test_interactions_are_said_as_factors(limits, begin):
    row = {**ROW, "other": "LMM", "per": 2.0, "estimate": 0.96, "lower": limits[0], "upper": limits[1]}
    said = text.interaction_sentence(row, method="nuts", effective_draws=4_000)
    assert said.startswith(begin)
    assert "with each further Z of LMM the odds ratio per 2 Z of InterMAT is multiplied by 0.96" in said


def test_the_sample_is_said_with_its_share():
    said = text.sample_sentence(27_518, 6_003, 5, "chronic back pain", simulated=False)
    assert said == "27,518 participants at 5 sites were analysed; 6,003 (21.8 %) had the outcome, chronic back pain."
    assert "simulated participants" in text.sample_sentence(10, 5, 1, "pain", simulated=True)


@pytest.mark.parametrize(
    ("label", "inside"),
    [("Chronic back pain", "chronic back pain"), ("LMM", "LMM"), ("InterMAT", "InterMAT"), ("BMI", "BMI")],
)
def test_abbreviations_keep_their_capitals_within_a_sentence(label, inside):
    assert text.in_sentence(label) == inside


def test_the_surface_is_described_within_its_support_only():
    frame = pd.DataFrame(
        {
            "contrast": ["InterMAT = −1 Z, LMM = 1 Z", "InterMAT = 2 Z, LMM = −1 Z", "InterMAT = 3 Z, LMM = −3 Z"],
            "estimate": [0.7, 1.6, 4.0],
            "lower": [0.6, 1.4, 3.0],
            "upper": [0.8, 1.8, 5.0],
            "interval": 0.95,
            "mcse": 0.001,
            "supported": [True, True, False],
        }
    )
    said = text.surface_description(frame)
    assert "0.70 (0.60 to 0.80) at InterMAT = −1 Z, LMM = 1 Z" in said
    assert "1.60 (1.40 to 1.80) at InterMAT = 2 Z, LMM = −1 Z" in said
    assert "4.0" not in said
