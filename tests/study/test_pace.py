"""Rate and time left, by a clock that the test winds."""

import pytest

from muscle_bayes.study.pace import Pace, duration


def test_rate_and_time_left_follow_what_was_done_lately() -> None:
    clock = [0.0]
    pace = Pace(1000, lambda: clock[0])
    assert pace.words == ""
    for _ in range(100):
        clock[0] += 30.0
        pace.step()
    assert pace.per_minute == pytest.approx(2.0)
    assert pace.words == "2/min, 7 h 30 min left"
    # A second card comes: after as many steps as are looked at, the old rate is forgotten.
    for _ in range(200):
        clock[0] += 15.0
        pace.step()
    assert pace.per_minute == pytest.approx(4.0)
    assert pace.words == "4/min, 2 h 55 min left"


def test_steps_that_take_no_time_have_no_rate() -> None:
    pace = Pace(3, lambda: 0.0)
    pace.step()
    pace.step()
    assert pace.words == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h"),
        (7800, "2 h 10 min"),
        (86400, "1 d"),
        (97200, "1 d 3 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
