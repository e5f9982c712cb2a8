"""What goes to a worker for one scan, and what comes back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes.imaging.deliveries import Delivery
from muscle_bayes.imaging.quality.decisions import Decision
from muscle_bayes.study.people import Person
from muscle_bayes.study.records import rows_from_text
from muscle_bayes.study.scan_settings import ScanSettings


@dataclass(frozen=True)
class MeasuredScan:
    """Rows of one scan, and what a cohort needs to know of it.

    Attributes
    ----------
    text : str
        Rows of `quantify`, tab-separated.
    reused : bool
        Whether they were taken over from before.
    notes : list of str
        What a reader of the rows must know.
    facts : dict
        Sequence parameters.
    quality : dict
        Verdict and findings.
    picture : str
        File name of the picture, relative to the results; "" without one.
    seconds : dict of str to float
        What each stage took.
    """

    text: str
    reused: bool = False
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    picture: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """The rows."""
        return rows_from_text([self.text])


@dataclass(frozen=True)
class ScanTask:
    """One scan to be measured; pickles, and holds no image.

    Attributes
    ----------
    person : Person
        Whose.
    delivery : Delivery
        Which files.
    out : pathlib.Path
        Folder of the study's results.
    settings : ScanSettings
        How.
    decision : Decision, optional
        What a reviewer said of it.
    """

    person: Person
    delivery: Delivery
    out: Path
    settings: ScanSettings
    decision: Decision | None = None

    @property
    def folder(self) -> Path:
        """Where the derivatives go."""
        return self.out / "derivatives" / self.person.folder

    @property
    def picture(self) -> Path | None:
        """Where the picture goes, where one is asked for."""
        return self.out / "qc" / f"{self.person.entities}.png" if self.settings.pictures else None


class Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - began, 4)
