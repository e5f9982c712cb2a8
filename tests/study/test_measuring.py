"""The measurement stage: images of a cohort, among them a corrupt one, an absent one and one on another grid."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import EmptyTableError
from muscle_bayes.imaging.deliveries import Delivery
from muscle_bayes.imaging.deliveries.patterns import files_of
from muscle_bayes.study import run
from muscle_bayes.study.measuring import _gathered
from muscle_bayes.study.one_scan import finished_scan, measure_person
from muscle_bayes.study.people import Person
from muscle_bayes.study.scan_settings import ScanSettings

SHARES = np.linspace(0.05, 0.6, 60)
STUDY = """\
[study]
name = "Images"

[participants]
file = "participants.csv"

[images]
root = "images"
water = "sub-{participant_id}/*_water.nii.gz"
fat = "sub-{participant_id}/*_fat.nii.gz"
labels = "sub-{participant_id}/*_dseg.nii.gz"
quality = false

[exposure]
adipose = "fraction"
region = "field_of_view"

[[fits]]
model = "small.toml"
method = "ml"
"""


def write_images(
    folder: Path, share: float, rng: np.random.Generator, shape: tuple[int, int, int] = (16, 10, 6)
) -> None:
    """Two muscles with a known fat signal fraction, noise only in how bright a voxel is."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[2:6, 2:8, 1:5], labels[9:13, 2:8, 1:5] = 3, 4
    total = rng.uniform(1500, 2500, shape)
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    for name, data in (("water", total * (1 - share)), ("fat", total * share)):
        nib.save(nib.Nifti1Image(data.astype(np.float32), affine), folder / f"x_{name}.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), folder / "x_dseg.nii.gz")


@pytest.fixture
def study(small_study: Path, tiny_table: pd.DataFrame) -> Path:
    """Sixty participants, of whom three cannot be measured."""
    rng = np.random.default_rng(1)
    people = tiny_table.head(60).drop(columns=[c for c in tiny_table if c.startswith(("intermat", "lean", "lmm"))])
    people.to_csv(small_study / "participants.csv", index=False)
    (small_study / "study.toml").write_text(STUDY)
    # One exposure: sixty persons fill no table of two.
    model = small_study / "small.toml"
    text = model.read_text().replace("intermat_z * lmm_z", "intermat_z")
    model.write_text("\n".join(line for line in text.splitlines() if not line.startswith("lmm_z")))
    for name, share in zip(people["participant_id"], SHARES, strict=True):
        write_images(small_study / "images" / f"sub-{name}", float(share), rng)
    images = small_study / "images"
    ids = people["participant_id"].tolist()
    corrupt = images / f"sub-{ids[3]}" / "x_fat.nii.gz"
    corrupt.write_bytes(corrupt.read_bytes()[:60])
    (images / f"sub-{ids[7]}" / "x_water.nii.gz").unlink()
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    other_grid = nib.Nifti1Image(np.full((16, 10, 7), 3, dtype=np.uint8), affine)
    nib.save(other_grid, images / f"sub-{ids[11]}" / "x_dseg.nii.gz")
    return small_study


@pytest.mark.usefixtures("undrawn")
def test_bad_participants_become_rows_and_a_second_run_measures_only_what_changed(study: Path) -> None:
    made = run(study)
    assert made.exit_code == 1
    out = study / "results"
    ids = pd.read_csv(study / "participants.csv")["participant_id"].tolist()
    failures = pd.read_csv(out / "failures.tsv", sep="\t")
    assert failures["participant_id"].tolist() == [ids[3], ids[7], ids[11]]
    assert failures["error"].tolist() == ["CorruptImageError", "DeliveryError", "GridMismatchError"]
    assert "meets no file" in failures.loc[1, "problem"]

    flow = pd.read_csv(out / "flow.csv")
    assert flow.loc[flow["step"] == "exclusion", ["reason", "n_removed", "n_left"]].to_numpy().tolist() == [
        ["image could not be measured: images not found or not usable as delivered (failures.tsv)", 1, 59],
        ["image could not be measured: image file corrupt (failures.tsv)", 1, 58],
        ["image could not be measured: images on different grids (failures.tsv)", 1, 57],
    ]
    measured = pd.read_parquet(out / "cohort.parquet").set_index("participant_id")
    expected = pd.Series(100 * SHARES, index=ids).drop([ids[3], ids[7], ids[11]])
    np.testing.assert_allclose(measured.loc[expected.index, "intermat_percent"], expected, rtol=1e-5)
    volume = 2 * 4 * 6 * 4 * 2 * 2 * 5 / 1000  # cm3 of both muscles
    lean = volume * (1 - expected / 100)
    np.testing.assert_allclose(measured.loc[expected.index, "lean_cm3"], lean, rtol=1e-5)
    np.testing.assert_allclose(
        measured.loc[expected.index, "lmm_cm3_per_kg_m2"], lean / measured.loc[expected.index, "bmi_kg_m2"], rtol=1e-5
    )
    assert measured["simulated"].eq(1).all()

    assert json.loads((out / "derivatives" / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    dictionary = json.loads((out / "measurements.json").read_text())
    assert set(dictionary) == set(pd.read_csv(out / "measurements.tsv", sep="\t").columns)
    assert all(entry["Description"] for entry in dictionary.values())
    assert dictionary["lmm_fraction_cm3_per_kg_m2"]["Units"] == "cm3/(kg/m2)"

    sidecar = f"derivatives/sub-{ids[0]}/ses-baseline/anat/sub-{ids[0]}_ses-baseline_measurements.json"
    assert (out / sidecar).is_file()
    times = {path: path.stat().st_mtime_ns for path in (out / "derivatives").rglob("*.tsv")}
    assert len(times) == 57

    again = run(study)
    assert again.made == []
    assert again.exit_code == 1
    assert {path: path.stat().st_mtime_ns for path in (out / "derivatives").rglob("*.tsv")} == times

    # One image is mended: that person is measured, nobody else, and what follows is made again.
    write_images(study / "images" / f"sub-{ids[3]}", float(SHARES[3]), np.random.default_rng(2))
    mended = run(study)
    assert mended.made == ["measurements", "cohort", "fit small", "estimates small", "figures small", "report"]
    assert len(mended.failures) == 2
    now = {path: path.stat().st_mtime_ns for path in (out / "derivatives").rglob("*.tsv")}
    assert {path: now[path] for path in times} == times
    assert len(now) == 58


def test_nobody_measured_is_an_error_that_tells_the_first_reason(study: Path) -> None:
    toml = study / "study.toml"
    toml.write_text(toml.read_text().replace("*_water", "*_watr"))
    with pytest.raises(
        EmptyTableError, match=r"None of 60 participants could be measured; the first: water .* meets no file"
    ):
        run(study)


def test_a_pattern_must_meet_one_file(tmp_path: Path) -> None:
    for name in ("sub-1", "sub-10"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a_water.nii.gz").touch()
    (tmp_path / "sub-10" / "b_water.nii.gz").touch()
    patterns = {"water": "sub-{participant_id}/*_water.nii.gz"}
    assert files_of(tmp_path, patterns, "1")["water"].parent.name == "sub-1"
    with pytest.raises(Exception, match=r"2 files \(a_water\.nii\.gz, b_water\.nii\.gz\)"):
        files_of(tmp_path, patterns, "10")
    # An identifier is text, not a pattern, and no path.
    for evil in ("*", "1/../10", "[1]"):
        with pytest.raises(Exception, match=r"no file|slash"):
            files_of(tmp_path, patterns, evil)


def test_bids_folders_keep_different_identifiers_apart() -> None:
    assert Person("007", "1").folder == Path("sub-007/ses-1/anat")
    assert Person("007").folder == Path("sub-007/anat")
    assert Person("a-1").folder != Person("a1").folder
    assert Person("Müller").entities.isascii()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("scheme", ["scheme.csv", "totalsegmentator_mr@2.5"])
def test_labels_of_another_tool_are_read_by_their_scheme(study: Path, scheme: str) -> None:
    ids = pd.read_csv(study / "participants.csv")["participant_id"].tolist()
    for name in ids:
        path = study / "images" / f"sub-{name}" / "x_dseg.nii.gz"
        labels = nib.load(path)
        data = np.asarray(labels.dataobj)
        nib.save(
            nib.Nifti1Image(np.where(data == 3, 46, np.where(data == 4, 47, data)).astype(np.uint8), labels.affine),
            path,
        )
    (study / "scheme.csv").write_text("id,muscle,side\n46,autochthonous,left\n47,autochthonous,right\n")
    toml = study / "study.toml"
    toml.write_text(toml.read_text().replace('root = "images"', f'root = "images"\nscheme = "{scheme}"'))
    made = run(study)
    assert len(made.failures) == 3
    measured = pd.read_parquet(made.out / "cohort.parquet").set_index("participant_id")
    expected = pd.Series(100 * SHARES, index=ids).drop([ids[3], ids[7], ids[11]])
    np.testing.assert_allclose(measured.loc[expected.index, "intermat_percent"], expected, rtol=1e-5)


def test_a_folder_of_classes_is_measured_again_when_one_of_its_masks_changes(tmp_path: Path) -> None:
    home = tmp_path / "sub-1"
    write_images(home, 0.2, np.random.default_rng(1))
    image = nib.load(home / "x_dseg.nii.gz")
    labels = np.asarray(image.dataobj)
    (home / "classes").mkdir()

    def write(side: str, mask: np.ndarray) -> None:
        path = home / "classes" / f"autochthon_{side}.nii.gz"
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), image.affine), path)

    write("left", labels == 3)
    write("right", labels == 4)
    patterns = {role: f"sub-{{participant_id}}/x_{role}.nii.gz" for role in ("water", "fat")}
    files = files_of(tmp_path, patterns | {"labels": "sub-{participant_id}/classes"}, "1")

    def measured() -> tuple[float, bool]:
        person, settings, out = Person("1"), ScanSettings(), tmp_path / "out"
        delivery = Delivery("1", "", "nifti", {role: (path,) for role, path in files.items()})
        done = finished_scan(delivery, person, out, settings)
        found = done or measure_person(delivery, person, out, settings)
        rows = found.table[found.table["region"] == "field_of_view"].set_index(["muscle", "side"])
        return float(rows.loc[("autochthonous", "both"), "compartment_cm3"]), found.reused

    volume = 2 * 4 * 6 * 4 * 20 / 1000
    assert measured() == (pytest.approx(volume), False)
    assert measured() == (pytest.approx(volume), True)
    labels = labels.copy()
    labels[2:6, 2:8, 1] = 0
    write("left", labels == 3)
    assert measured() == (pytest.approx(volume * 7 / 8), False)


def test_notes_that_differ_in_figures_and_names_alone_are_told_once() -> None:
    each = [
        [
            f"sub-{k}_water.nii.gz: the header has no orientation, so left and right are a guess",
            f"cut from {k}.5 to 300 mm",
        ]
        for k in range(30_000)
    ]
    each[7].append("stations were stitched")
    assert _gathered(each) == [
        "sub-0_water.nii.gz: the header has no orientation, so left and right are a guess, and the like (30,000 of 30,000 scans)",
        "cut from 0.5 to 300 mm, and the like (30,000 of 30,000 scans)",
        "stations were stitched (1 of 30,000 scans)",
    ]
