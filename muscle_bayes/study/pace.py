"""How fast a long stage goes and how long it still takes, from what was done lately."""

import time
from collections import deque
from collections.abc import Callable

#: Steps that the rate is taken from: enough to even out workers that answer together, few enough to follow a change.
_LATELY = 200


class Pace:
    """Rate and time left of a stage.

    Parameters
    ----------
    total : int
        Steps.
    now : callable
        Clock, in seconds.
    """

    def __init__(self, total: int, now: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done = total, 0
        self._now = now
        self._times: deque[float] = deque([now()], maxlen=_LATELY + 1)

    def step(self) -> None:
        """Count one step."""
        self.done += 1
        self._times.append(self._now())

    @property
    def per_minute(self) -> float | None:
        """Steps a minute, over the last ones; None before there are two."""
        took = self._times[-1] - self._times[0]
        return 60.0 * (len(self._times) - 1) / took if self.done > 1 and took > 0 else None

    @property
    def words(self) -> str:
        """Rate and time left: `38/min, 2 h 10 min left`; empty before they are known."""
        rate = self.per_minute
        if rate is None:
            return ""
        left = (self.total - self.done) / rate
        return f"{rate:.3g}/min, {duration(60 * left)} left"


def duration(seconds: float) -> str:
    """Say a duration: `45 s`, `12 min`, `2 h 10 min`, `3 d 4 h`.

    Parameters
    ----------
    seconds : float
        At least 0.

    Returns
    -------
    str
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
