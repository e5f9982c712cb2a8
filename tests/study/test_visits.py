"""Repeat visits: which are measured, which one is analysed, and that a visit that failed leaves nobody out of another."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import DuplicateKeyError, InvalidValueError, MuscleBayesError, StudyFileError
from muscle_bayes.study import missing_scans
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.running import _cohort
from muscle_bayes.study.scanning import measure, measure_images
from muscle_bayes.study.settings import load_study
from muscle_bayes.study.visits import require_one_session

STUDY = """\
[study]
name = "Visits"

[participants]
file = "participants.csv"
columns = { visit = "session_id" }

[images]
root = "images"
water = "{participant_id}_{session_id}_water.nii.gz"
fat = "{participant_id}_{session_id}_fat.nii.gz"
labels = "{participant_id}_{session_id}_dseg.nii.gz"
quality = false
SESSIONS

[exposure]
adipose = "fraction"
region = "field_of_view"
EXPOSED

[[fits]]
model = "cbp_main"
"""
#: Participant, visit -> fat signal fraction; the last of them cannot be measured.
SCANS = {
    ("p1", "30"): 0.1,
    ("p1", "60"): 0.2,
    ("p2", "30"): 0.3,
    ("p3", "60"): 0.4,
    ("p3", "30"): 0.45,
    ("p2", "60"): None,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    labels = np.zeros((16, 10, 6), dtype=np.uint8)
    labels[2:6, 2:8, 1:5], labels[9:13, 2:8, 1:5] = 3, 4
    for (person, visit), share in SCANS.items():
        signal = {"water": 0.5, "fat": None} if share is None else {"water": 1 - share, "fat": share}
        for role, part in signal.items():
            if part is None:
                continue
            data = np.full(labels.shape, 2000 * part, dtype=np.float32)
            nib.save(nib.Nifti1Image(data, np.diag([2.0, 2.0, 5.0, 1.0])), images / f"{person}_{visit}_{role}.nii.gz")
        nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2.0, 5.0, 1.0])), images / f"{person}_{visit}_dseg.nii.gz")
    people = pd.DataFrame(list(SCANS), columns=["participant_id", "visit"])
    people.assign(bmi_kg_m2=25.0, cbp=0, simulated=1).to_csv(tmp_path / "participants.csv", index=False)
    return tmp_path


def written(home: Path, sessions: str = "", exposed: str = "") -> Path:
    (home / "study.toml").write_text(STUDY.replace("SESSIONS", sessions).replace("EXPOSED", exposed))
    return home / "study.toml"


def test_all_visits_are_measured_and_one_is_analysed(home: Path) -> None:
    path = written(home, 'sessions = "all"', 'session = "30"')
    made = measure(path)
    assert made.people == 6
    table = made.measured.table
    both = table[(table["muscle"] == "autochthonous") & (table["side"] == "both")]
    both = both[both["region"] == "field_of_view"]
    found = both.set_index(["participant_id", "session_id"])["intermat_fraction_percent"]
    # In the order of the table, the visits of one participant together.
    assert found.index.tolist() == [("p1", "30"), ("p1", "60"), ("p2", "30"), ("p3", "30"), ("p3", "60")]
    assert found.to_dict() == pytest.approx({key: 100 * share for key, share in SCANS.items() if share is not None})
    (failure,) = made.measured.failures.to_dict("records")
    assert (failure["participant_id"], failure["session_id"]) == ("p2", "60")

    folder = StudyFolder(load_study(path), Progress())
    require_one_session(folder.study)
    measured, _ = measure_images(folder)
    cohort, told = _cohort(folder, measured)
    assert told.empty
    # The visit that failed is not the one that is analysed: p2 stays.
    assert cohort.table.set_index("participant_id")["intermat_percent"].to_dict() == pytest.approx(
        {"p1": 10.0, "p2": 30.0, "p3": 45.0}
    )
    assert not any("could not be measured" in reason for reason in cohort.flow["reason"])


def test_of_the_visit_that_is_analysed_a_failure_is_an_exclusion(home: Path) -> None:
    folder = StudyFolder(load_study(written(home, 'sessions = ["30", "60"]', 'session = "60"')), Progress())
    cohort, told = _cohort(folder, measure_images(folder)[0])
    assert told["participant_id"].tolist() == ["p2"]
    assert cohort.table["participant_id"].tolist() == ["p1", "p3"]
    assert any("images not found" in reason for reason in cohort.flow["reason"])


def test_the_visit_of_the_exposure_alone_is_measured_without_a_word(home: Path) -> None:
    made = measure(written(home, exposed='session = "60"'))
    assert set(made.measured.table["session_id"]) == {"60"}
    assert made.people == 3
    described = json.loads(made.files["measurements.json"].read_text())
    assert set(described) == set(made.measured.table.columns)


def test_what_is_not_clear_is_refused_before_anything_is_measured(home: Path) -> None:
    with pytest.raises(DuplicateKeyError, match=r'sessions = "all" under \[images\]'):
        measure(written(home))
    with pytest.raises(InvalidValueError, match=r"No participant has the session '90' \(there is '30', '60'\)"):
        measure(written(home, 'sessions = ["30", "90"]'))
    with pytest.raises(StudyFileError, match="Several sessions of one person"):
        require_one_session(load_study(written(home, 'sessions = "all"')))
    assert not (home / "results" / "measurements.tsv").exists()


def test_every_error_of_an_image_has_a_reason_in_the_flow() -> None:
    def below(kind: type) -> set[str]:
        return {kind.__name__}.union(*(below(each) for each in kind.__subclasses__()))

    from muscle_bayes.errors import ImageError

    assert issubclass(ImageError, MuscleBayesError)
    assert below(ImageError) <= set(missing_scans.REASONS)
