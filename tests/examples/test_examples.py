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


def test_comparison_takes_what_r_wrote(tmp_path: Path, small_table: pd.DataFrame) -> None:
    """The pasted column is compared with the others, and the figure is there."""
    small_table.to_csv(tmp_path / "participants.csv", index=False)
    ml = mb.fit("cbp_main", small_table, method="ml").summary()
    r = pd.DataFrame({"": ml.index, "Estimate": ml["estimate"], "Std. Error": ml["se"]})
    r[r[""].isin(["intermat_z", "lmm_z"])].to_csv(tmp_path / "lme4.csv", index=False)
    printed = run("compare_with_lme4.py", "participants.csv", "lme4.csv", folder=tmp_path)
    rows = dict(re.findall(r"InterMAT +(R|maximum likelihood) (\S+ \(.+?\))", printed))
    assert rows["R"] == rows["maximum likelihood"]
    assert "5 sites say little" in printed
    assert (tmp_path / "comparison.png").stat().st_size > 10_000


def test_nomogram_page_is_one_file_without_addresses(tmp_path: Path) -> None:
    printed = run("nomogram_page.py", folder=tmp_path)
    assert re.search(r"One person: 0\.\d+ \(0\.\d+ to 0\.\d+\)\.", printed)
    page = (tmp_path / "nomogram.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']https?:""", page)
    assert "imulated" in page


def test_risks_and_interaction_write_what_they_print(tmp_path: Path) -> None:
    printed = run("risks_and_interaction.py", folder=tmp_path)
    difference = re.search(r": (\S+ \(.+?\))$", printed, flags=re.MULTILINE)
    assert difference is not None
    assert difference.group(1) in (tmp_path / "risks.tex").read_text(encoding="utf-8")
    assert "RERI" in (tmp_path / "interaction.html").read_text(encoding="utf-8")
    assert "SIMULATED DATA" in printed


def test_measures_of_phantoms_keep_their_order(tmp_path: Path) -> None:
    printed = run("measure_a_folder.py", folder=tmp_path)
    assert printed.count("pass") == 2
    measured = pd.read_csv(tmp_path / "measurements.tsv", sep="\t")
    assert (measured["simulated"] == 1).all()
    back = measured.query("muscle == 'autochthonous' and side == 'both' and region == 'above_gluteals_150mm'")
    low, high = back["intermat_mixture_percent"]
    assert low == pytest.approx(5, abs=0.5)
    assert high == pytest.approx(12, abs=0.5)


def test_a_participant_without_images_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "scans" / "empty").mkdir(parents=True)
    phantom = mb.simulate_phantom(
        "thigh",
        intermat_percent=8,
        lmm_cm3_per_kg_m2=24,
        bmi_kg_m2=26,
        sex="male",
        site="Essen",
        seed=1,
        voxel_mm=(3, 3, 6),
    )
    phantom.save(tmp_path / "scans" / "one")
    printed = run("measure_a_folder.py", "scans", "out.tsv", folder=tmp_path)
    assert "empty is left out." in printed
    assert set(pd.read_csv(tmp_path / "out.tsv", sep="\t")["participant_id"]) == {"one"}
