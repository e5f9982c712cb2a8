"""Phantoms of a demonstration: who is chosen, and measured beside true."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import InvalidValueError, StudyFileError
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.study import Progress, demonstrate, load_study, run
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.phantoms import PhantomPlan, choose_members


def test_members_span_intermat_sexes_and_sites() -> None:
    table = simulate_cohort(n=3000, seed=1)
    chosen = choose_members(table, 12)
    assert chosen["participant_id"].is_unique
    assert chosen["intermat_percent"].is_monotonic_increasing
    assert chosen["sex"].value_counts().to_dict() == {"female": 6, "male": 6}
    assert chosen["site"].nunique() == 5
    rank = chosen["intermat_percent"].map(lambda value: (table["intermat_percent"] < value).mean())
    np.testing.assert_allclose(rank, (np.arange(12) + 0.5) / 12, atol=0.02)
    with pytest.raises(InvalidValueError, match="Ask for fewer"):
        choose_members(table.head(3), 12)


@pytest.mark.usefixtures("undrawn")
def test_measured_stands_beside_true_and_replaces_nothing(small_study: Path) -> None:
    from muscle_bayes.cohort import read_cohort

    study = load_study(small_study)
    cohort = read_cohort(small_study / "participants.csv")
    before = cohort.table.copy()
    folder = StudyFolder(study, Progress())
    cohort.save(folder.out)
    plan = PhantomPlan(n=1, seed=1, voxel_mm=(2.8, 2.8, 6.0))
    shown = plan(cohort, folder)
    pd.testing.assert_frame_equal(cohort.table, before)

    table = shown.table.set_index("image")
    assert table["backend"].to_dict() == {"trunk": "labelmap", "thigh": "hull"}
    member = cohort.table.set_index("participant_id").loc[table.loc["trunk", "participant_id"]]
    # The truth is what the cohort says of this person (the phantom's fine grid is within 0.5 %).
    assert table.loc["trunk", "intermat_percent_true"] == pytest.approx(member["intermat_percent"], rel=0.005)
    assert table.loc["trunk", "lmm_cm3_per_kg_m2_true"] == pytest.approx(member["lmm_cm3_per_kg_m2"], rel=0.005)
    assert table.loc["trunk", "compartment_cm3"] == pytest.approx(table.loc["trunk", "compartment_cm3_true"], rel=0.02)
    assert table.loc["thigh", "compartment_cm3"] == pytest.approx(table.loc["thigh", "compartment_cm3_true"], rel=0.10)
    assert table["simulated"].eq(1).all()
    assert set(shown.figures) == {"agreement", "overlay_trunk", "overlay_thigh"}
    assert all(path.is_file() for path in shown.figures.values())
    assert "No measured value has replaced" in shown.note

    # A plain run in a demonstration's folder keeps its phantoms, in the report too.
    made = run(small_study)
    assert "phantoms" in made.kept
    assert (folder.out / "tables" / "phantoms.csv").is_file()
    assert "backend" in made.report.read_text()

    images = {path: path.stat().st_mtime_ns for path in (folder.out / "phantoms").rglob("*.nii.gz")}
    assert len(images) == 6
    second = StudyFolder(study, Progress())
    pd.testing.assert_frame_equal(plan(cohort, second).table, shown.table)
    assert second.made == []
    # Where only the table is lost, the images are not made again.
    (folder.out / "tables" / "phantoms.csv").unlink()
    third = StudyFolder(study, Progress())
    pd.testing.assert_frame_equal(plan(cohort, third).table, shown.table)
    assert {path: path.stat().st_mtime_ns for path in images} == images


def test_demo_does_not_overwrite_a_study_of_ones_own(small_study: Path) -> None:
    with pytest.raises(StudyFileError, match="study of your own"):
        demonstrate(small_study, quick=True)
