import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import ModelFileError
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
