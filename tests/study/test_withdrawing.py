"""Withdrawal: no trace of a participant stays in the results, raw images do, and nobody measures them again."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.study.lock import Lock
from muscle_bayes.study.scanning import measure
from muscle_bayes.study.withdrawing import withdraw
from muscle_bayes.study.withdrawn import Withdrawn

GONE, LIKE, FAILS = "WDR-4711", "WDR-47110", "WDR-bad"
STUDY = """\
[study]
name = "Withdrawal"

[participants]
file = "participants.csv"

[images]
root = "images"
water = "{participant_id}_{session_id}/water.nii.gz"
fat = "{participant_id}_{session_id}/fat.nii.gz"
labels = "{participant_id}_{session_id}/labels.nii.gz"
quality = false

[exposure]
adipose = "fraction"
region = "field_of_view"
session = "base"

[[fits]]
model = "cbp_main"
"""


def mentions(folder: Path, text: str) -> list[str]:
    """Return files whose name or content holds a text; tables in parquet by their cells."""
    found = []
    for path in folder.rglob("*"):
        name = text in path.name
        if path.suffix == ".parquet":
            content = pd.read_parquet(path).map(lambda cell: text in str(cell)).to_numpy().any()
        else:
            content = path.is_file() and text.encode() in path.read_bytes()
        if name or content:
            found.append(path.relative_to(folder).as_posix())
    return found


def write_scan(folder: Path, share: float, *, seed: int) -> None:
    """Two muscles with a known fat signal fraction."""
    folder.mkdir(parents=True)
    labels = np.zeros((16, 10, 6), dtype=np.uint8)
    labels[2:6, 2:8, 1:5], labels[9:13, 2:8, 1:5] = 3, 4
    total = np.random.default_rng(seed).uniform(1500, 2500, labels.shape)
    for name, data in (("water", total * (1 - share)), ("fat", total * share), ("labels", labels)):
        stored = data if name == "labels" else data.astype(np.float32)
        nib.save(nib.Nifti1Image(stored, np.diag([2.0, 2.0, 5.0, 1.0])), folder / f"{name}.nii.gz")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    from muscle_bayes.cohort import read_cohort
    from muscle_bayes.study.folder import StudyFolder
    from muscle_bayes.study.progress import Progress
    from muscle_bayes.study.settings import load_study

    names = [GONE, LIKE, FAILS, "other"]
    people = pd.DataFrame({"participant_id": names, "session_id": "base", "bmi_kg_m2": 25.0, "simulated": 1})
    people.to_csv(tmp_path / "participants.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY)
    for number, name in enumerate(names):
        write_scan(tmp_path / "images" / f"{name}_base", 0.1 + 0.1 * number, seed=number)
    (tmp_path / "images" / f"{FAILS}_base" / "fat.nii.gz").write_bytes(b"\x1f\x8b no gzip")
    made = measure(tmp_path)
    assert made.exit_code == 1
    out = made.out
    # What other stages and reviewers leave behind.
    exposure = {"session": "base", "adipose": "fraction", "region": "field_of_view"}
    cohort = read_cohort(tmp_path / "participants.csv", out / "measurements.tsv", exposure=exposure)
    cohort.save(out)
    folder = StudyFolder(load_study(tmp_path), Progress())
    (out / "report.html").write_text(f"<html><body class='x'><td>{FAILS}</td><p>fits</p></body></html>")
    (out / "qc").mkdir(exist_ok=True)
    for name in (GONE, LIKE):
        entities = next(p.name for p in (out / "derivatives").glob("sub-*") if name in _people(p))
        (out / "qc" / f"{entities}_ses-base.png").write_bytes(b"picture")
    decisions = "participant_id\tsession_id\tdecision\treviewer\tdate\tcorrected_mask\tcorrects_sha256\n"
    rows = "".join(f"{name}\tbase\tpass\tA\t2026-01-01\t\t\n" for name in names)
    (out / "qc_decisions.tsv").write_text(decisions + rows)
    (out / "qc" / "index.html").write_text(f"<html><body><p>{GONE}</p></body></html>")
    folder.lock.record("cohort", "x", [out / "cohort.parquet", out / "cohort.json", out / "flow.csv"])
    folder.lock.record("fit cbp_main", "y", [])
    folder.lock.record("report", "z", [out / "report.html"])
    folder.write_lock()
    return tmp_path


def _people(folder: Path) -> str:
    return " ".join(path.read_text() for path in folder.rglob("*_measurements.tsv"))


def test_no_trace_of_a_participant_stays(study: Path) -> None:
    out = study / "results"
    raw = {path: path.read_bytes() for path in (study / "images").rglob("*") if path.is_file()}
    assert mentions(out, GONE)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    asked = withdraw(study, GONE, dry_run=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    done = withdraw(study, GONE)
    assert set(asked.removed) == set(done.removed)
    assert asked.stale == done.stale
    assert {"measurements.tsv", "cohort.parquet", "qc_decisions.tsv", "qc/index.html"} <= set(done.removed)

    # The other one's identifier begins alike, and nothing of theirs is gone.
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            assert GONE.encode() not in path.read_bytes().replace(LIKE.encode(), b""), path
    table = pd.read_parquet(out / "cohort.parquet")
    assert table["participant_id"].tolist() == [LIKE, FAILS, "other"]
    flow = pd.read_csv(out / "flow.csv")
    assert flow.iloc[-1][["reason", "n_removed", "n_left"]].tolist() == ["withdrawn", 1, 3]
    kept = pd.read_csv(out / "measurements.tsv", sep="\t", dtype="str", keep_default_na=False)
    assert set(kept["participant_id"]) == {LIKE, "other"}
    assert {path: path.read_bytes() for path in raw} == raw
    assert any("untouched" in remark for remark in done.remarks)

    # Fits and report are out of date, and the report says so.
    lock = Lock(out)
    assert set(done.stale) == {"measurements", "cohort", "fit cbp_main", "report"}
    assert not any(lock.is_done(stage, wanted) for stage, wanted in (("cohort", "x"), ("fit cbp_main", "y")))
    assert "Out of date" in (out / "report.html").read_text()

    # A later run leaves the images alone.
    again = measure(study)
    assert again.people == 3
    assert set(again.measured.table["participant_id"]) == {LIKE, "other"}
    assert Withdrawn(out).holds(GONE, "base")
    assert not Withdrawn(out).holds(LIKE, "base")
    assert withdraw(study, GONE).removed.keys() <= {"report.html"}


def test_who_failed_is_forgotten_too_and_the_report_that_names_them(study: Path) -> None:
    done = withdraw(study, FAILS)
    assert {"failures.tsv", "report.html"} <= set(done.removed)
    assert mentions(study / "results", FAILS) == []


def test_one_session_goes_and_the_list_holds_no_identifier(study: Path) -> None:
    out = study / "results"
    withdraw(study, GONE, session="another")
    assert GONE in (out / "measurements.tsv").read_text()
    withdraw(study, GONE, session="base")
    assert not any(name == GONE for name in pd.read_csv(out / "measurements.tsv", sep="\t")["participant_id"])
    withdrawn = Withdrawn(out)
    assert len(withdrawn) == 2
    assert withdrawn.holds(GONE, "base")
    assert not withdrawn.holds(GONE, "later")
    first = (out / "withdrawn.tsv").read_text()
    assert GONE not in first
    # The salt is drawn anew for every study: two lists of one person do not match.
    shutil.rmtree(out)
    out.mkdir()
    Withdrawn(out).add(GONE, "base")
    assert not set(first.split()) & set((out / "withdrawn.tsv").read_text().split()) - {"salt", "sha256"}


def test_a_mistyped_identifier_is_refused_and_changes_nothing(study: Path) -> None:
    out = study / "results"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for dry_run in (True, False):
        with pytest.raises(
            InvalidValueError, match=r"Nobody is called so in participants\.csv.*perhaps it is 'WDR-4711'"
        ):
            withdraw(study, "WDR-4712", dry_run=dry_run)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    # Who has left the table is still found in the results; and once withdrawn, may be withdrawn again.
    people = pd.read_csv(study / "participants.csv")
    people[people["participant_id"] != GONE].to_csv(study / "participants.csv", index=False)
    assert "measurements.tsv" in withdraw(study, GONE).removed
    assert "measurements.tsv" not in withdraw(study, GONE).removed
    # Without results there is nobody to find, and without a table nobody to ask.
    shutil.rmtree(out)
    with pytest.raises(InvalidValueError, match="Nobody is called so"):
        withdraw(study, GONE)
