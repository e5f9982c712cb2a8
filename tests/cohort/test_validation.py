"""Validation: each wrong table gives one typed error that names column and participants."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.cohort import missing_column, read_cohort
from muscle_bayes.errors import DuplicateKeyError, EmptyTableError, InvalidValueError, MissingColumnError, TableError


def test_wrong_key_name_is_suggested(participants: pd.DataFrame) -> None:
    with pytest.raises(MissingColumnError, match=r"no column 'participant_id'.*Did you mean 'Participant-ID'"):
        read_cohort(participants.rename(columns={"participant_id": "Participant-ID"}))


def test_wrong_name_in_the_mapping_is_suggested(participants: pd.DataFrame) -> None:
    own = participants.rename(columns={"age_years": "alter"})
    with pytest.raises(MissingColumnError, match=r"'Altr' for 'age_years'.*Perhaps you meant 'alter'"):
        read_cohort(own, columns={"Altr": "age_years"})


@pytest.mark.parametrize(
    ("wanted", "have"), [("age_years", "age"), ("bmi_kg_m2", "BMI"), ("osteoarthritis", "osteoartritis")]
)
def test_missing_column_finds_short_and_misspelt_names(wanted: str, have: str) -> None:
    error = missing_column(wanted, ["participant_id", have, "site"], "cohort")
    assert f"Did you mean {have!r}" in str(error)


def test_duplicate_participant_session(participants: pd.DataFrame) -> None:
    again = pd.concat([participants, participants.iloc[[1]]])
    with pytest.raises(DuplicateKeyError, match="participant 0012, session 1, in 2 rows"):
        read_cohort(again)


def test_empty_table(participants: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(EmptyTableError, match="participants table"):
        read_cohort(participants.iloc[:0])
    participants.iloc[:0].to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(EmptyTableError, match=r"p\.csv"):
        read_cohort(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("age_years", -99, r"column age_years: 1 of 4 values are outside 0 to 120 years \(participant 0012 \(-99\)\)"),
        ("cbp", 2, r"column cbp: .*outside 0, 1 \(participant 0012 \(2\)\)"),
        ("sex", "w", r"column sex: .*outside female, male \(participant 0012 \('w'\)\)"),
        ("weight_kg", np.inf, r"column weight_kg: .*participant 0012 \(inf\)"),
    ],
)
def test_values_outside_their_definition(participants: pd.DataFrame, column: str, value: object, expected: str) -> None:
    broken = participants.astype({column: object})
    broken.loc[1, column] = value
    with pytest.raises(InvalidValueError, match=expected):
        read_cohort(broken)


def test_coded_sex_says_how_to_map_and_the_mapping_works(participants: pd.DataFrame) -> None:
    coded = participants.assign(sex=[2, 1, 2, 1])
    with pytest.raises(InvalidValueError, match=r"'values': \{'1': 'male', '2': 'female'\}"):
        read_cohort(coded)
    cohort = read_cohort(coded, columns={"sex": {"column": "sex", "values": {"1": "male", "2": "female"}}})
    assert cohort.table["sex"].tolist() == participants["sex"].tolist()


def test_height_in_metres_is_recognised(participants: pd.DataFrame) -> None:
    with pytest.raises(InvalidValueError, match="look like metres: multiply it by 100"):
        read_cohort(participants.assign(height_cm=participants["height_cm"] / 100))


def test_bmi_that_contradicts_height_and_weight(participants: pd.DataFrame) -> None:
    bmi = participants["weight_kg"] / (participants["height_cm"] / 100) ** 2
    assert len(read_cohort(participants.assign(bmi_kg_m2=bmi.round(1)))) == 4
    bmi.loc[2] = 22.0
    with pytest.raises(InvalidValueError, match=r"1 rows \(participant 0100; the first has 22\.0 .* is 28\.0\)"):
        read_cohort(participants.assign(bmi_kg_m2=bmi))


def test_activity_that_contradicts_met_minutes(participants: pd.DataFrame) -> None:
    with pytest.raises(InvalidValueError, match="participant 0231; the first says moderate at 5001"):
        read_cohort(participants.assign(activity=["low", "moderate", "moderate", "moderate"]))


def test_mixed_decimal_commas(participants: pd.DataFrame) -> None:
    with pytest.raises(
        InvalidValueError, match=r"column weight_kg: decimal commas and decimal points are mixed .*0012"
    ):
        read_cohort(participants.assign(weight_kg=["60.5", "81,5", "70.0", "90.0"]))


def test_all_problems_are_told_at_once(participants: pd.DataFrame) -> None:
    broken = pd.concat(
        [participants.assign(age_years=[34, 510, 62, 70], pain_nrs=[0, 11, 3, 4]), participants.iloc[[0]]]
    )
    with pytest.raises(TableError) as caught:
        read_cohort(broken)
    text = str(caught.value)
    assert text.startswith("participants table: 3 problems")
    for part in ("column age_years", "column pain_nrs", "participant 0007"):
        assert part in text


def test_missing_identifier(participants: pd.DataFrame) -> None:
    participants.loc[2, "participant_id"] = None
    with pytest.raises(InvalidValueError, match="column participant_id: 1 rows have no identifier"):
        read_cohort(participants)


def test_infinite_and_missing_differ(participants: pd.DataFrame) -> None:
    participants.loc[0, "age_years"] = np.nan
    assert read_cohort(participants).table["age_years"].isna().sum() == 1


def test_advice_on_codes_names_the_studys_own_column_and_works(small_table: pd.DataFrame) -> None:
    """What the error says to write is what mends it, also where the column came by another name."""
    table = small_table.rename(columns={"sex": "geschlecht"}).assign(
        geschlecht=small_table["sex"].map({"male": 1, "female": 2}).to_numpy()
    )
    with pytest.raises(InvalidValueError, match="'column': 'geschlecht'") as caught:
        read_cohort(table, columns={"geschlecht": "sex"})
    advice = re.search(r"columns=(\{.*\}\})", str(caught.value))
    assert advice is not None
    read = read_cohort(table, columns=ast.literal_eval(advice.group(1)))
    assert (read.table["sex"].to_numpy() == small_table["sex"].to_numpy()).all()
