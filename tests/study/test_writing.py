"""One writer at a time: the living are waited for, the dead are not, other machines' are never guessed at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muscle_bayes.errors import StudyFileError
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.writing import _identity, single_writer


class Told(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


def write_lock(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**_identity(), "token": "another", "what": "run", "since": "2026-01-01"} | changes))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_living_holder_is_refused_and_its_lock_stays(tmp_path: Path) -> None:
    with single_writer(tmp_path, Progress()):
        held = json.loads((tmp_path / "writing.lock").read_text())
        assert held["pid"] == os.getpid()
        refused = pytest.raises(StudyFileError, match=r"Another `muscle-bayes run` writes.*Wait for it, or end it")
        with refused, single_writer(tmp_path, Progress()):
            pass
        assert json.loads((tmp_path / "writing.lock").read_text()) == held
    assert list(tmp_path.iterdir()) == []


def test_a_dead_holder_of_this_machine_is_taken_over_and_that_is_said(tmp_path: Path) -> None:
    told = Told()
    write_lock(tmp_path / "writing.lock", pid=dead_process())
    with single_writer(tmp_path, told):
        assert json.loads((tmp_path / "writing.lock").read_text())["pid"] == os.getpid()
    assert ["is taken over" in text for text in told.said] == [True]
    # The number of a process says nothing after a restart of the machine, nor where another process has it now.
    for changes in ({"boot": "another"}, {"began": "1"}):
        write_lock(tmp_path / "writing.lock", **changes)
        with single_writer(tmp_path, told):
            pass
    assert len(told.said) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_a_process_that_has_ended_and_was_not_collected_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    write_lock(tmp_path / "writing.lock", pid=process.pid, began="1")
    with single_writer(tmp_path, Progress()):
        pass
    process.wait()


def test_another_machine_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_lock(tmp_path / "writing.lock", host="elsewhere", pid=1)
    refused = pytest.raises(StudyFileError, match=r"process 1 on elsewhere.*delete writing\.lock")
    with refused, single_writer(tmp_path, Progress()):
        pass
    # Nor is a lock that cannot be read taken for a dead one.
    (tmp_path / "writing.lock").write_text("{")
    with pytest.raises(StudyFileError, match="unknown machine"), single_writer(tmp_path, Progress()):
        pass


def test_shards_stand_beside_each_other_and_a_whole_run_stands_alone(tmp_path: Path) -> None:
    with single_writer(tmp_path, Progress(), shard="1-of-2"):
        with single_writer(tmp_path, Progress(), shard="2-of-2"):
            pass
        for shard in (None, "1-of-2"):
            with pytest.raises(StudyFileError), single_writer(tmp_path, Progress(), shard=shard):
                pass
    refused = pytest.raises(StudyFileError)
    with single_writer(tmp_path, Progress()), refused, single_writer(tmp_path, Progress(), shard="1-of-2"):
        pass
    assert list(tmp_path.iterdir()) == []
