"""BIDS-like trees in the spellings that people use, to a row, and why a session is refused."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from made_up_deliveries import body, ras_affine

from muscle_bayes.errors import DeliveryError
from muscle_bayes.imaging import label_id, quantify
from muscle_bayes.imaging.deliveries import find_deliveries, load_delivery

SHAPE = (24, 20, 12)
WATER, FAT = body(SHAPE)


def saved(path, volume, first=0, dtype=np.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume[::-1, ::-1, first:].astype(dtype), ras_affine(SHAPE, z=3.0 * first)), path)


@pytest.mark.parametrize(
    ("water", "fat"),
    [
        ("acq-water_MEGRE", "acq-fat_MEGRE"),
        ("acq-W_VIBE", "acq-F_VIBE"),
        ("part-water_vibe", "part-fat_vibe"),
        ("sequ-94_acq-ax_part-water_vibe", "sequ-93_acq-ax_part-fat_vibe"),
        ("rec-water_T1w", "rec-fat_T1w"),
        ("desc-W_dixon", "desc-F_dixon"),
        ("acq-dixonwater_T1w", "acq-dixonfat_T1w"),
        ("acq-dixon_water", "acq-dixon_fat"),
        ("run-1_W", "run-1_F"),
    ],
)
def test_spellings(tmp_path, water, fat):
    for name, volume in ((water, WATER), (fat, FAT)):
        saved(tmp_path / "sub-01" / "ses-a" / "anat" / f"sub-01_ses-a_{name}.nii.gz", volume)
    # What is neither water nor fat does not count.
    saved(tmp_path / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_part-fatfraction_vibe.nii.gz", FAT)
    found = find_deliveries(tmp_path, "bids")
    assert found.problems == []
    (delivery,) = found.found
    assert (delivery.participant_id, delivery.session_id) == ("01", "a")
    assert delivery.files["water"][0].name.endswith(f"{water}.nii.gz")
    assert delivery.files["fat"][0].name.endswith(f"{fat}.nii.gz")


def test_a_tree_goes_to_a_row_of_measurements_with_the_facts_of_its_sidecars(tmp_path):
    anat = tmp_path / "sub-01" / "anat"
    saved(anat / "sub-01_acq-water_VIBE.nii.gz", WATER)
    saved(anat / "sub-01_acq-fat_VIBE.nii.gz", FAT)
    muscle = (WATER > 900) & (FAT < 400)
    saved(anat / "sub-01_dseg.nii.gz", np.where(muscle, label_id("adductors", "left"), 0), dtype=np.uint8)
    sidecar = {"RepetitionTime": 0.00669, "EchoTime": 0.00239, "FlipAngle": 10, "MagneticFieldStrength": 1.5,
               "Manufacturer": "Siemens", "ManufacturersModelName": "Aera", "SoftwareVersions": "D13",
               "PatientName": "Mustermann", "AcquisitionDateTime": "2016-05-17T10:11:12"}  # fmt: skip
    (anat / "sub-01_acq-water_VIBE.json").write_text(json.dumps(sidecar))
    (anat / "sub-01_acq-fat_VIBE.json").write_text(json.dumps(sidecar | {"EchoTime": 0.00477}))
    (delivery,) = find_deliveries(tmp_path, "bids").found
    scan = load_delivery(delivery, tmp_path / "scratch")
    assert scan.facts["repetition_time_ms"] == pytest.approx(6.69)
    assert scan.facts["echo_times_ms"] == "2.39, 4.77"
    assert scan.facts["acquisition_month"] == "2016-05"
    assert scan.facts["scanner"] == "Aera"
    assert "Mustermann" not in json.dumps(scan.facts)
    assert not (tmp_path / "scratch").exists(), "files that are images already are not copied"
    table = quantify(**scan.images)
    row = table[(table["muscle"] == "adductors") & (table["side"] == "left")].iloc[0]
    assert row["compartment_cm3"] == pytest.approx(muscle.sum() * 1.5 * 1.5 * 3 / 1000)


def test_chunks_are_stations(tmp_path):
    folder = tmp_path / "sub-100206" / "t1dixon"
    for role, volume in (("water", WATER), ("fat", FAT)):
        for chunk, (first, last) in enumerate(((0, 7), (5, 12)), 1):
            saved(folder / f"sub-100206_acq-ax_rec-{role}_chunk-{chunk}_t1dixon.nii.gz", volume[:, :, :last], first)
    (delivery,) = find_deliveries(tmp_path, "bids").found
    scan = load_delivery(delivery, tmp_path / "scratch")
    np.testing.assert_allclose(scan.images["water"].get_fdata(), WATER[::-1, ::-1], rtol=1e-5)
    assert scan.facts["stations"] == 2


def test_sessions_are_rows_of_their_own(tmp_path):
    for subject, session in (("01", "1"), ("01", "2"), ("02", "1")):
        for name in ("acq-water_VIBE", "acq-fat_VIBE"):
            saved(tmp_path / f"sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}_{name}.nii", WATER)
    found = find_deliveries(tmp_path, "bids")
    assert [(d.participant_id, d.session_id) for d in found.found] == [("01", "1"), ("01", "2"), ("02", "1")]


def test_a_participants_table_may_write_entities_out(tmp_path):
    """BIDS 1.11 asks for `sub-` in participants.tsv and `ses-` in sessions.tsv."""
    for name in ("acq-water", "acq-fat"):
        saved(tmp_path / "sub-01" / "ses-1" / "anat" / f"sub-01_ses-1_{name}_VIBE.nii.gz", WATER)
    for person, session in (("sub-01", "ses-1"), ("01", "1"), ("sub-01", "1"), ("sub-01", "")):
        found = find_deliveries(tmp_path, "bids", people=[SimpleNamespace(participant_id=person, session_id=session)])
        assert found.problems == []
        assert [(d.participant_id, d.session_id) for d in found.found] == [(person, session or "1")]


def test_several_pairs_are_refused_unless_a_pattern_chooses(tmp_path):
    for run in (1, 2):
        for name in ("acq-water", "acq-fat"):
            saved(tmp_path / "sub-01" / "anat" / f"sub-01_{name}_run-{run}_VIBE.nii.gz", WATER)
    (problem,) = find_deliveries(tmp_path, "bids").problems
    assert "2 pairs of water and fat" in problem["problem"]
    chosen = {"water": "*_run-2_*", "fat": "sub-{participant_id}/anat/*_run-2_*"}
    (delivery,) = find_deliveries(tmp_path, "bids", chosen).found
    assert delivery.files["water"][0].name == "sub-01_acq-water_run-2_VIBE.nii.gz"


BROKEN = {
    "no fat": (["acq-water_VIBE"], "There is water and no fat"),
    "fat of another acquisition": (["acq-water_VIBE", "acq-fat_MEGRE"], "No pair of water and fat"),
    "nothing of Dixon": (["T1w"], "No pair of water and fat"),
    "two images of water": (
        ["acq-water_sequ-1_VIBE", "acq-water_sequ-2_VIBE", "acq-fat_sequ-3_VIBE"],
        "There are 2 images of water",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_sessions_say_why(tmp_path, kind):
    names, said = BROKEN[kind]
    for name in names:
        saved(tmp_path / "sub-07" / "ses-1" / "anat" / f"sub-07_ses-1_{name}.nii.gz", WATER)
    found = find_deliveries(tmp_path, "bids")
    assert found.found == []
    (problem,) = found.problems
    assert (problem["participant_id"], problem["session_id"], problem["error"]) == ("07", "1", "DeliveryError")
    assert said in problem["problem"]
    assert problem["where"] == "participant 07, session 1"


@pytest.mark.parametrize(
    "text", ["[1, 2]", "{", '"text"', " " * (1 << 20) + " {}"], ids=["list", "cut", "text", "large"]
)
def test_a_sidecar_that_is_none_is_named(tmp_path, text):
    anat = tmp_path / "sub-01" / "anat"
    for name, volume in (("acq-water_VIBE", WATER), ("acq-fat_VIBE", FAT)):
        saved(anat / f"sub-01_{name}.nii.gz", volume)
    (anat / "sub-01_acq-fat_VIBE.json").write_text(text)
    (delivery,) = find_deliveries(tmp_path, "bids").found
    with pytest.raises(DeliveryError, match="sidecar") as refused:
        load_delivery(delivery, tmp_path / "scratch")
    assert "sub-01_acq-fat_VIBE.json" in refused.value.where
