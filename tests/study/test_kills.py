"""A handful of benchmarks/cohort_kills.py: a worker and then the whole group are killed; nothing is lost or torn."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from muscle_bayes.study.scanning import measure

N = 8


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "cohort_kills.py"
    spec = importlib.util.spec_from_file_location("cohort_kills", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_a_killed_run_goes_on_where_it_stopped_and_ends_in_the_same_table(kills: ModuleType, tmp_path: Path) -> None:
    undisturbed, study = tmp_path / "undisturbed", tmp_path / "study"
    shape = (32, 24, 12)
    for folder in (undisturbed, study):
        kills.write_study(folder, N, shape)
    whole = measure(undisturbed)
    assert len(whole.measured.failures) == 0
    reference = (undisturbed / "results" / "measurements.tsv").read_bytes()
    assert kills.judge(undisturbed, reference, N) == []

    running = kills.start(study, 2)
    try:
        assert kills.wait_for(study, running, 1)
        assert kills.kill_worker(running, np.random.default_rng(1))
        assert kills.faults(study, done=False) == []
        assert kills.wait_for(study, running, 4)
    finally:
        kills.kill_group(running)
    assert kills.faults(study, done=False) == []
    before = len(kills.records(study))
    lock = study / "results" / "writing.lock"
    assert lock.is_file(), "the killed run left its lock"

    resumed = measure(study)
    assert resumed.measured.reused == before
    assert kills.judge(study, reference, N) == []
