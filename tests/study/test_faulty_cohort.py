"""A cohort with planted faults: each has its reason, everybody else is measured, and the table goes on to another study."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import StudyFileError
from muscle_bayes.imaging.batch import Answer, Shard, open_pool
from muscle_bayes.study import run
from muscle_bayes.study.scan_quality import DECISIONS
from muscle_bayes.study.scanning import measure
from muscle_bayes.study.sharding import merge_shards

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
STUDY = """\
[study]
name = "Faults"

[participants]
file = "participants.csv"

[images]
root = "images"
water = "{participant_id}/water.nii.gz"
fat = "{participant_id}/fat.nii.gz"
labels = "{participant_id}/labels.nii.gz"
quality = false

[exposure]
adipose = "fraction"
region = "field_of_view"

[[fits]]
model = "small.toml"
method = "ml"
estimates = ["odds_ratios"]
"""


def write_scan(folder: Path, share: float, seed: int, shape: tuple[int, int, int] = (16, 10, 6)) -> None:
    """Two muscles with a known fat signal fraction."""
    folder.mkdir(parents=True)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[2:6, 2:8, 1:5], labels[9:13, 2:8, 1:5] = 3, 4
    total = np.random.default_rng(seed).uniform(1500, 2500, shape)
    for name, data in (("water", total * (1 - share)), ("fat", total * share), ("labels", labels)):
        stored = data if name == "labels" else data.astype(np.float32)
        nib.save(nib.Nifti1Image(stored, AFFINE), folder / f"{name}.nii.gz")


def make_study(folder: Path, names: Sequence[str]) -> Path:
    table = pd.DataFrame({"participant_id": names, "bmi_kg_m2": 25.0, "simulated": 1})
    table.to_csv(folder / "participants.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    for number, name in enumerate(names):
        write_scan(folder / "images" / name, 0.05 + 0.4 * number / len(names), number)
    return folder


@contextmanager
def hostile_pool(*arguments: Any, **settings: Any) -> Iterator[Any]:
    """Workers that die at one participant's scan."""
    hostile = importlib.import_module("hostile_scan")
    with open_pool(*arguments, **settings) as pool:

        class Pool:
            words = pool.words

            def run(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Answer[Any]]:
                assert function.__name__ == "measure_task"
                yield from pool.run(hostile.measure_or_die, tasks)

        yield Pool()


