"""A study that starts from a finished table: what the report says of it, and the files that say the same."""

from pathlib import Path

import pandas as pd
import pytest

from muscle_bayes.errors import TableError
from muscle_bayes.study import run, start_study

THRESHOLD = "fat signal fraction of at least 0.5"
NOT_STATED = "definition not stated"


@pytest.fixture
def finished(small_study: Path, tiny_table: pd.DataFrame) -> Path:
    """The small study with its table as another group would have it: one definition, a few gaps, no mark of simulation."""
    kept = ("intermat_percent", "lmm_cm3_per_kg_m2")
    others = [c for c in tiny_table if c.startswith(("intermat_", "lean_", "lmm_")) and c not in kept]
    table = tiny_table.drop(columns=[*others, "simulated"])
    table.loc[table.index[:7], "bmi_kg_m2"] = None
    table.loc[table.index[20:31], "lmm_cm3_per_kg_m2"] = None
    table.to_csv(small_study / "participants.csv", index=False)
    return small_study


@pytest.mark.usefixtures("undrawn")
def test_report_and_files_of_a_finished_table_agree(finished: Path) -> None:
    made = run(finished)
    page = made.report.read_text(encoding="utf-8")
    assert NOT_STATED in page
    assert THRESHOLD not in page
    assert "7 participants: BMI computed from height and weight" in page
    flow = pd.read_csv(made.out / "tables" / "small_flow.csv")
    last = flow.iloc[-1]
    assert (last["step"], last["n_removed"], last["n_left"]) == ("complete cases", 11, 389)
    cohort = pd.read_csv(made.out / "flow.csv")
    assert cohort["n_left"].iloc[-1] == 400

    with (finished / "study.toml").open("a", encoding="utf-8") as study:
        study.write('\n[exposure]\nadipose = "threshold"\n')
    said = run(finished).report.read_text(encoding="utf-8")
    assert THRESHOLD in said
    assert NOT_STATED not in said


def test_missing_measurements_say_that_a_finished_table_needs_none(tmp_path: Path) -> None:
    start_study(tmp_path / "new")
    (tmp_path / "new" / "measurements.tsv").unlink()
    with pytest.raises(TableError, match=r"delete \[measurements\]"):
        run(tmp_path / "new")
