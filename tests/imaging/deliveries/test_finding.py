"""Files by pattern, participants and sessions: everybody is either found or told why not, and once."""

import pickle
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_deliveries import body, ras_affine

from muscle_bayes.errors import DeliveryError, ImageError, InvalidValueError
from muscle_bayes.imaging import label_id, quantify
from muscle_bayes.imaging.deliveries import find_deliveries, load_delivery
from muscle_bayes.imaging.deliveries.patterns import Folders, filled, keys_of

WATER, FAT = body((24, 20, 10))


@dataclass(frozen=True)
class Person:
    participant_id: str
    session_id: str = ""


def saved(path, volume, dtype=np.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume[::-1, ::-1].astype(dtype), ras_affine(volume.shape)), path)


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


PATTERNS = {"water": "{participant_id}/*_w.nii.gz", "fat": "{participant_id}/*_f.nii.gz"}


def test_files_by_pattern_go_to_a_row_of_measurements(tmp_path):
    muscle = (WATER > 900) & (FAT < 400)
    saved(tmp_path / "A1" / "x_w.nii.gz", WATER)
    saved(tmp_path / "A1" / "x_f.nii.gz", FAT)
    saved(tmp_path / "A1" / "x_dseg.nii.gz", np.where(muscle, label_id("sartorius", "right"), 0), np.uint8)
    (delivery,) = find_deliveries(tmp_path, "nifti", PATTERNS | {"labels": "{participant_id}/*_dseg.nii.gz"}).found
    delivery = pickle.loads(pickle.dumps(delivery))
    scan = load_delivery(delivery, tmp_path / "scratch")
    assert scan.facts == {
        "voxel_x_mm": 1.5, "voxel_y_mm": 1.5, "voxel_z_mm": 3.0, "matrix": "24 x 20", "slices": 10,
    }  # fmt: skip
    assert {role: one["name"] for role, one in scan.inputs.items()} == {
        "water": "x_w.nii.gz", "fat": "x_f.nii.gz", "labels": "x_dseg.nii.gz",
    }  # fmt: skip
    table = quantify(**scan.images)
    row = table[(table["muscle"] == "sartorius") & (table["side"] == "right")].iloc[0]
    assert row["compartment_cm3"] == pytest.approx(muscle.sum() * 1.5 * 1.5 * 3 / 1000)


def test_whoever_has_no_file_or_several_is_a_problem(tmp_path):
    touched(tmp_path, "A/1_w.nii.gz", "A/1_f.nii.gz", "B/1_w.nii.gz", "C/1_w.nii.gz", "C/2_w.nii.gz", "C/1_f.nii.gz")
    people = [Person(name) for name in "ABCD"]
    found = find_deliveries(tmp_path, "nifti", PATTERNS, people)
    assert [d.participant_id for d in found.found] == ["A"]
    assert {row["participant_id"]: row["problem"].split(" under ")[0] for row in found.problems} == {
        "B": "fat = '{participant_id}/*_f.nii.gz' meets no file",
        "C": "water = '{participant_id}/*_w.nii.gz' meets 2 files (1_w.nii.gz, 2_w.nii.gz)",
        "D": "water = '{participant_id}/*_w.nii.gz' meets no file",
    }
    # Without a table the folders say who is there.
    assert [row["participant_id"] for row in find_deliveries(tmp_path, "nifti", PATTERNS).problems] == ["B", "C"]


@pytest.mark.parametrize("name", ["../A", "a/b", "..", "", "x\\y", "nul\0"])
def test_identifiers_that_are_paths_are_refused(tmp_path, name):
    touched(tmp_path, "A/1_w.nii.gz", "A/1_f.nii.gz")
    found = find_deliveries(tmp_path, "nifti", PATTERNS, [Person(name)])
    assert found.found == []
    assert "identifier" in found.problems[0]["problem"]


def test_wildcards_in_an_identifier_mean_themselves(tmp_path):
    touched(
        tmp_path, "A*/1_w.nii.gz", "A*/1_f.nii.gz", "AB/1_w.nii.gz", "AB/1_f.nii.gz", "[C]/1_w.nii.gz", "[C]/1_f.nii.gz"
    )
    found = find_deliveries(tmp_path, "nifti", PATTERNS, [Person("A*"), Person("[C]")])
    assert [d.files["water"][0].parent.name for d in found.found] == ["A*", "[C]"]


def test_a_broken_file_is_named_when_it_is_read(tmp_path):
    saved(tmp_path / "A" / "1_w.nii.gz", WATER)
    saved(tmp_path / "A" / "1_f.nii.gz", FAT)
    path = tmp_path / "A" / "1_w.nii.gz"
    path.write_bytes(b"no image")
    (delivery,) = find_deliveries(tmp_path, "nifti", PATTERNS).found
    with pytest.raises(ImageError, match=r"1_w\.nii\.gz"):
        load_delivery(delivery, tmp_path / "scratch")