def test_each_fault_has_its_reason_and_everybody_else_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a", "killer", "truncated", "b", "grid", "fatless", "c", "empty"]
    study = make_study(tmp_path, names)
    images = study / "images"
    whole = (images / "truncated" / "water.nii.gz").read_bytes()
    (images / "truncated" / "water.nii.gz").write_bytes(whole[: len(whole) // 2])
    nib.save(nib.Nifti1Image(np.full((16, 10, 7), 3, dtype=np.uint8), AFFINE), images / "grid" / "labels.nii.gz")
    (images / "fatless" / "fat.nii.gz").unlink()
    nib.save(nib.Nifti1Image(np.zeros((16, 10, 6), dtype=np.float32), AFFINE), images / "empty" / "water.nii.gz")
    home = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", home)
    monkeypatch.syspath_prepend(home)
    monkeypatch.setattr("muscle_bayes.study.scanning.open_pool", hostile_pool)
    # One death is enough here; that the deaths of neighbours are told apart is tested with the window.
    monkeypatch.setattr("muscle_bayes.imaging.batch.window.IN_COMPANY", 1)
    monkeypatch.setattr("muscle_bayes.imaging.batch.window.ALONE", 1)
    made = measure(study, workers=2)
    failures = made.measured.failures.set_index("participant_id")["error"].to_dict()
    assert failures == {
        "killer": "WorkerKilledError",
        "truncated": "CorruptImageError",
        "grid": "GridMismatchError",
        "fatless": "DeliveryError",
        "empty": "EmptyImageError",
    }
    assert set(made.measured.table["participant_id"]) == {"a", "b", "c"}
    assert made.exit_code == 1
    written = pd.read_csv(made.out / "failures.tsv", sep="\t")
    assert written["participant_id"].tolist() == ["killer", "truncated", "grid", "fatless", "empty"]
    assert (written["remedy"].str.len() > 10).all()

    # In one process and without the hostile stand-in, only who was not measured before is measured.
    monkeypatch.undo()
    again = measure(study)
    assert again.measured.reused == 3
    assert "killer" in set(again.measured.table["participant_id"])


def test_shards_are_put_together_as_one_run_would_have_written_them(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(9)]
    for part in ("whole", "parts"):
        (tmp_path / part).mkdir()
        study = make_study(tmp_path / part, names)
        (study / "images" / "p4" / "fat.nii.gz").unlink()
    whole = measure(tmp_path / "whole")
    study = tmp_path / "parts"
    with pytest.raises(StudyFileError, match="no shards"):
        merge_shards(study)
    first = measure(study, shard="1/2")
    assert first.people == sum(Shard(1, 2).holds(name) for name in names)
    assert not (study / "results" / "measurements.tsv").exists()
    with pytest.raises(StudyFileError, match="1 of 2 shards have no tables yet: 2"):
        merge_shards(study)
    measure(study, shard="2/2")
    merged = merge_shards(study)
    for name in ("measurements.tsv", "measurements.json", "failures.tsv"):
        assert (merged.out / name).read_bytes() == (whole.out / name).read_bytes(), name
    # A run of everybody finds every scan done.
    assert measure(study).measured.reused == len(names) - 1
    measure(study, shard="1/3")
    with pytest.raises(StudyFileError, match="2 and of 3 parts"):
        merge_shards(study)


def test_a_limit_leaves_the_rest_for_another_run(tmp_path: Path) -> None:
    study = make_study(tmp_path, ["a", "b", "c", "d"])
    first = measure(study, limit=1)
    assert (len(first.measured.table["participant_id"].unique()), first.measured.left) == (1, 3)
    second = measure(study, limit=2)
    assert (second.measured.reused, second.measured.left) == (1, 1)
    last = measure(study)
    assert (last.measured.reused, last.measured.left) == (3, 0)
    assert last.measured.table["participant_id"].unique().tolist() == ["a", "b", "c", "d"]


def test_done_means_that_the_record_matches_not_that_a_file_exists(tmp_path: Path) -> None:
    study = make_study(tmp_path, ["a", "b"])
    out = measure(study).out
    rows = next((out / "derivatives").rglob("sub-a_measurements.tsv"))
    record = json.loads(rows.with_suffix(".json").read_text())
    assert set(record["outputs"]) == {rows.relative_to(out).as_posix()}
    assert {"load", "quantify", "write"} <= set(record["seconds"])
    assert record["versions"]["nibabel"] == nib.__version__
    good = rows.read_bytes()
    for spoil in (good[:-5], b""):
        rows.write_bytes(spoil)
        assert measure(study).measured.reused == 1
        assert rows.read_bytes() == good
    rows.with_suffix(".json").write_text('{"fingerprint"')
    assert measure(study).measured.reused == 1
    # A file that a killed process had begun is swept away before the scan is measured again.
    left = rows.with_name(".sub-a_measurements-abcd1234.tsv")
    left.write_text("half")
    rows.unlink()
    measure(study)
    assert not left.exists()
    # Another seed, BMI or definition is another request.
    toml = study / "study.toml"
    toml.write_text(toml.read_text().replace('name = "Faults"', 'name = "Faults"\nseed = 7'))
    assert measure(study).measured.reused == 0


def test_reviewers_leave_out_and_correct(tmp_path: Path) -> None:
    study = make_study(tmp_path, ["a", "b", "c"])
    out = measure(study).out
    record = json.loads(next((out / "derivatives").rglob("sub-b_measurements.json")).read_text())
    labels = nib.load(study / "images" / "b" / "labels.nii.gz")
    smaller = np.asarray(labels.dataobj).copy()
    smaller[2:6, 2:8, 1] = 0
    nib.save(nib.Nifti1Image(smaller, labels.affine), out / "b_corrected.nii.gz")
    header = "participant_id\tsession_id\tdecision\treviewer\tdate\tcomment\tcorrected_mask\tcorrects_sha256\n"
    (out / DECISIONS).write_text(
        header
        + f"b\t\tcorrected\tR\t2026-01-01\t\tb_corrected.nii.gz\t{record['labels_sha256']}\n"
        + "c\t\tcorrected\tR\t2026-01-01\t\tb_corrected.nii.gz\t"
        + "0" * 64
        + "\n"
    )
    again = measure(study)
    assert again.measured.reused == 1
    left = again.measured.table.query("muscle == 'autochthonous' and side == 'left' and region == 'field_of_view'")
    volumes = left.set_index("participant_id")["compartment_cm3"]
    assert volumes["b"] == pytest.approx(volumes["a"] * 3 / 4)
    # A mask that corrects other labels than those of now is refused.
    assert again.measured.failures["participant_id"].tolist() == ["c"]
    assert "another version" in again.measured.failures["problem"].iloc[0]


@pytest.mark.usefixtures("undrawn")
def test_a_measured_table_joins_another_study_without_further_work(small_study: Path, tiny_table: pd.DataFrame) -> None:
    scans, names = small_study / "scans", tiny_table["participant_id"].head(40).tolist()
    scans.mkdir()
    make_study(scans, names)
    made = measure(scans)
    people = tiny_table.head(40).drop(columns=[c for c in tiny_table if c.startswith(("intermat", "lean", "lmm"))])
    people.to_csv(small_study / "participants.csv", index=False)
    model = small_study / "small.toml"
    text = model.read_text().replace("intermat_z * lmm_z", "intermat_z")
    model.write_text("\n".join(line for line in text.splitlines() if not line.startswith("lmm_z")))
    toml = small_study / "study.toml"
    head, _, tail = toml.read_text().partition("[[fits]]")
    joined = '[measurements]\nfile = "scans/results/measurements.tsv"\n\n[exposure]\nadipose = "fraction"\n'
    toml.write_text(
        head + joined + 'region = "field_of_view"\n\n[[fits]]' + tail.replace(', "surface", "nomogram"', "")
    )
    done = run(small_study)
    cohort = pd.read_parquet(done.out / "cohort.parquet").set_index("participant_id")
    expected = [100 * (0.05 + 0.4 * number / 40) for number in range(40)]
    np.testing.assert_allclose(cohort.loc[names, "intermat_percent"], expected, rtol=1e-5)
    dictionary = json.loads((made.out / "measurements.json").read_text())
    assert set(dictionary) == set(pd.read_csv(made.out / "measurements.tsv", sep="\t"))


def test_a_backend_that_cannot_be_opened_is_told_before_any_scan_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muscle_bayes.errors import MissingDependencyError
    from muscle_bayes.study import one_scan, scan_settings

    study = make_study(tmp_path, ["a", "b"])
    told = (study / "study.toml").read_text()
    labels = 'labels = "{participant_id}/labels.nii.gz"'
    (study / "study.toml").write_text(told.replace(labels, 'backend = "bundle"\ndevice = "cpu"'))
    scan_settings._opened.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(one_scan, "load_delivery", lambda *_: pytest.fail("a scan was read"))
    with pytest.raises(MissingDependencyError, match="torch is not installed"):
        measure(study)


def test_a_scheme_reaches_the_backend_whose_ids_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from muscle_bayes.imaging import backends
    from muscle_bayes.study.scan_settings import ScanSettings, backend_of

    asked = {}
    monkeypatch.setattr(backends, "open_backend", lambda name, **told: asked.update(told, name=name))
    backend_of(ScanSettings(backend="nnunet", scheme=Path("/ids.tsv"), tool={"timeout_s": 5.0, "folds": (0,)}))
    assert (asked["name"], asked["scheme"], asked["timeout_s"]) == ("nnunet", Path("/ids.tsv"), 5.0)
