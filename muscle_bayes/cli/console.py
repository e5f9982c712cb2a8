"""Progress on stderr: bars where a person looks, plain lines where a file or a script does."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from muscle_bayes.study.pace import Pace
from muscle_bayes.study.progress import Progress

#: A log gets a line of progress no more often than this, in seconds.
_LINE_EVERY = 60.0


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

    def warn(self, text: str) -> None:
        """Print a sentence above the bars."""
        self._bars.console.print(text, style="yellow", markup=False, highlight=False)


class PlainProgress(Progress):
    """Prints one line a stage on stderr, and of a long stage one a minute."""

    def __init__(self) -> None:
        self._stage, self._since, self._told = "", 0.0, 0.0
        self._pace: Pace | None = None

    def start(self, stage: str, total: int | None = None) -> None:
        """Remember the stage and when it began."""
        self._stage, self._since = stage, time.monotonic()
        self._told = self._since
        self._pace = Pace(total) if total else None

    def advance(self, note: str = "") -> None:
        """Count a step; print rate and time left where a minute has passed."""
        if self._pace is None:
            return
        self._pace.step()
        if time.monotonic() - self._told >= _LINE_EVERY:
            self._told = time.monotonic()
            done = f"{self._pace.done:,}/{self._pace.total:,}"
            print(f"{self._stage}: {done}, {self._pace.words}", file=sys.stderr, flush=True)

    def finish(self, note: str = "") -> None:
        """Print the stage, its result and how long it took."""
        seconds = time.monotonic() - self._since
        print(f"{self._stage}: {note} ({seconds:.1f} s)", file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Print a sentence."""
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
