"""A finished table: nothing is said of its exposures that nobody stated, and what was computed is counted."""

import pandas as pd
import pytest

from muscle_bayes.cohort import Exposure, read_cohort
from muscle_bayes.errors import TableError

THRESHOLD = "fat signal fraction of at least 0.5"


def finished() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "participant_id": list("abcdef"),
            "intermat_percent": [5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
            "lmm_cm3_per_kg_m2": [20.0, 21.0, 22.0, 23.0, 24.0, 25.0],
            "height_cm": [170.0, 180.0, 160.0, 175.0, 165.0, None],
            "weight_kg": [70.0, 80.0, 60.0, 75.0, 65.0, 70.0],
            "bmi_kg_m2": [24.2, None, None, None, 23.9, None],
        }
    )


@pytest.mark.parametrize("exposure", [None, {"session": None}, Exposure()])
def test_definition_that_nobody_stated_is_not_told(exposure: object) -> None:
    said = read_cohort(finished(), exposure=exposure).dictionary.set_index("column")["description"]  # type: ignore[arg-type]
    for column in ("intermat_percent", "lmm_cm3_per_kg_m2"):
        assert "as given in the study's table; definition not stated" in said[column]
        assert THRESHOLD not in said[column]


def test_definition_that_was_stated_is_told() -> None:
    said = read_cohort(finished(), exposure={"adipose": "threshold"}).dictionary.set_index("column")["description"]
    assert THRESHOLD in said["intermat_percent"]
    simulated = read_cohort(finished().assign(simulated=1)).dictionary.set_index("column")["description"]
    assert THRESHOLD in simulated["intermat_percent"]


def test_computed_bmi_is_counted_among_those_who_stay() -> None:
    assert read_cohort(finished()).notes == ("3 participants: BMI computed from height and weight",)
    leave_b = [{"name": "b", "column": "participant_id", "op": "==", "value": "b"}]
    assert read_cohort(finished(), exclusions=leave_b).notes == ("2 participants: BMI computed from height and weight",)
    assert read_cohort(finished().assign(bmi_kg_m2=[24.2, 24.7, 23.4, 24.5, 23.9, 25.0])).notes == ()


def test_several_problems_stand_one_a_line_and_say_how_a_code_becomes_missing() -> None:
    wrong = finished().assign(sex=list("123456"), age_years=[-99.0, 50.0, 51.0, 52.0, 53.0, 54.0])
    with pytest.raises(TableError) as told:
        read_cohort(wrong)
    lines = str(told.value).splitlines()
    assert [line[:3] for line in lines[1:3]] == ["(1)", "(2)"]
    assert len(lines) == 4
    assert all("'' makes a code missing" in line for line in lines[1:3])