def test_sessions_are_compared_where_both_sides_have_them(tmp_path):
    for session in ("2", "3"):
        touched(tmp_path, f"1234567_20201_{session}_0.zip")
    with_sessions = find_deliveries(tmp_path, "ukb20201", people=[Person("1234567", "3"), Person("1234567", "4")])
    assert [(d.participant_id, d.session_id) for d in with_sessions.found] == [("1234567", "3")]
    assert [(row["participant_id"], row["session_id"]) for row in with_sessions.problems] == [("1234567", "4")]
    assert with_sessions.notes == ["1 deliveries are of nobody in the table and were left alone"]
    without = find_deliveries(tmp_path, "ukb20201", people=[Person("1234567"), Person("7654321")])
    assert [d.session_id for d in without.found] == ["2", "3"]
    (missing,) = without.problems
    assert missing["where"] == "participant 7654321"
    assert "no delivery of it" in missing["problem"]


def test_identifiers_that_are_spelt_otherwise_are_told(tmp_path):
    touched(tmp_path, "1234567_20201_2_0.zip")
    other = find_deliveries(tmp_path, "ukb20201", people=[Person("1234567", "baseline")])
    assert other.found == []
    assert "of this participant there is session 2" in other.problems[0]["problem"]
    assert "write session_id in the table as the delivery does" in other.problems[0]["remedy"]
    nobody = find_deliveries(tmp_path, "ukb20201", people=[Person("UKB-1234567")])
    assert "The delivery's first is participant 1234567, session 2" in nobody.problems[0]["problem"]
    assert nobody.problems[0]["remedy"].startswith("Write participant_id")


def test_labels_by_pattern_in_any_format(tmp_path):
    touched(tmp_path, "1234567_20201_2_0.zip", "7654321_20201_2_0.zip", "labels/1234567_2.nii.gz")
    found = find_deliveries(tmp_path, "ukb20201", {"labels": "labels/{participant_id}_{session_id}.nii.gz"})
    (delivery,) = found.found
    assert delivery.files["labels"] == (tmp_path / "labels" / "1234567_2.nii.gz",)
    assert found.problems[0]["participant_id"] == "7654321"


def test_what_cannot_be_asked_for(tmp_path):
    with pytest.raises(InvalidValueError, match="nifti, bids, nako, ukb20201, dicom"):
        find_deliveries(tmp_path, "nrrd")
    with pytest.raises(ImageError, match="no such folder"):
        find_deliveries(tmp_path / "nowhere", "bids")
    with pytest.raises(InvalidValueError, match="takes no setting 'repeat'"):
        find_deliveries(tmp_path, "dicom", {"repeat": "last"})
    with pytest.raises(InvalidValueError, match="'first' is not known"):
        find_deliveries(tmp_path, "dicom", {"repeats": "first"})
    with pytest.raises(InvalidValueError, match="'six' is no number"):
        find_deliveries(tmp_path, "ukb20201", {"stations": "six"})
    with pytest.raises(DeliveryError, match="there is none"):
        find_deliveries(tmp_path, "nifti")
    with pytest.raises(DeliveryError, match=r"has no \{participant_id\}"):
        find_deliveries(tmp_path, "nifti", {"water": "*_w.nii.gz", "fat": "*_f.nii.gz"})


def test_a_flat_folder_of_a_cohort_is_listed_once(tmp_path, monkeypatch):
    from pathlib import Path

    names = [f"{k:06d}_{role}.nii.gz" for k in range(300) for role in "wf"]
    touched(tmp_path, *names, "._000001_w.nii.gz")
    listed = []
    usual = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: listed.append(self) or usual(self))
    patterns = {"water": "{participant_id}_w*", "fat": "{participant_id}_f*"}
    found = find_deliveries(tmp_path, "nifti", patterns, [Person(f"{k:06d}") for k in range(300)])
    assert (len(found.found), found.problems) == (300, [])
    assert listed == [tmp_path]


NAMES = st.text("ab1-_.", min_size=1, max_size=4).filter(
    lambda name: name not in {".", ".."} and not name.startswith("._")
)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=8),
    pattern=st.sampled_from(["*/*", "a*/*", "*b/?", "[ab]*/*1*", "a/*", "*/a", "**/a*", "ab1/b", "*"]),
)
def test_patterns_meet_what_pathlib_says(tmp_path_factory, names, pattern):
    root = tmp_path_factory.mktemp("glob")
    for folder, name in names:
        if not (root / folder).is_file():
            touched(root, f"{folder}/{name}")
    assert sorted(Folders().matching(root, pattern)) == sorted(root.glob(pattern))


@settings(max_examples=60, deadline=None)
@given(
    people=st.lists(
        st.tuples(st.text("ab1*[", min_size=1, max_size=3), st.text("12", min_size=1, max_size=1)), max_size=6
    )
)
def test_everybody_whose_file_was_made_is_listed(tmp_path_factory, people):
    root = tmp_path_factory.mktemp("keys")
    pattern = "{participant_id}/ses-{session_id}/{participant_id}_w.nii"
    for participant_id, session_id in people:
        touched(root, f"{participant_id}/ses-{session_id}/{participant_id}_w.nii", f"{participant_id}/other_w.nii")
    assert keys_of(root, [pattern]) == sorted(set(people))
    for participant_id, session_id in people:
        assert len(Folders().matching(root, filled(pattern, participant_id, session_id))) == 1
