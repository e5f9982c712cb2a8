"""Resuming: a second run does nothing, and a change redoes only what depends on it."""

import json
from pathlib import Path

import pandas as pd
import pytest

from muscle_bayes.errors import MissingColumnError, ModelFileError, TableError
from muscle_bayes.study import run

STAGES = ["cohort", "fit small", "estimates small", "figures small", "report"]


def test_a_study_leaves_its_files_behind_and_a_second_run_keeps_them(small_study: Path) -> None:
    first = run(small_study)
    assert first.made == STAGES
    assert first.exit_code == 0
    out = small_study / "results"
    for name in (
        "cohort.parquet",
        "cohort.json",
        "flow.csv",
        "fits/small/posterior.nc",
        "fits/small/diagnostics.json",
        "tables/small_odds_ratios.csv",
        "tables/small_surface.csv",
        "tables/small_nomogram_points.csv",
        "tables/small_odds_ratios.html",
        "tables/small_odds_ratios.tex",
        *(
            f"figures/small_{figure}{width}.{ending}"
            for figure in ("forest", "surface", "nomogram")
            for width in ("", "_85mm")
            for ending in ("svg", "pdf", "png")
        ),
        "figures/small_nomogram.html",
        "report.html",
        "study.lock.json",
    ):
        assert (out / name).stat().st_size > 0, name
    assert not [path for path in out.rglob(".*") if path.is_file()], "unfinished files are left behind"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    again = run(small_study)
    assert again.made == []
    assert again.kept == STAGES
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    lock = json.loads((out / "study.lock.json").read_text())
    assert lock["study"]["study"]["seed"] == 3
    assert set(lock["inputs"]) == {"participants.csv", "small.toml"}

    # A figure that was lost is drawn again, and nothing else is done.
    (out / "figures" / "small_forest.png").unlink()
    assert run(small_study).made == ["figures small"]
    assert (out / "figures" / "small_forest.png").read_bytes() == before[out / "figures" / "small_forest.png"]


@pytest.mark.usefixtures("undrawn")
def test_a_change_redoes_what_depends_on_it(small_study: Path) -> None:
    toml, out = small_study / "study.toml", small_study / "results"
    run(small_study)

    # Another seed concerns fit and report, not the cohort.
    toml.write_text(toml.read_text().replace("seed = 3", "seed = 4"))
    changed = run(small_study)
    assert changed.kept[0] == "cohort"
    assert "fit small" in changed.made

    # A changed participant table concerns everything.
    table = pd.read_csv(small_study / "participants.csv")
    table.loc[0, "age_years"] += 1
    table.to_csv(small_study / "participants.csv", index=False)
    assert run(small_study).made == STAGES

    # A renamed fit takes its old files with it.
    toml.write_text(toml.read_text() + 'name = "renamed"\n')
    run(small_study)
    assert (out / "fits" / "renamed" / "posterior.nc").is_file()
    assert not (out / "fits" / "small" / "posterior.nc").exists()
    assert not (out / "tables" / "small_odds_ratios.csv").exists()


def test_an_interrupted_run_goes_on_from_the_last_finished_stage(
    small_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import muscle_bayes.study.fitting as fitting

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "draw_figures", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(small_study)
    resumed = run(small_study)
    assert resumed.kept == STAGES[:3]
    assert resumed.made == STAGES[3:]


@pytest.mark.usefixtures("undrawn")
def test_two_runs_of_one_study_give_the_same_tables(small_study: Path) -> None:
    first = run(small_study).table("small")
    for path in (small_study / "results").rglob("*"):
        if path.is_file():
            path.unlink()
    pd.testing.assert_frame_equal(run(small_study).table("small"), first)


def test_a_wrong_model_is_told_before_anything_is_done(small_study: Path) -> None:
    toml = small_study / "study.toml"
    toml.write_text(toml.read_text().replace("small.toml", "cbp_mian"))
    with pytest.raises(ModelFileError, match="cbp_mian"):
        run(small_study)
    assert not (small_study / "results").exists()


def test_bad_tables_are_one_typed_error(small_study: Path) -> None:
    path = small_study / "participants.csv"
    table = pd.read_csv(path)
    table.rename(columns={"age_years": "age"}).to_csv(path, index=False)
    with pytest.raises(MissingColumnError, match="age_years"):
        run(small_study)
    path.unlink()
    with pytest.raises(TableError, match=r"participants\.csv: There is no such file"):
        run(small_study)


@pytest.mark.usefixtures("undrawn")
def test_exclusions_of_the_file_reach_the_flow(small_study: Path) -> None:
    toml = small_study / "study.toml"
    rule = '\n[[exclusions]]\nname = "older than 60"\ncolumn = "age_years"\nop = ">"\nvalue = 60\n'
    toml.write_text(toml.read_text() + rule)
    run(small_study)
    table = pd.read_csv(small_study / "participants.csv")
    flow = pd.read_csv(small_study / "results" / "flow.csv")
    assert flow.loc[1, "reason"] == "older than 60"
    assert flow.loc[1, "n_removed"] == (table["age_years"] > 60).sum()
    assert pd.read_parquet(small_study / "results" / "cohort.parquet")["age_years"].max() <= 60
