import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import InvalidValueError, ModelFileError
from muscle_bayes.specification.event import parse_event


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x >= 4", [0, 0, 1, 1, np.nan]),
        ("x > 4", [0, 0, 0, 1, np.nan]),
        ("x < 4", [1, 1, 0, 0, np.nan]),
        ("x == 4", [0, 0, 1, 0, np.nan]),
        ("x != 4", [1, 1, 0, 1, np.nan]),
        ("x <= -1.5", [1, 0, 0, 0, np.nan]),
    ],
)
def test_numbers(text: str, expected: list[float]) -> None:
    column = pd.Series([-1.5, 0, 4, 10, None])
    np.testing.assert_array_equal(parse_event(text).happened(column), expected)


def test_texts() -> None:
    column = pd.Series(["case", "control", None])
    np.testing.assert_array_equal(parse_event('status == "case"').happened(column), [1, 0, np.nan])


@pytest.mark.parametrize(
    "text", ["x", "x >= y", "x >= 4 and z", "f(x) == 1", "x == 'a'", 'x >= "a"', "__import__('os') == 1", ""]
)
def test_refuses_anything_but_one_comparison(text: str) -> None:
    with pytest.raises(ModelFileError):
        parse_event(text)


def test_a_code_for_unknown_is_no_no() -> None:
    """9 for "unknown" beside 0 and 1 would count as no, and halve the prevalence without a word."""
    event = parse_event("cbp == 1")
    with pytest.raises(InvalidValueError, match=r"3 different values.*count 9"):
        event.happened(pd.Series([0, 1, 9], name="cbp"))
    assert event.happened(pd.Series([0, 1, np.nan], name="cbp")).tolist()[:2] == [0, 1]
    # Of a scale, one value is no event either, unless it is cut.
    with pytest.raises(InvalidValueError, match="pain_nrs >= 4"):
        parse_event("pain_nrs == 1").happened(pd.Series(range(11), name="pain_nrs"))
    assert parse_event("pain_nrs >= 4").happened(pd.Series(range(11), name="pain_nrs")).sum() == 7


def test_text_where_numbers_are_needed_is_named() -> None:
    with pytest.raises(InvalidValueError, match=r"'cbp'.*text such as 'yes'.*cbp == \"yes\""):
        parse_event("cbp == 1").happened(pd.Series(["yes", "no"], name="cbp"))
