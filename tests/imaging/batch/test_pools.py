"""Where tasks run: a task that ends its worker harms nobody else, and one process needs no cluster."""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from muscle_bayes.errors import ClusterError, MissingDependencyError, WorkerKilledError
from muscle_bayes.imaging.batch import open_pool
from muscle_bayes.imaging.batch.pools import cards_of_this_machine


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of hostile tasks, where the workers find it too."""
    home = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", str(home))
    monkeypatch.syspath_prepend(str(home))
    return importlib.import_module("hostile")


def test_a_task_that_kills_its_workers_is_one_answer_and_everybody_else_is_done(
    hostile: ModuleType, tmp_path: Path
) -> None:
    names = ["a", "kills", "b", "raises", "c", "kills once", "d", "e"]
    with open_pool(2) as pool:
        answers = list(pool.run(hostile.work, [(name, tmp_path) for name in names]))
        (trim,) = pool.run(os.getenv, ["MALLOC_TRIM_THRESHOLD_"])
    # With Dask's own setting two thirds of a scan's CPU seconds go into asking for the same memory again.
    assert trim.value is None
    assert sorted(answer.number for answer in answers) == list(range(len(names)))
    by_name = {names[answer.number]: answer for answer in answers}
    healthy = [name for name in names if name not in ("kills", "raises")]
    assert [by_name[name].value for name in healthy] == healthy
    assert isinstance(by_name["raises"].error, ValueError)
    assert isinstance(by_name["kills"].error, WorkerKilledError)
    assert by_name["kills"].killed >= 2
    # Once for itself; again where it waited on the worker that "kills" ended.
    assert by_name["kills once"].killed >= 1
    # Spawned workers, not this process.
    pids = {path.suffix for path in tmp_path.iterdir() if path.name != "killed"}
    assert len(pids) >= 2


def test_one_process_is_this_one_and_imports_no_cluster(hostile: ModuleType, tmp_path: Path) -> None:
    with open_pool(1) as pool:
        answers = list(pool.run(hostile.work, [("a", tmp_path), ("raises", tmp_path), ("b", tmp_path)]))
    assert [answer.value for answer in answers] == ["a", None, "b"]
    assert isinstance(answers[1].error, ValueError)
    code = (
        "import sys\nfrom muscle_bayes.imaging.batch import open_pool\nimport muscle_bayes.study.scanning\n"
        "with open_pool(1) as pool:\n    list(pool.run(str, [1]))\n"
        "print([m for m in ('distributed', 'dask', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muscle_bayes.imaging.batch.pools._ANSWER", 2.0)
    with pytest.raises(ClusterError, match="does not answer"), open_pool(1, scheduler="tcp://127.0.0.1:9"):
        pass
    if importlib.util.find_spec("dask_jobqueue") is None:
        with pytest.raises(MissingDependencyError, match="dask-jobqueue"), open_pool(4, scheduler="slurm"):
            pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"muscle-bayes\[scans\]"), open_pool(2):
        pass


def test_cards_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for stated, cards in (("0,2", ["0", "2"]), ("", []), ("-1", []), (" GPU-ab12 ", ["GPU-ab12"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)
        assert cards_of_this_machine() == cards
