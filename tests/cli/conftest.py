"""Running the command line inside the test's process."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from muscle_bayes.cli import main


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `muscle-bayes` with arguments; return exit code, stdout and stderr."""

    def run(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        code = stopped.value.code
        return Result(0 if code is None else int(code), captured.out, captured.err)

    return run
