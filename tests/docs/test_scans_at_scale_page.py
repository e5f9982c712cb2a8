"""The page on many scans says what the file of results says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROJECT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_every_table_is_made_from_the_results() -> None:
    page = (PROJECT / "docs" / "scans_at_scale.md").read_text()
    assert load("segmentation_page").rendered(page) == page, "run python benchmarks/segmentation_page.py"


def test_the_page_states_the_limits_of_the_check() -> None:
    pytest.importorskip("torch")
    from muscle_bayes.imaging.network.precision import LEAST_DICE, MOST_POINTS

    page = " ".join((PROJECT / "docs" / "scans_at_scale.md").read_text().split())
    assert f"Dice of every structure of at least {LEAST_DICE:g} and InterMAT within {MOST_POINTS:g} points" in page


def test_the_simulation_agrees_with_queues_whose_answer_is_known() -> None:
    scaling = load("segmentation_scaling")
    scaling.SPREAD = 0.0
    # Cores alone: each scan takes 6 s of a core.
    assert scaling.throughput(1.0, 4.0, 1.0, cores=1, devices=0) == pytest.approx(10.0)
    assert scaling.throughput(1.0, 4.0, 1.0, cores=8, devices=0) == pytest.approx(80.0)
    # Cores to spare: the card decides, 60 / 0.5 a minute, but for the first scan's decoding and the last one's measuring.
    assert scaling.throughput(1.0, 0.5, 1.0, cores=16, devices=1) == pytest.approx(120.0, rel=0.02)
    assert scaling.throughput(1.0, 0.5, 1.0, cores=32, devices=2) == pytest.approx(240.0, rel=0.03)
    # A card to spare: the cores decide, 2 s of a core a scan.
    assert scaling.throughput(1.0, 0.01, 1.0, cores=4, devices=1) == pytest.approx(120.0, rel=0.02)
