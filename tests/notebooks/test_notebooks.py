"""Notebooks: both files of a pair say the same, no output is stored, and what the prose says of the results is so."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from scipy.stats import chi2

import muscle_bayes as mb

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
Run = Callable[[str, str], tuple[NotebookNode, dict[str, Any]]]


def test_every_notebook_is_a_pair() -> None:
    assert NAMES, "there are no notebooks"
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_files_of_a_pair_agree(name: str) -> None:
    script = jupytext.read(NOTEBOOKS / f"{name}.py")
    stored = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(stored)
    pairs = [[(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (script, stored)]
    assert pairs[0] == pairs[1], "run `uv run jupytext --sync notebooks/*.ipynb`"
    # Jupyter opens it with the kernel of the environment, and jupytext knows the pair from either file.
    assert stored.metadata["kernelspec"]["name"] == "python3"
    assert stored.metadata["jupytext"]["formats"] == "ipynb,py:percent"


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_are_stored(name: str) -> None:
    stored = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    for cell in stored.cells:
        assert set(cell.metadata) <= {"lines_to_next_cell"}  # jupytext's own note on blank lines
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


FACTS = """{
    "flow": fit.flow["n_left"].tolist(),
    "n": len(analysed),
    "passed": fit.diagnostics.passed,
    "simulated": odds.attrs["simulated"],
    "odds": odds.set_index("term")[["estimate", "lower", "upper", "mcse"]].T.to_dict("list"),
    "true_or": float(true_or),
    "joint": float(joint),
    "terms": len(labels),
    "factor": [float(low), float(high)],
    "seeds_that_miss": repeats["seed"][~held].tolist(),
    "beside_ml": both.to_dict("index"),
    "sceptical": variants["sceptical prior"].set_index("term")["estimate"].to_dict(),
    "widths": (predicted["upper"] - predicted["lower"]).tolist(),
    "intermat": [true["intermat_percent"], *(back[f"intermat_{name}_percent"] for name in definitions)],
    "compartment": [true["compartment_cm3"], back["compartment_cm3"]],
    "chosen": chosen[["intermat_percent", "lmm_cm3_per_kg_m2"]].to_dict("list"),
    "by_osteoarthritis": fit.cohort.groupby("osteoarthritis")[["intermat_percent", "lmm_cm3_per_kg_m2"]].mean().to_dict("list"),
}"""


@pytest.fixture(scope="module")
def study(run_notebook: Run) -> tuple[NotebookNode, dict[str, Any]]:
    return run_notebook("01_the_study_in_one_sitting", FACTS)


def test_study_finds_the_odds_ratios_of_a_direct_fit(
    study: tuple[NotebookNode, dict[str, Any]], interaction_fit: mb.Fit
) -> None:
    """From the imaged through exclusions to the same posterior as from the complete table; 4 joint MCSE: 99.99 %."""
    facts = study[1]
    assert facts["flow"][0] == 30_868
    assert facts["flow"][-1] == facts["n"] == interaction_fit.n == 27_518
    assert facts["passed"]
    assert facts["simulated"] is True
    direct = mb.odds_ratios(interaction_fit, per=2).set_index("term")
    for term in ("intermat_z", "lmm_z"):
        estimate, lower, upper, mcse = facts["odds"][term]
        row = direct.loc[term]
        assert abs(estimate - row["estimate"]) < 4 * np.hypot(mcse, row["mcse"])
        # The errors of the limits are the direct fit's, on both sides: both have as many draws.
        assert abs(lower - row["lower"]) < 4 * np.sqrt(2) * row["lower_mcse"]
        assert abs(upper - row["upper"]) < 4 * np.sqrt(2) * row["upper_mcse"]


def test_study_is_right_about_chance(study: tuple[NotebookNode, dict[str, Any]]) -> None:
    """Section 7 and the interaction: what the sentences between the cells take for granted."""
    facts = study[1]
    _, lower, upper, _ = facts["odds"]["lmm_z"]
    assert facts["true_or"] == pytest.approx(0.87, abs=0.005)
    assert not lower < facts["true_or"] < upper, "the prose says that the interval misses the truth"
    assert chi2.sf(facts["joint"], facts["terms"]) > 0.05, "the prose says that the sample is not out of the ordinary"
    assert 1 in facts["seeds_that_miss"]
    assert len(facts["seeds_that_miss"]) <= 3
    assert facts["factor"][0] < 1 < facts["factor"][1]


def test_study_is_right_about_maximum_likelihood_and_sites(study: tuple[NotebookNode, dict[str, Any]]) -> None:
    """Section 8: slopes agree, intercept and site SD do not; section 10: the further the site, the wider."""
    facts = study[1]
    rows = facts["beside_ml"]
    for term, row in rows.items():
        if term not in {"Intercept", "1|site_sigma"}:
            assert abs(row["difference / se"]) < 0.1, term
            assert row["sd / se"] == pytest.approx(1, abs=0.05), term
    assert rows["Intercept"]["sd / se"] > 1.2
    assert rows["1|site_sigma"]["mean"] > rows["1|site_sigma"]["estimate"]
    for term in ("intermat_z", "lmm_z"):
        estimate, lower, upper, _ = facts["odds"][term]
        assert abs(np.log(facts["sceptical"][term] / estimate)) < 0.25 * np.log(upper / lower)
    known, typical, new = facts["widths"]
    assert known < typical < new


def test_study_measures_its_phantom(study: tuple[NotebookNode, dict[str, Any]]) -> None:
    """Section 3: the threshold reads low, the fraction high, and the mixture comes nearest."""
    true, threshold, fraction, mixture = study[1]["intermat"]
    assert threshold < true < fraction
    assert abs(mixture - true) < min(true - threshold, fraction - true)
    assert study[1]["compartment"][1] == pytest.approx(study[1]["compartment"][0], rel=0.02)


def test_study_shows_matched_people_and_groups(study: tuple[NotebookNode, dict[str, Any]]) -> None:
    """Section 11: equal lean muscle, rising fat; with osteoarthritis more fat and less lean muscle."""
    facts = study[1]
    fat, lean = facts["chosen"]["intermat_percent"], facts["chosen"]["lmm_cm3_per_kg_m2"]
    assert fat == sorted(fat)
    assert max(lean) - min(lean) < 1
    without, with_it = facts["by_osteoarthritis"]["intermat_percent"]
    assert with_it > without
    without, with_it = facts["by_osteoarthritis"]["lmm_cm3_per_kg_m2"]
    assert with_it < without


def test_study_shows_its_figures_and_no_warnings(study: tuple[NotebookNode, dict[str, Any]]) -> None:
    outputs = [output for cell in study[0].cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 9
    first = study[0].cells[0].source
    assert re.search(r"\*\*All data here are simulated", first)
