"""No digit beyond the Monte Carlo error."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muscle_bayes.estimands.rounding import decimals_shown, estimate_text, number_text, printed, probability_text


@pytest.mark.parametrize(
    ("mcse", "decimals"),
    [(0.0009, 2), (0.01, 2), (0.04, 2), (0.1, 1), (0.3, 1), (1.0, 0), (3.0, 0), (math.nan, 2), (0.0, 2)],
)
def test_decimals_follow_the_monte_carlo_error(mcse: float, decimals: int) -> None:
    assert decimals_shown(mcse) == decimals


@given(st.floats(1e-6, 0.999))
def test_the_last_digit_stands_at_the_first_digit_of_the_error(mcse: float) -> None:
    decimals = decimals_shown(mcse, most=6)
    assert 10.0 ** -(decimals - 1) > mcse * (1 - 1e-8)
    assert decimals == 6 or 10.0**-decimals <= mcse * (1 + 1e-8)


def test_each_number_has_the_digits_of_its_own_error() -> None:
    row = {
        "estimate": 2.1312,
        "lower": 0.8713,
        "upper": 5.4642,
        "mcse": 0.0008,
        "lower_mcse": 0.02,
        "upper_mcse": 0.3,
    }
    assert estimate_text(row) == "2.13 (0.87 to 5.5)"
    assert (
        estimate_text({**row, "mcse": math.nan, "lower_mcse": math.nan, "upper_mcse": math.nan})
        == "2.13 (0.87 to 5.46)"
    )
    assert estimate_text({**row, "lower": math.nan, "upper": math.nan}) == "2.13"


def test_minus_is_a_minus_and_zero_has_none() -> None:
    assert number_text(-0.314, decimals=2) == "\N{MINUS SIGN}0.31"
    assert number_text(-0.004, decimals=2) == "0.00"
    assert number_text(27518.4, decimals=0) == "27,518"
    assert number_text(math.nan, decimals=2) == ""


def test_a_probability_is_never_shown_as_certain() -> None:
    assert [probability_text(p) for p in (1.0, 0.9951, 0.989, 0.5, 0.0, math.nan)] == [
        "> 0.99",
        "> 0.99",
        "0.99",
        "0.50",
        "< 0.01",
        "",
    ]
    assert probability_text(0.973, mcse=0.02) == "0.97"
    assert probability_text(0.973, mcse=0.2) == "> 0.9"


def test_printed_table_has_no_probability_for_maximum_likelihood() -> None:
    row = {"label": "LMM", "contrast": "per 2 Z", "text": "0.87 (0.79 to 0.95)", "prob_gt_null": math.nan}
    frame = pd.DataFrame([{**row, "role": "exposure", "interval": 0.95}])
    assert list(printed(frame).columns) == ["term", "contrast", "estimate (95 % interval)", "role"]
    assert list(printed(frame.assign(prob_gt_null=0.004))["P(above null)"]) == ["< 0.01"]
