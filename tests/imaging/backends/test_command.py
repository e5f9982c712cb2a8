"""A tool that is missing, fails, hangs or writes something else ends in one typed error with its last words."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.errors import BackendError, InvalidValueError
from muscle_bayes.imaging import open_backend
from muscle_bayes.imaging.backends.command import find_command, run_command
from muscle_bayes.imaging.backends.exchange import read_output
from muscle_bayes.imaging.backends.tool_device import tool_device
from muscle_bayes.imaging.images import read_volume

Program = Callable[..., Path]
Pair = tuple[nib.Nifti1Image, nib.Nifti1Image]


def test_an_error_code_is_an_error_with_the_last_words(program: Program, tmp_path: Path) -> None:
    body = "import sys\nfor k in range(50): print('line', k, file=sys.stderr)\nsys.exit(7)"
    with pytest.raises(BackendError, match=r"error code 7.*line 49"):
        run_command([str(program(body))], tool="T", folder=tmp_path, timeout_s=60)


def test_what_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path / 'pid'}\necho half way >&2\nwait\n")
    tool.chmod(0o755)
    with pytest.raises(BackendError, match=r"not done after 5 s .*half way"):
        run_command([str(tool)], tool="T", folder=tmp_path, timeout_s=5)
    worker = int((tmp_path / "pid").read_text())
    for _ in range(200):
        if not _runs(worker):
            break
        time.sleep(0.05)
    assert not _runs(worker)


def test_arguments_reach_the_tool_as_they_are(program: Program, tmp_path: Path) -> None:
    odd = ["a b", "$(touch x)", "; rm -rf /", "*"]
    body = f"import sys\nassert sys.argv[1:] == {odd!r}, sys.argv\nprint('ok')"
    assert run_command([str(program(body)), *odd], tool="T", folder=tmp_path, timeout_s=60).said == "ok\n"
    assert not (tmp_path / "x").exists()


def test_commands_are_found_as_a_path_as_words_or_on_the_path(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program("", "my tool")
    assert find_command(path, "usual", "T") == [str(path)] == find_command(str(path), "usual", "T")
    assert find_command([str(path), "run", "-n", "x"], "usual", "T") == [str(path), "run", "-n", "x"]
    usual = program("", "usual")
    monkeypatch.setenv("PATH", str(usual.parent))
    assert find_command(None, "usual", "T") == [str(usual)]
    assert find_command("usual run -n 'a b'", "other", "T") == [str(usual), "run", "-n", "a b"]
    for missing in ("nothing-such", "/nowhere/tool", []):
        with pytest.raises(BackendError, match="is not there"):
            find_command(missing, "usual", "T")
    usual.chmod(0o644)
    with pytest.raises(BackendError, match="is not there"):
        find_command(None, "usual", "T")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (None, "without a label map"),
        ((np.uint8(0), 0.0, (4, 4, 4)), "does not lie on the grid"),
        ((np.uint8(0), 2.0, (20, 16, 6)), "does not lie on the grid"),
        ((np.float32(0.5), 0.0, (20, 16, 6)), "not whole numbers"),
        (b"not an image", "cannot be read"),
    ],
)
def test_what_is_no_label_map_of_the_scan_is_refused(tmp_path: Path, dixon: Pair, made: Any, words: str) -> None:
    grid, path = read_volume(dixon[0], "water"), tmp_path / "case.nii.gz"
    if isinstance(made, bytes):
        path.write_bytes(made)
    elif made is not None:
        value, shift_mm, shape = made
        affine = dixon[0].affine.copy()
        affine[2, 3] += shift_mm
        nib.save(nib.Nifti1Image(np.full(shape, value), affine), path)
    with pytest.raises(BackendError, match=words):
        read_output(path, grid, "T", "its last words")


def test_no_label_at_all_is_an_answer(program: Program, nnunet_model: Path, dixon: Pair) -> None:
    body = """
import os, sys, numpy as np, nibabel as nib
given, made = (sys.argv[sys.argv.index(flag) + 1] for flag in ("-i", "-o"))
image = nib.load(given + "/case_0000.nii.gz")
os.mkdir(made)
nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), made + "/case.nii.gz")
"""
    found = open_backend("nnunet", model=nnunet_model, command=program(body), trust_bundle=True, device="cpu")(dixon)
    assert not np.asarray(found.dataobj).any()


def test_devices(monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    smi = program("", "nvidia-smi")
    monkeypatch.setenv("PATH", str(smi.parent))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert tool_device(None) == ("cuda", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert tool_device(None) == ("cpu", None)
    assert tool_device("gpu:1") == ("cuda", "1")
    with pytest.raises(InvalidValueError, match="tpu"):
        tool_device("tpu")


def test_arguments_of_another_backend_are_refused() -> None:
    for name, arguments in (
        ("bundle", {"model": "x"}),
        ("nnunet", {"bundle": "x"}),
        ("totalsegmentator", {"scheme": "x"}),
    ):
        with pytest.raises(InvalidValueError, match=f"backend {name} has no"):
            open_backend(name, **arguments)
    with pytest.raises(InvalidValueError, match="labels="):
        open_backend("labelmap")


def _runs(pid: int) -> bool:
    """Whether a process is alive; one that nobody has waited for yet is not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
