"""The examples do what they say, run as a user runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import muscle_bayes as mb

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def run(script: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_examples_are_short(script: Path) -> None:
    assert 10 <= len(script.read_text(encoding="utf-8").splitlines()) <= 40


def test_odds_ratios_from_a_table_are_those_of_the_fit(
    tmp_path: Path, small_table: pd.DataFrame, small_fit: mb.Fit
) -> None:
    """From a CSV to the last printed digit; both fits have the same seed, and a CSV keeps every number."""
    small_table.to_csv(tmp_path / "participants.csv", index=False)
    printed = run("odds_ratios_from_a_table.py", "participants.csv", folder=tmp_path)
    assert "2,000 participants" in printed
    assert "SIMULATED DATA" in printed
    assert "passed" in printed
    expected = mb.odds_ratios(small_fit, per=2, terms=["intermat_z", "lmm_z"])["text"].tolist()
    assert re.findall(r": odds ratio (.+)", printed) == expected


def test_odds_ratios_need_no_table(tmp_path: Path) -> None:
    printed = run("odds_ratios_from_a_table.py", folder=tmp_path)
    assert "5,000 participants" in printed
    assert "SIMULATED DATA" in printed
    assert len(re.findall(r"odds ratio \d\.\d+ \(\d\.\d+ to \d\.\d+\)", printed)) == 2
