"""The commands: results on stdout, JSON where a script wants it, one clear line and the right exit code where not."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import muscle_bayes
from muscle_bayes.study.folder import StudyRun
from muscle_bayes.study.settings import study_from

Call = Callable[..., Any]


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    heavy = ("numpy", "pandas", "pymc", "bambi", "torch", "matplotlib", "nibabel", "pydantic")
    code = (
        "import sys\nfrom muscle_bayes.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
    for command in ("demo", "simulate", "quantify", "fit", "init", "run", "models"):
        assert f" {command} " in done.stdout


def test_version(call: Call) -> None:
    assert call("--version").out.strip() == muscle_bayes.__version__


@pytest.mark.parametrize(
    "arguments",
    [
        ["segmnt"],
        ["quantify"],
        ["quantify", "--backend", "huul"],
        ["fit", "t.csv"],
        ["simulate", "--out", "x.csv", "--seed", "-1"],
        ["simulate", "--out", "x", "--phantom", "trunk", "--n", "5"],
    ],
)
def test_usage_errors(call: Call, arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Error" in result.err


def test_water_without_fat_is_a_usage_error(call: Call, scan: dict[str, Path]) -> None:
    result = call("quantify", "--water", scan["water"])
    assert result.code == 2
    assert "belong together" in result.err


@pytest.fixture
def scan(tmp_path: Path) -> dict[str, Path]:
    """Two muscles with 12.5 % fat signal."""
    rng = np.random.default_rng(1)
    labels = np.zeros((16, 10, 6), dtype=np.uint8)
    labels[2:6, 2:8, 1:5], labels[9:13, 2:8, 1:5] = 3, 4
    total = rng.uniform(1500, 2500, labels.shape)
    images = {"water": 0.875 * total, "fat": 0.125 * total, "labels": labels}
    paths = {}
    for name, data in images.items():
        paths[name] = tmp_path / f"{name}.nii.gz"
        kind = np.uint8 if name == "labels" else np.float32
        nib.save(nib.Nifti1Image(data.astype(kind), np.diag([2.0, 2.0, 5.0, 1.0])), paths[name])
    return paths


def dixon(scan: dict[str, Path]) -> list[object]:
    return [part for role, path in scan.items() for part in (f"--{role}", path)]


def test_quantify_prints_what_it_measured_and_says_that_lmm_is_missing(call: Call, scan: dict[str, Path]) -> None:
    result = call("quantify", *dixon(scan))
    assert result.code == 0
    assert "12.50" in result.out
    assert "missing" in result.out
    assert "note: no BMI was given" in result.out


def test_quantify_json_with_bmi(call: Call, scan: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "new" / "rows.tsv"
    result = call(
        "quantify", *dixon(scan), "--bmi", "25", "--adipose", "fraction", "--participant", "007", "--out", out, "--json"
    )
    content = json.loads(result.out)
    assert content["exposure"] == "fraction"
    rows = pd.DataFrame(content["measurements"])
    both = rows[
        (rows["muscle"] == "autochthonous") & (rows["side"] == "both") & (rows["region"] == "field_of_view")
    ].iloc[0]
    volume = 2 * 4 * 6 * 4 * 20 / 1000
    assert both["compartment_cm3"] == pytest.approx(volume)
    assert both["intermat_fraction_percent"] == pytest.approx(12.5, rel=1e-5)
    assert both["lmm_fraction_cm3_per_kg_m2"] == pytest.approx(volume * 0.875 / 25, rel=1e-5)
    assert both["participant_id"] == "007"
    written = pd.read_csv(out, sep="\t", dtype={"participant_id": "str"})
    assert written["participant_id"].eq("007").all()
    assert len(written) == len(rows)


def test_quantify_labels_of_another_tool(call: Call, scan: dict[str, Path], tmp_path: Path) -> None:
    def volume(labels: Path, *options: str) -> float:
        result = call("quantify", *dixon(scan | {"labels": labels}), "--region", "field_of_view", "--json", *options)
        assert result.code == 0, result.err
        rows = pd.DataFrame(json.loads(result.out)["measurements"]).set_index(["muscle", "side"])
        return float(rows.loc[("autochthonous", "left"), "compartment_cm3"])

    image = nib.load(scan["labels"])
    ours = np.asarray(image.dataobj)
    theirs = tmp_path / "scan_seg.nii.gz"
    nib.save(nib.Nifti1Image(np.where(ours > 0, ours + np.uint8(28), ours), image.affine), theirs)
    expected = 4 * 6 * 4 * 20 / 1000
    assert_one_clear_line(call("quantify", *dixon(scan | {"labels": theirs})), "scan_seg.nii.gz", "mrsegmentator")
    assert volume(theirs, "--scheme", "mrsegmentator") == pytest.approx(expected)
    table = tmp_path / "ids.csv"
    table.write_text("id,muscle,side\n31,autochthonous,left\n32,autochthonous,right\n")
    assert volume(theirs, "--scheme", str(table)) == pytest.approx(expected)
    folder = tmp_path / "classes"
    folder.mkdir()
    for number, side in ((3, "left"), (4, "right")):
        nib.save(nib.Nifti1Image((ours == number).astype(np.uint8), image.affine), folder / f"autochthon_{side}.nii.gz")
    assert volume(folder) == pytest.approx(expected)
    fine = tmp_path / "fine.nii.gz"
    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    affine[2, 3] = -1.25
    nib.save(nib.Nifti1Image(np.repeat(ours, 2, axis=2), affine), fine)
    assert_one_clear_line(call("quantify", *dixon(scan | {"labels": fine})), "different grids", "resample")
    assert volume(fine, "--resample-labels") == pytest.approx(expected)


def assert_one_clear_line(result: Any, *parts: str) -> None:
    assert result.code == 3
    assert result.out == ""
    # Progress of stages that were done may stand before it.
    line = result.err.strip().splitlines()[-1]
    assert line.startswith("muscle-bayes: ")
    assert "Traceback" not in result.err
    for part in parts:
        assert part in line


def test_a_corrupt_gzip(call: Call, scan: dict[str, Path]) -> None:
    scan["fat"].write_bytes(scan["fat"].read_bytes()[:80])
    assert_one_clear_line(call("quantify", *dixon(scan)), "fat.nii.gz")


def test_images_on_different_grids(call: Call, scan: dict[str, Path]) -> None:
    data = np.full((16, 10, 7), 300, dtype=np.float32)
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2.0, 5.0, 1.0])), scan["fat"])
    assert_one_clear_line(call("quantify", *dixon(scan)), "fat.nii.gz", "different grids")


def test_an_image_of_nan(call: Call, scan: dict[str, Path]) -> None:
    data = np.full((16, 10, 6), np.nan, dtype=np.float32)
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2.0, 5.0, 1.0])), scan["water"])
    assert_one_clear_line(call("quantify", *dixon(scan)), "water.nii.gz")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "cohort.csv"
    muscle_bayes.simulate_cohort(n=300, seed=1).to_csv(path, index=False)
    return path


def test_tables_that_cannot_be_fitted(call: Call, table: Path, tmp_path: Path) -> None:
    good = pd.read_csv(table)

    def fitted(frame: pd.DataFrame) -> Any:
        frame.to_csv(table, index=False)
        return call("fit", table, "--model", "cbp_main", "--method", "ml", "--out", tmp_path / "out")

    assert_one_clear_line(fitted(good.rename(columns={"age_years": "Age"})), "'age_years'")
    assert_one_clear_line(fitted(pd.concat([good, good.iloc[[4]]])), "cohort.csv", "sim000005", "more than once")
    assert_one_clear_line(fitted(good.iloc[:0]), "cohort.csv", "no rows")
    assert_one_clear_line(fitted(good.assign(sex=1)), "column sex", '1 = "male"')
    assert_one_clear_line(call("fit", table, "--model", "cbp_mian", "--out", tmp_path / "out"), "cbp_mian")
    assert_one_clear_line(call("fit", tmp_path / "no.csv", "--model", "cbp_main", "--out", tmp_path / "out"), "no.csv")


def test_simulate_writes_marked_and_reproducible_tables(call: Call, tmp_path: Path) -> None:
    result = call("simulate", "--n", "50", "--seed", "7", "--out", tmp_path / "a.csv", "--json")
    assert json.loads(result.out) == {"cohort": str(tmp_path / "a.csv"), "n": 50, "seed": 7, "simulated": True}
    truth = json.loads((tmp_path / "a.truth.json").read_text())
    assert truth["simulated"] is True
    assert np.exp(2 * truth["truth"]["cbp"]["lmm_z"]) == pytest.approx(0.87, abs=0.005)
    call("simulate", "--n", "50", "--seed", "7", "--out", tmp_path / "b.csv")
    call("simulate", "--n", "50", "--seed", "8", "--out", tmp_path / "c.csv")
    first = (tmp_path / "a.csv").read_bytes()
    assert first == (tmp_path / "b.csv").read_bytes()
    assert first != (tmp_path / "c.csv").read_bytes()
    assert pd.read_csv(tmp_path / "a.csv")["simulated"].eq(1).all()
    assert_one_clear_line(call("simulate", "--out", tmp_path / "a.xlsx"), ".xlsx")


def test_models(call: Call) -> None:
    assert "cbp_interaction" in call("models").out
    listed = json.loads(call("models", "--json").out)
    assert listed["cbp_main"]
    shown = call("models", "cbp_interaction").out
    assert "intermat_z:lmm_z" in shown
    assert "half-normal 0.5" in shown
    assert json.loads(call("models", "cbp_main", "--json").out)["formula"].startswith("cbp ~")
    assert_one_clear_line(call("models", "cbp_mian"), "cbp_mian")


def test_init_writes_a_study_that_run_completes(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import muscle_bayes.study.fitting as fitting

    # The others have a test of their own, and take most of the time.
    monkeypatch.setattr(fitting, "ESTIMATES", ("odds_ratios", "surface", "nomogram"))
    folder = tmp_path / "my study"
    begun = call("init", folder)
    assert begun.code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["measurements.tsv", "participants.csv", "study.toml"]
    assert_one_clear_line(call("init", folder), "already there")

    result = call("run", folder / "study.toml", "--json")
    assert result.code == 0, result.err
    content = json.loads(result.out)
    assert content["failures"] == []
    assert Path(content["report"]).is_file()
    assert {row["role"] for row in content["odds_ratios"]["cbp_interaction"]} == {"exposure", "adjustment"}
    flow = pd.read_csv(folder / "results" / "flow.csv")
    assert flow.loc[0, "n_left"] == 2500
    assert flow["reason"].str.contains("qc fail").any()

    # The tables carry the simulated cohort's muscle through names, codes, sides and the join.
    truth = muscle_bayes.simulate_cohort(n=2500, seed=1, complete=False).set_index("participant_id")
    cohort = pd.read_parquet(folder / "results" / "cohort.parquet").set_index("participant_id")
    known = cohort.index[cohort["lmm_cm3_per_kg_m2"].notna()]
    assert len(known) > 2200
    for column in ("intermat_percent", "lmm_cm3_per_kg_m2", "intermat_fraction_percent", "age_years"):
        np.testing.assert_allclose(cohort.loc[known, column], truth.loc[known, column], rtol=1e-5)
    assert (cohort["sex"] == truth.loc[cohort.index, "sex"]).all()
    assert cohort["simulated"].eq(1).all()

    again = call("run", folder)
    assert again.code == 0
    assert "everything was up to date" in again.out


def study_run(tmp_path: Path, failures: int, ungated: dict[str, str]) -> StudyRun:
    content = {"study": {"name": "x"}, "participants": {"file": "p.csv"}, "fits": [{"model": "cbp_main"}]}
    failed = pd.DataFrame({"participant_id": [str(i) for i in range(failures)]})
    return StudyRun(study_from(content, folder=tmp_path), tmp_path / "report.html", failed, ungated, ["report"])


@pytest.mark.parametrize(
    ("failures", "ungated", "code", "said"),
    [
        (0, {}, 0, "Report: "),
        (2, {}, 1, "2 scans could not be measured"),
        (0, {"cbp_main": "R-hat 1.3"}, 4, "cbp_main FAILED its gate"),
        (2, {"cbp_main": "R-hat 1.3"}, 4, "R-hat 1.3"),
    ],
)
def test_exit_codes_of_a_run(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    ungated: dict[str, str],
    code: int,
    said: str,
) -> None:
    import muscle_bayes.study.running as running

    monkeypatch.setattr(running, "run", lambda *_, **__: study_run(tmp_path, failures, ungated))
    result = call("run", tmp_path)
    assert result.code == code
    assert said in result.out


def test_the_real_calf(call: Call, shared_data: Path) -> None:
    """A healthy calf: about 7 % fat signal, almost no voxel above one half, 2.9 L of muscle, legs alike."""
    calf = shared_data / "calf_dixon"
    arguments = ["--water", calf / "water.nii.gz", "--fat", calf / "fat.nii.gz", "--backend", "hull"]
    rows = pd.DataFrame(json.loads(call("quantify", *arguments, "--json").out)["measurements"]).set_index("side")
    assert 6.5 < rows.loc["both", "intermat_fraction_percent"] < 7.5
    assert 0.2 < rows.loc["both", "intermat_threshold_percent"] < 1.0
    assert 2850 < rows.loc["both", "compartment_cm3"] < 2950
    assert rows.loc["left", "compartment_cm3"] == pytest.approx(rows.loc["right", "compartment_cm3"], rel=0.05)


def test_fit_writes_posterior_tables_and_report(
    call: Call, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import muscle_bayes.study.fitting as fitting

    monkeypatch.setattr(fitting, "draw_figures", lambda *_: {})
    monkeypatch.setattr(fitting, "ESTIMATES", ("odds_ratios", "surface", "nomogram"))
    out = tmp_path / "out"
    arguments = ["fit", table, "--model", "cbp_main", "--method", "ml", "--out", out]
    shown = call(*arguments)
    assert shown.code == 0, shown.err
    assert "cbp_main, simulated data: odds ratios of the exposures" in shown.out
    assert "InterMAT, per 2 Z" in shown.out
    for name in (
        "fits/cbp_main/posterior.nc",
        "fits/cbp_main/diagnostics.json",
        "tables/cbp_main_odds_ratios.csv",
        "report.html",
    ):
        assert (out / name).is_file()
    content = json.loads(call(*arguments, "--json").out)
    assert content["made"] == []
    fitted = muscle_bayes.fit("cbp_main", pd.read_csv(table), method="ml")
    expected = muscle_bayes.odds_ratios(fitted).set_index("term")["estimate"]
    rows = {row["term"]: row["estimate"] for row in content["odds_ratios"]["cbp_main"]}
    assert rows["intermat_z"] == pytest.approx(expected["intermat_z"], rel=1e-6)
