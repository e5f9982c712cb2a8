"""The page on uncertainty says what the file of results says, and the file is about the calibration that is shipped."""

import importlib.util
import json
from pathlib import Path

import numpy as np

from muscle_bayes.imaging.uncertainty import BLOCK_MM, SECTORS, Calibration
from muscle_bayes.imaging.uncertainty_calibration import DEGREES
from muscle_bayes.resources import data_folder

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "uncertainty.md"
RESULTS = json.loads((PROJECT / "benchmarks" / "results" / "uncertainty.json").read_text())


def test_every_figure_is_made_from_the_results() -> None:
    spec = importlib.util.spec_from_file_location("uncertainty_page", PROJECT / "benchmarks" / "uncertainty_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = PAGE.read_text()
    assert module.rendered(page) == page, "run python benchmarks/uncertainty_page.py"


def test_the_page_states_the_constants() -> None:
    page = " ".join(PAGE.read_text().split())
    assert SECTORS == 8
    assert f"an eighth of the border over {BLOCK_MM:g} mm" in page
    assert f"Student's t with {DEGREES:g} degrees" in page


def test_the_shipped_calibration_is_the_one_that_was_judged_and_on_other_seeds() -> None:
    metadata = json.loads((data_folder("segmentation") / "configs" / "metadata.json").read_text())
    assert Calibration.from_json(metadata["uncertainty"]) == Calibration.from_json(RESULTS["calibration"])
    assert metadata["uncertainty"]["weights_sha256"] == [entry["sha256"] for entry in metadata["weights"]]
    fitted, judged = (
        {seed for first, last in blocks for seed in range(first, last + 1)}
        for blocks in (metadata["uncertainty"]["fitted_on"]["seeds"], RESULTS["seeds"]["judge"])
    )
    assert not fitted & judged
    assert len(fitted) == metadata["uncertainty"]["fitted_on"]["scans"]


def test_what_holds_follows_from_the_figures() -> None:
    for name in ("intermat_percent", "lean_cm3"):
        part = RESULTS["both"][name]
        lowest = np.nanmin([cell["value"] for cell in part["strata"].values()])
        assert list(part["holds"].values()) == [
            0.90 <= part["coverage"]["value"] <= 0.98,
            lowest >= 0.85,
            part["spearman_sd_error"]["value"] >= 0.3,
        ]
