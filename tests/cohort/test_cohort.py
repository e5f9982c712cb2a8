"""The cohort: what was read, who left, what stays with the table."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from muscle_bayes.cohort import Cohort, read_cohort
from muscle_bayes.errors import EmptyTableError, InvalidValueError, MissingColumnError, TableError


def test_names_and_codes_are_mapped(participants: pd.DataFrame, tmp_path: Path) -> None:
    own = participants.rename(columns={"age_years": "alter", "sex": "geschlecht", "participant_id": "ID"})
    own["geschlecht"] = own["geschlecht"].map({"female": "w", "male": "m"})
    own["cbp"] = ["nein", "ja", "weiß nicht", "nein"]
    own.to_csv(tmp_path / "p.csv", sep=";", decimal=",", index=False)
    cohort = read_cohort(
        tmp_path / "p.csv",
        columns={
            "ID": "participant_id",
            "age_years": "alter",  # the other way round is understood
            "sex": {"column": "geschlecht", "values": {"w": "female", "m": "male"}},
            "cbp": {"column": "cbp", "values": {"ja": 1, "nein": 0, "weiß nicht": ""}},
        },
    )
    assert cohort.table["participant_id"].tolist() == participants["participant_id"].tolist()
    assert cohort.table["age_years"].tolist() == [34, 51, 62, 70]
    assert cohort.table["sex"].tolist() == participants["sex"].tolist()
    assert cohort.table["cbp"].fillna(-1).tolist() == [0, 1, -1, 0]
    assert cohort.sources["participants"]["file"] == "p.csv"
    assert len(cohort.sources["participants"]["sha256"]) == 64


def test_a_mapping_that_makes_two_columns_one_is_refused(participants: pd.DataFrame) -> None:
    with pytest.raises(InvalidValueError, match="Two columns would be called 'age_years'"):
        read_cohort(participants.assign(alter=1), columns={"alter": "age_years"})


def test_activity_category_at_its_edges(participants: pd.DataFrame) -> None:
    assert read_cohort(participants).table["activity"].tolist() == ["low", "moderate", "moderate", "high"]


def test_exclusions_are_counted_in_order(participants: pd.DataFrame) -> None:
    participants.loc[0, "age_years"] = float("nan")
    cohort = read_cohort(
        participants.assign(scanner=["a", "b", "c", "c"]),
        exclusions=[
            {"name": "older than 65", "column": "age_years", "op": ">", "value": 65},
            {"name": "scanner c", "column": "scanner", "op": "in", "value": ["c"]},
            {"name": "age not known", "column": "age_years", "op": "is_missing"},
        ],
    )
    assert cohort.flow.to_dict(orient="list") == {
        "step": ["read", "exclusion", "exclusion", "exclusion"],
        "reason": ["rows in participants table", "older than 65", "scanner c", "age not known"],
        "n_removed": [0, 1, 1, 1],
        "n_left": [4, 3, 2, 1],
    }
    assert cohort.table["participant_id"].tolist() == ["0012"]


@pytest.mark.parametrize(
    ("op", "value", "left"),
    [
        ("==", 51, 3),
        ("!=", 51, 1),
        ("<", 51, 3),
        ("<=", 51, 2),
        (">", 51, 2),
        (">=", 51, 1),
        ("in", [51, 62], 2),
        ("not_in", [51, 62], 2),
    ],
)
def test_every_comparison(participants: pd.DataFrame, op: str, value: object, left: int) -> None:
    rule = {"name": "x", "column": "age_years", "op": op, "value": value}
    assert len(read_cohort(participants, exclusions=[rule])) == left


def test_identifiers_in_a_rule_may_be_numbers(participants: pd.DataFrame) -> None:
    rule = {"name": "withdrew consent", "column": "participant_id", "op": "in", "value": ["0012", "0100"]}
    assert len(read_cohort(participants, exclusions=[rule])) == 2


@pytest.mark.parametrize(
    ("rule", "error", "match"),
    [
        ({"name": "x", "column": "agee_years", "op": "<", "value": 1}, MissingColumnError, "Did you mean 'age_years'"),
        ({"name": "x", "column": "age_years", "op": "=<", "value": 1}, InvalidValueError, "is not a comparison"),
        ({"name": "x", "column": "age_years", "op": "<", "value": "1"}, InvalidValueError, "holds numbers"),
        ({"name": "x", "column": "age_years", "op": "in", "value": 3}, InvalidValueError, "needs a list"),
        ({"name": "x", "column": "age_years"}, InvalidValueError, "No 'op'"),
        ({"name": "x", "column": "age_years", "op": "<", "valu": 3}, InvalidValueError, "Unknown key 'valu'"),
        ({"name": "adults", "column": "age_years", "op": ">=", "value": 18}, EmptyTableError, "removes everybody"),
    ],
)
def test_wrong_rules(participants: pd.DataFrame, rule: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        read_cohort(participants, exclusions=[rule])


def test_dictionary_has_units_for_every_column(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    cohort = read_cohort(participants.assign(beruf="x"), measurements)
    assert cohort.dictionary["column"].tolist() == cohort.table.columns.tolist()
    units = cohort.dictionary.set_index("column")["unit"]
    assert units["lmm_cm3_per_kg_m2"] == "cm3/(kg/m2)"
    assert units["lmm_fraction_cm3_per_kg_m2"] == "cm3/(kg/m2)"
    assert units["activity_met_min_week"] == "MET-min/week"
    assert "own column" in cohort.dictionary.set_index("column").loc["beruf", "description"]
    assert "fat signal fraction" in cohort.dictionary.set_index("column").loc["intermat_percent", "description"]


def test_a_nearly_canonical_name_is_noted(participants: pd.DataFrame) -> None:
    cohort = read_cohort(participants.rename(columns={"age_years": "AgeYears"}))
    assert any("'AgeYears': 'age_years'" in note for note in cohort.notes)


def test_simulated_is_kept_wherever_it_was_said(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    assert not read_cohort(participants).simulated
    assert read_cohort(participants.assign(simulated=1)).simulated
    assert read_cohort(participants, measurements.assign(simulated=1)).simulated
    marked = participants.copy()
    marked.attrs = {"simulated": True, "seed": 3}
    cohort = read_cohort(marked)
    assert cohort.simulated
    assert cohort.table["simulated"].eq(1).all()
    assert cohort.table.attrs == {"simulated": True, "seed": 3}
    assert "simulated data" in repr(cohort)


def test_save_and_load_give_the_same_cohort(
    participants: pd.DataFrame, measurements: pd.DataFrame, tmp_path: Path
) -> None:
    cohort = read_cohort(participants.assign(simulated=1), measurements, exposure={"adipose": "fraction"})
    cohort.save(tmp_path / "c")
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["cohort.json", "cohort.parquet", "flow.csv"]
    again = Cohort.load(tmp_path / "c")
    pd.testing.assert_frame_equal(again.table, cohort.table)
    pd.testing.assert_frame_equal(again.flow, cohort.flow)
    pd.testing.assert_frame_equal(again.dictionary, cohort.dictionary)
    assert again.table.attrs == cohort.table.attrs
    assert (again.simulated, again.exposure, again.notes) == (cohort.simulated, cohort.exposure, cohort.notes)


def test_a_table_changed_after_saving_is_refused(participants: pd.DataFrame, tmp_path: Path) -> None:
    path = read_cohort(participants).save(tmp_path)
    participants.iloc[:2].to_parquet(path)
    with pytest.raises(TableError, match="changed after it was saved"):
        Cohort.load(tmp_path)


def test_a_cohort_cannot_be_reassigned_and_shows_itself(participants: pd.DataFrame) -> None:
    cohort = read_cohort(participants)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cohort.simulated = True  # type: ignore[misc]
    page = cohort._repr_html_()
    assert "Cohort of 4 participants" in page
    assert "median 56.5" in page


def test_the_input_is_not_changed(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    before, measured_before = participants.copy(), measurements.copy()
    read_cohort(participants, measurements, exclusions=[{"name": "x", "column": "cbp", "op": "==", "value": 1}])
    pd.testing.assert_frame_equal(participants, before)
    pd.testing.assert_frame_equal(measurements, measured_before)


def test_the_stage_imports_neither_pymc_nor_torch() -> None:
    heavy = "('pymc', 'bambi', 'torch', 'matplotlib')"
    code = f"import sys, muscle_bayes.cohort; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_columns_of_any_type_are_read_and_saved(participants: pd.DataFrame, tmp_path: Path) -> None:
    odd = participants.assign(
        sex=pd.Categorical(participants["sex"]),
        cbp=[False, True, True, False],
        age_years=pd.array([34, None, 62, 70], dtype="Int64"),
        visit=pd.to_datetime(["2020-01-01"] * 4),
        remark=[1, "x", None, 2.5],
    ).set_axis([5, 5, 9, 9])
    cohort = read_cohort(odd)
    assert cohort.table["cbp"].tolist() == [0, 1, 1, 0]
    assert cohort.table["age_years"].fillna(-1).tolist() == [34, -1, 62, 70]
    assert cohort.table["remark"].dropna().tolist() == ["1", "x", "2.5"]
    cohort.save(tmp_path)
    pd.testing.assert_frame_equal(Cohort.load(tmp_path).table, cohort.table)
    with pytest.raises(TableError, match="Two columns are called 'cbp'"):
        read_cohort(pd.concat([odd, odd[["cbp"]]], axis=1))
