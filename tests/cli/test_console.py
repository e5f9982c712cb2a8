"""Progress in a log: how far, how fast, how long still, at pauses that grow; by a clock that the test winds."""

import pytest

from muscle_bayes.cli.console import PlainProgress


def test_a_log_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    shown = PlainProgress(lambda: clock[0])
    shown.start("measurements", 10_000)
    for _ in range(400):
        clock[0] += 6.0
        shown.advance("somebody")
    shown.finish("400 measured")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "measurements: 0/10,000"
    # 15 s after the start, then pauses of 30, 60, 120, 240 and 300 s; ten scans a minute.
    assert [line.split(",", 2)[0] for line in lines[1:-1]] == [
        f"measurements: {done}/10" for done in (3, 8, 18, 38, 78, 128, 178, 228, 278, 328, 378)
    ]
    assert lines[1] == "measurements: 3/10,000, 10/min, 16 h 40 min left"
    assert lines[-1] == "measurements: 400 measured (40 min)"


def test_a_stage_of_one_step_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = PlainProgress(lambda: 0.0)
    shown.start("report")
    shown.advance()
    shown.finish("report.html")
    assert capsys.readouterr().err == "report: report.html (0 s)\n"
