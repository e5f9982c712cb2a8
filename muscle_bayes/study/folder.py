"""The folder of a study's results: its record of finished stages, and what a run hands back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes.cohort.files import file_sha256
from muscle_bayes.errors import TableError
from muscle_bayes.study.lock import Lock
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.settings import Study


@dataclass
class StudyRun:
    """What came of a run.

    Attributes
    ----------
    study : Study
        What was asked for.
    report : pathlib.Path
        The HTML page.
    failures : pandas.DataFrame
        Participants that could not be measured.
    ungated : dict of str to str
        Fits that failed their gate, with the reason.
    made, kept : list of str
        Stages that were run, and those that were still up to date.
    notes : tuple of str
        What a reader should know about the cohort.
    """

    study: Study
    report: Path
    failures: pd.DataFrame
    ungated: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def out(self) -> Path:
        """Folder of the results."""
        return self.study.out

    @property
    def exit_code(self) -> int:
        """0 done, 1 some participants failed, 4 a fit failed its gate."""
        return 4 if self.ungated else 1 if len(self.failures) else 0

    def table(self, label: str, name: str = "odds_ratios") -> pd.DataFrame:
        """Return a table of a fit, read from tables/.

        Parameters
        ----------
        label : str
            Name of the fit.
        name : str
            odds_ratios, surface, nomogram_points or nomogram_scale.

        Returns
        -------
        pandas.DataFrame
            As it was written.

        Raises
        ------
        TableError
            Where there is no such table.
        """
        path = self.out / "tables" / f"{label}_{name}.csv"
        if not path.is_file():
            raise TableError(
                str(path), "There is no such table", f"The fits are {', '.join(f.label for f in self.study.fits)}"
            )
        return pd.read_csv(path)


class StudyFolder:
    """The folder of a study's results, with its record of finished stages.

    Parameters
    ----------
    study : Study
        What is run.
    progress : Progress
        Told about every stage.
    """

    def __init__(self, study: Study, progress: Progress) -> None:
        self.study, self.progress = study, progress
        self.out = study.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.lock = Lock(self.out)
        self.inputs: dict[str, str] = {}
        self.made: list[str] = []
        self.kept: list[str] = []
        self.stages: list[str] = []

    def needs(self, stage: str, wanted: str) -> bool:
        """Tell whether a stage must run; one that need not is noted as kept."""
        self.stages.append(stage)
        if self.lock.is_done(stage, wanted):
            self.kept.append(stage)
            return False
        return True

    def done(self, stage: str, wanted: str, files: list[Path], facts: dict[str, Any] | None = None) -> None:
        """Record a stage and write the lock, so that an interrupted run goes on from here."""
        self.lock.record(stage, wanted, files, facts)
        if stage not in self.made:
            self.made.append(stage)
        self.write_lock()

    def write_lock(self) -> Path:
        """Write study.lock.json."""
        return self.lock.write(self.study.model_dump(mode="json"), self.inputs)

    def input_hash(self, path: Path) -> str:
        """Return and record the hash of an input file."""
        if not path.is_file():
            raise TableError(
                str(path),
                "There is no such file",
                "Check the path; paths in a study.toml start from that file's folder",
            )
        name = path.relative_to(self.study.folder).as_posix() if path.is_relative_to(self.study.folder) else path.name
        self.inputs[name] = file_sha256(path)
        return self.inputs[name]
