"""Scans in, answers out, in order, whatever fails; arrays reach other processes unchanged."""

import threading
from pathlib import Path

import numpy as np
import pytest

from muscle_bayes.errors import EmptyImageError
from muscle_bayes.imaging.network import pipeline
from muscle_bayes.imaging.network.pipeline import Shared, _opened, run_pipeline


def read(task: int) -> np.ndarray:
    if task == 3:
        raise EmptyImageError("p3", "is zero everywhere", "Export it again")
    return np.asfortranarray(np.full((4, 5, 6), task, dtype=np.float32))


def label(images: np.ndarray) -> np.ndarray:
    if images[0, 0, 0] == 5:
        raise ValueError("a network fails")
    return (images > 2).astype(np.uint8)


def finish(task: int, images: np.ndarray, labels: np.ndarray) -> tuple[int, float, int]:
    return task, float(images.sum()), int(labels.sum())


def test_answers_come_in_the_order_of_the_tasks() -> None:
    answers = list(run_pipeline(range(8), read, label, finish, readers=3, labellers=2, processes=False))
    assert [answer.task for answer in answers] == list(range(8))
    assert isinstance(answers[3].error, EmptyImageError)
    assert isinstance(answers[5].error, ValueError)
    for answer in answers:
        if answer.task in (3, 5):
            assert answer.result is None
            continue
        assert answer.result == (answer.task, 120.0 * answer.task, 120 * (answer.task > 2))
        assert set(answer.seconds) == {"read", "label", "finish"}


def test_other_processes_see_the_same_arrays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pipeline, "_roomy_folder", lambda size: str(tmp_path))
    # `slice` keeps the three things it is given, and every process has it.
    answers = list(run_pipeline([2, 3, 4], read, label, slice, finishers=1))
    assert isinstance(answers[1].error, EmptyImageError)
    for answer in (answers[0], answers[2]):
        assert answer.error is None
        found = answer.result
        assert found is not None
        assert found.start == answer.task
        np.testing.assert_array_equal(found.stop, read(answer.task))
        np.testing.assert_array_equal(found.step, label(read(answer.task)))
    assert not list(tmp_path.iterdir())


def test_no_more_scans_are_in_memory_than_there_is_room_for() -> None:
    alive, most, lock = 0, 0, threading.Lock()

    def count(task: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return task

    def end(task: int, images: int, labels: int) -> int:
        nonlocal alive
        with lock:
            alive -= 1
        return images + labels

    answers = list(run_pipeline(range(30), count, lambda scan: scan, end, in_memory=4, processes=False))
    assert [answer.result for answer in answers] == [2 * n for n in range(30)]
    assert most <= 4


def test_arrays_in_shared_memory_keep_values_order_and_type() -> None:
    rng = np.random.default_rng(1)
    arrays = [np.asfortranarray(rng.normal(size=(3, 4, 5)).astype(np.float32)), rng.integers(0, 9, (7, 2)), np.zeros(0)]
    with Shared((arrays, {"name": "p"})) as parcel:

        def same(found: list[np.ndarray], said: dict[str, str]) -> bool:
            for one, other in zip(found, arrays, strict=True):
                np.testing.assert_array_equal(one, other)
                assert one.dtype == other.dtype
                assert one.flags.f_contiguous == other.flags.f_contiguous
            return said == {"name": "p"}

        assert _opened(same, parcel.content, parcel.name, parcel.sizes)
