"""What a cohort's scans leave for people to look at: drift from the facts of the delivery."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from muscle_bayes.study.scan_review import changes
from muscle_bayes.study.scanning import measure

STUDY = """\
[study]
name = "Review"

[participants]
file = "participants.csv"

[images]
root = "images"
water = "{participant_id}_water.nii.gz"
fat = "{participant_id}_fat.nii.gz"
labels = "{participant_id}_dseg.nii.gz"
quality = false

[exposure]
adipose = "fraction"
region = "field_of_view"

[[fits]]
model = "cbp_main"
"""


def test_a_scanner_that_changed_its_software_is_seen_in_table_chart_and_notes(tmp_path: Path) -> None:
    n, rng = 60, np.random.default_rng(1)
    names = [f"p{number:02d}" for number in range(n)]
    site = ["North", "South"] * (n // 2)
    month = [1 + number // 10 for number in range(n)]
    new = [place == "South" and late >= 4 for place, late in zip(site, month, strict=True)]
    people = pd.DataFrame({"participant_id": names, "bmi_kg_m2": 25.0, "site": site, "simulated": 1})
    people.to_csv(tmp_path / "participants.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY)
    images = tmp_path / "images"
    images.mkdir()
    labels = np.zeros((16, 10, 6), dtype=np.uint8)
    labels[2:6, 2:8, 1:5], labels[9:13, 2:8, 1:5] = 3, 4
    for name, late, changed in zip(names, month, new, strict=True):
        share = 0.1 + 0.01 * rng.normal() + 0.1 * changed
        said = {"AcquisitionDateTime": f"2016-0{late}-05T10:00:00", "SoftwareVersions": "E11" if changed else "D13"}
        for role, signal in (("water", 1 - share), ("fat", share), ("dseg", None)):
            data = labels if signal is None else np.full(labels.shape, 2000 * signal, dtype=np.float32)
            nib.save(nib.Nifti1Image(data, np.diag([2.0, 2.0, 5.0, 1.0])), images / f"{name}_{role}.nii.gz")
            (images / f"{name}_{role}.json").write_text(json.dumps(said))
    made = measure(tmp_path)
    assert len(made.measured.failures) == 0
    facts = pd.read_csv(made.out / "qc" / "scan_facts.tsv", sep="\t")
    assert facts["software"].tolist() == ["E11" if changed else "D13" for changed in new]
    assert facts["acquisition_month"].tolist() == [f"2016-0{late}" for late in month]
    table = pd.read_csv(made.out / "qc" / "drift.tsv", sep="\t")
    row = table[(table["measure"] == "intermat_percent") & (table["level"] == "E11")].iloc[0]
    assert (row["site"], row["n"], row["n_others"], row["marked"]) == ("South", 15, 15, 1)
    assert row["lower"] < 10 < row["upper"]
    assert any("stand out" in note for note in made.measured.notes)
    differing = pd.read_csv(made.out / "qc" / "sequences.tsv", sep="\t", keep_default_na=False)
    software = differing[differing["parameter"] == "software"]
    assert software["site"].tolist() == ["South"]  # half of a site is no single scan's mistake
    assert software["scans"].tolist() == [15]
    assert any("qc/sequences.tsv" in note for note in made.measured.notes)
    for name in ("drift.png", "drift.svg"):
        assert (made.out / "qc" / name).stat().st_size > 1000
    svg = (made.out / "qc" / "drift.svg").read_text()
    assert all(words in svg for words in ("South", "E11", "Simulated data"))


def test_what_was_there_from_the_first_month_is_no_change() -> None:
    frame = pd.DataFrame(
        {
            "site": ["A", "A", "A", "B"],
            "acquisition_month": ["2016-01", "2016-02", "2016-03", "2016-02"],
            "scanner": ["Skyra", "Skyra", "Vida", "Skyra"],
            "software": ["D13", "E11", "E11", None],
        }
    )
    assert changes(frame) == {"A": {"2016-03": "Vida", "2016-02": "E11"}}


def test_a_swap_that_was_put_right_is_shown_to_reviewers_and_phantoms_say_what_they_are(tmp_path: Path) -> None:
    from muscle_bayes.simulation import simulate_phantom

    images = tmp_path / "images"
    images.mkdir()
    for name, swap in (("clean", None), ("swapped", "whole")):
        phantom = simulate_phantom("trunk", seed=1, voxel_mm=(2.8, 2.8, 6.0), supersample=(2, 2, 1), swap=swap)
        for role, image in (("water", phantom.water), ("fat", phantom.fat), ("dseg", phantom.labels)):
            nib.save(image, images / f"{name}_{role}.nii.gz")
    # Nobody says in the table that these are phantoms; their headers do.
    people = pd.DataFrame({"participant_id": ["clean", "swapped"], "bmi_kg_m2": 26.0})
    people.to_csv(tmp_path / "participants.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY.replace("quality = false", "repair_swap = true"))
    made = measure(tmp_path)
    table = made.measured.table
    # Two scans are too few for either comparison, which is said.
    assert any("no drift charts" in note for note in made.measured.notes)
    assert any("fewer than 10 scans cannot say what is usual" in note for note in made.measured.notes)
    assert (table["simulated"] == 1).all()
    both = table[(table["muscle"] == "autochthonous") & (table["side"] == "both")]
    region = both[both["region"] == "field_of_view"].set_index("participant_id")
    assert region["qc"].to_dict() == {"clean": "pass", "swapped": "review"}
    clean, swapped = region["intermat_threshold_percent"][["clean", "swapped"]]
    assert abs(clean - swapped) < 0.1
    page = (made.out / "qc" / "index.html").read_text()
    assert page.count("put right before measuring: water and fat look swapped") == 1
    decisions = pd.read_csv(made.out / "qc_decisions.tsv", sep="\t", comment="#")
    assert decisions["participant_id"].tolist() == ["swapped"]
