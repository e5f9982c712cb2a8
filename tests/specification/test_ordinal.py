"""Ordered outcomes: categories and codes, hostile columns, and what a model file may say."""

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import InvalidValueError, ModelFileError
from muscle_bayes.specification import read_model
from muscle_bayes.specification.ordinal import ordinal_codes


def content(**changes: object) -> dict:
    return {"formula": "pain_nrs ~ lmm_z", "family": "cumulative", "standardise": {"lmm_z": {"from": "lmm"}}} | changes


def test_whole_numbers_order_themselves() -> None:
    categories, codes = ordinal_codes(pd.Series([10.0, 0, 2, 0, 10], name="pain"), ())
    assert categories == ("0", "2", "10")
    assert codes.tolist() == [2, 0, 1, 0, 2]


def test_texts_follow_the_model_file_and_empty_categories_stay() -> None:
    stated = ("none", "mild", "severe", "unbearable")
    categories, codes = ordinal_codes(pd.Series(["mild", "none", "severe"], name="pain"), stated)
    assert categories == stated
    assert codes.tolist() == [1, 0, 2]
    assert ordinal_codes(pd.Series([3.0, 1.0]), ("1", "2", "3"))[1].tolist() == [2, 0]
    own = pd.Series(pd.Categorical(["b", "a"], categories=["b", "a"], ordered=True))
    assert ordinal_codes(own, ())[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "stated", "says"),
    [
        (["mild", "none"], (), "text has no order"),
        (["mild", "awful"], ("none", "mild"), "'awful'"),
        ([0, 1, 11], ("0", "1", "2"), "'11'"),
        ([0.5, 1, 2], (), "not whole"),
        ([3, 3, 3], (), "all 3 participants"),
        (["mild", "mild"], ("none", "mild"), "all 2 participants"),
        (list(range(60)), (), "60 different values"),
        ([np.inf, 1.0], (), "not whole"),
    ],
)
def test_hostile_outcomes_are_refused(values: list, stated: tuple, says: str) -> None:
    with pytest.raises(InvalidValueError, match=says):
        ordinal_codes(pd.Series(values, name="pain"), stated)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"event": "pain_nrs >= 4"}, "has no event"),
        ({"family": "bernoulli", "categories": [0, 1]}, "categories are of an ordered outcome"),
        ({"categories": [0, 1, 1]}, "different ones"),
        ({"categories": [True, False]}, "categories"),
        ({"priors": {"set": "published"}}, "published"),
        ({"priors": {"thresholds": {"dirichlet": 0.0, "reason": "none"}}}, "greater than 0"),
        ({"among": "pain_nrs"}, "not an event"),
    ],
)
def test_contradictions_of_a_model_file_are_refused(changes: dict, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        read_model(content(**changes), name="mine", where="mine.toml")


def test_an_ordered_outcome_does_not_happen() -> None:
    model = read_model(content(), name="mine", where="mine.toml")
    assert model.parsed_event.column == "pain_nrs"
    with pytest.raises(ModelFileError, match="is ordered"):
        model.parsed_event.happened(pd.Series([0, 1], name="pain_nrs"))


def test_the_second_part_of_the_hurdle_keeps_the_z_scores_of_everyone(small_table: pd.DataFrame) -> None:
    """Both parts state their odds ratios for the same contrast; only people with pain enter the second."""
    everyone = mb.load_model("pain_hurdle_any").design(small_table)
    design = mb.load_model("pain_hurdle_intensity").design(small_table)
    pain = small_table["pain_nrs"] >= 1
    assert len(design.y) == pain.sum() < len(everyone.y)
    assert design.recipe.constants == everyone.recipe.constants
    assert design.flow.iloc[-1][["step", "n_left"]].tolist() == ["among", pain.sum()]
    np.testing.assert_array_equal(design.y, small_table.loc[pain, "pain_nrs"] - 1)
    np.testing.assert_allclose(design.X.mean(axis=0), 0, atol=1e-12)
    with pytest.raises(mb.errors.EmptyTableError, match="pain_nrs >= 1"):
        mb.load_model("pain_hurdle_intensity").design(small_table.assign(pain_nrs=0))
