"""Small studies that the study tests start from; a maximum-likelihood fit of 400 persons takes a second."""

from pathlib import Path

import pandas as pd
import pytest

from muscle_bayes.simulation import simulate_cohort

MODEL = """\
title = "Small model"
question = "For tests"
formula = "cbp ~ intermat_z * lmm_z + age_z"
outcome = "Chronic back pain"

[standardise]
intermat_z = { from = "intermat_percent", over = "all" }
lmm_z = { from = "lmm_cm3_per_kg_m2", over = "all" }
age_z = { from = "age_years", over = "all" }

[exposures]
intermat_z = { contrast = 2, adverse = "high" }
lmm_z = { contrast = 2, adverse = "low" }
"""

STUDY = """\
[study]
name = "Small"
seed = 3

[participants]
file = "participants.csv"

[[fits]]
model = "small.toml"
method = "ml"
estimates = ["odds_ratios", "surface", "nomogram"]
"""


@pytest.fixture(scope="session")
def tiny_table() -> pd.DataFrame:
    return simulate_cohort(n=400, seed=1)


@pytest.fixture
def small_study(tmp_path: Path, tiny_table: pd.DataFrame) -> Path:
    """A folder with study.toml, a model file and a table that carries its exposures."""
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "small.toml").write_text(MODEL)
    tiny_table.to_csv(tmp_path / "participants.csv", index=False)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out where a test is about something else: they are most of a small study's time."""
    import muscle_bayes.study.fitting as fitting

    monkeypatch.setattr(fitting, "draw_figures", lambda *_: {})
