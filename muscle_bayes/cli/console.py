"""Progress on stderr: bars where a person looks, plain lines where a file or a script does."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from muscle_bayes.study.pace import Pace, duration
from muscle_bayes.study.progress import Progress

#: Seconds to the first line of progress in a log; each pause is twice the one before, so that days do not fill a disk.
_FIRST_LINE = 15.0
#: The longest pause.
_LINE_EVERY = 300.0


class ConsoleProgress(Progress):
    """Draws one bar a stage on stderr.

    Parameters
    ----------
    bars : rich.progress.Progress
        Where to draw.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._total: int | None = None
        self._pace: Pace | None = None

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a bar; without a total, one that only moves."""
        self._total = total
        self._pace = Pace(total) if total else None
        self._task = self._bars.add_task(stage, total=total, note="", count=f"0/{total:,}" if total else "")

    def advance(self, note: str = "") -> None:
        """Move the bar by one step."""
        if self._task is not None:
            done = int(self._bars.tasks[self._task].completed) + 1
            if self._pace is not None:
                self._pace.step()
                note = f"{note}  {self._pace.words}" if done < self._pace.total else note
            self._bars.update(
                self._task, completed=done, note=note, count=f"{done:,}/{self._total:,}" if self._total else ""
            )

    def finish(self, note: str = "") -> None:
        """Fill the bar and say the result."""
        if self._task is not None:
            total = self._total or 1
            self._bars.update(self._task, total=total, completed=total, note=note)
            self._bars.stop_task(self._task)
            self._task = None

    def say(self, text: str) -> None:
        """Print a sentence above the bars."""
        self._bars.console.print(text, markup=False, highlight=False)

    def warn(self, text: str) -> None:
        """Print a sentence above the bars."""
        self._bars.console.print(text, style="yellow", markup=False, highlight=False)


class PlainProgress(Progress):
    """Prints on stderr when a stage of several steps begins and when any ends, and between them done, rate and time left.

    Parameters
    ----------
    now : callable
        Clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._stage, self._since, self._next, self._pause = "", 0.0, 0.0, _FIRST_LINE
        self._pace: Pace | None = None

    def start(self, stage: str, total: int | None = None) -> None:
        """Remember the stage and when it began; say of how many steps it is."""
        self._stage, self._since, self._pause = stage, self._now(), _FIRST_LINE
        self._next = self._since + self._pause
        self._pace = Pace(total, self._now) if total else None
        if total is not None and total > 1:
            self._print(f"{stage}: 0/{total:,}")

    def advance(self, note: str = "") -> None:
        """Count a step; print how far it is where it is time."""
        if self._pace is None:
            return
        self._pace.step()
        if self._now() < self._next or self._pace.done == self._pace.total:
            return
        self._pause = min(2 * self._pause, _LINE_EVERY)
        self._next = self._now() + self._pause
        words = self._pace.words
        self._print(f"{self._stage}: {self._pace.done:,}/{self._pace.total:,}" + (f", {words}" if words else ""))

    def finish(self, note: str = "") -> None:
        """Print the stage, its result and how long it took."""
        self._print(f"{self._stage}: {note} ({duration(self._now() - self._since)})")

    def say(self, text: str) -> None:
        """Print a sentence."""
        self._print(text)

    def warn(self, text: str) -> None:
        """Print a sentence."""
        self._print(text)

    @staticmethod
    def _print(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Give a progress that suits stderr.

    Yields
    ------
    Progress
        Bars on a terminal, lines elsewhere.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainProgress()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Bars(*columns, console=console) as bars:
        yield ConsoleProgress(bars)
