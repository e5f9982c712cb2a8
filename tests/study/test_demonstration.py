"""The demonstration, made small: 400 participants and one member's phantoms with coarse voxels."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.study import demonstrate, fitting
from muscle_bayes.study import demonstration as demonstration_module
from muscle_bayes.study.phantoms import PhantomPlan


@pytest.mark.usefixtures("undrawn")
def test_the_whole_way_on_simulated_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "ESTIMATES", ("odds_ratios", "nomogram"))
    monkeypatch.setattr(demonstration_module, "QUICK", {"participants": 400, "phantoms": 1})
    monkeypatch.setattr(demonstration_module, "PhantomPlan", partial(PhantomPlan, voxel_mm=(2.8, 2.8, 6.0)))
    made = demonstrate(tmp_path / "demo", seed=2, quick=True)
    assert made.exit_code == 0
    assert made.made == [
        "cohort", "phantoms", "fit cbp_interaction", "estimates cbp_interaction", "figures cbp_interaction",
        "fit pain_nrs4", "estimates pain_nrs4", "figures pain_nrs4", "fits together", "report",
    ]  # fmt: skip

    # The cohort is what was simulated: the phantoms' measurements have not entered it.
    cohort = pd.read_parquet(made.out / "cohort.parquet")
    truth = simulate_cohort(n=400, seed=2)
    for column in ("intermat_percent", "lmm_cm3_per_kg_m2", "lean_cm3"):
        pd.testing.assert_series_equal(cohort[column], truth[column])
    assert len(pd.read_csv(made.out / "tables" / "phantoms.csv")) == 2
    page = made.report.read_text()
    assert "simulated" in page.lower()
    assert "trunk is still to come" in page

    again = demonstrate(tmp_path / "demo", seed=2, quick=True)
    assert again.made == []
