"""Fits in a study: what a failed gate leaves out, and what a table says about simulated data."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from muscle_bayes.study import run


def test_a_failed_gate_gives_no_estimates_and_exit_code_4(small_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import muscle_bayes.inference as inference
    from muscle_bayes.inference.diagnostics import Diagnostics, Finding

    real = inference.fit

    def failing(*arguments: Any, **settings: Any) -> Any:
        found = Diagnostics(findings=(Finding("failure", "largest R-hat 1.3"),))
        return dataclasses.replace(real(*arguments, **settings), diagnostics=found)

    with monkeypatch.context() as patched:
        patched.setattr(inference, "fit", failing)
        made = run(small_study)
    assert made.exit_code == 4
    assert made.ungated == {"small": "largest R-hat 1.3"}
    out = small_study / "results"
    assert (out / "fits" / "small" / "posterior.nc").is_file()
    assert not (out / "tables" / "small_odds_ratios.csv").exists()
    assert not list((out / "figures").glob("*")) if (out / "figures").exists() else True
    assert "R-hat 1.3" in (out / "report.html").read_text()
    # A second run has not forgotten it.
    again = run(small_study)
    assert again.made == []
    assert again.exit_code == 4


@pytest.mark.usefixtures("undrawn")
def test_every_table_of_a_simulated_study_says_so(small_study: Path) -> None:
    made = run(small_study)
    for path in (made.out / "tables").glob("small_*.csv"):
        assert pd.read_csv(path)["simulated"].eq(1).all(), path.name
    rows = made.table("small")
    assert rows.loc[rows["role"] == "exposure", "term"].tolist()[:2] == ["intermat_z", "lmm_z"]
