"""`withdraw`: everything that was derived from one participant's images goes, and what rests on it is stale."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from muscle_bayes.cohort import Cohort
from muscle_bayes.cohort.files import whole_file
from muscle_bayes.cohort.names import nearest
from muscle_bayes.errors import InvalidValueError, StudyFileError, TableError
from muscle_bayes.study.lock import LOCK_NAME, Lock
from muscle_bayes.study.people import Person
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.settings import Study, load_study
from muscle_bayes.study.visits import identifiers_of
from muscle_bayes.study.withdrawn import NAME as WITHDRAWN
from muscle_bayes.study.withdrawn import Withdrawn
from muscle_bayes.study.writing import single_writer

_TABLES = {".tsv": "\t", ".csv": ","}
_TEXTS = {".tsv", ".csv", ".json", ".html", ".svg", ".tex", ".txt", ".md", ".toml"}
#: A shorter identifier also stands for a number in any table and figure.
_TELLING = 5
_COHORT = ("cohort.parquet", "cohort.json", "flow.csv")


@dataclass
class Withdrawal:
    """What was, or would be, removed.

    Attributes
    ----------
    removed : dict of str to str
        File or folder, relative to the results -> what was removed of it.
    stale : list of str
        Stages that rest on the participant and are made again by the next run.
    remarks : list of str
        What stays, and what a person must look at.
    dry_run : bool
        Whether nothing was done.
    """

    removed: dict[str, str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    dry_run: bool = False


def withdraw(
    study: Study | Path | str,
    participant_id: str,
    *,
    session: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Withdrawal:
    """Remove everything that was derived from a participant; raw images and the participants' table stay as they are.

    Parameters
    ----------
    study : Study or path
        study.toml, its folder, or what `load_study` returned.
    participant_id : str
        Who withdrew.
    session : str, optional
        Only this session; all where left out.
    dry_run : bool
        Only say what would be removed.
    progress : Progress, optional
        Told what happens.

    Returns
    -------
    Withdrawal
        What went, what is stale, what stays. The participant is put on withdrawn.tsv, as a salted hash, so that later runs
        leave the images alone and the analysis set without them; withdrawing again finds nothing more to remove.

    Raises
    ------
    StudyFileError
        Where the identifier is empty, or another run writes into the folder.
    InvalidValueError
        Where nobody is known by the identifier: not in the participants' table, not in the results, not withdrawn before.
    """
    study = study if isinstance(study, Study) else load_study(study)
    if not participant_id.strip():
        raise StudyFileError("withdraw", "No participant is named", "Give the identifier as the table writes it")
    done = Withdrawal(dry_run=dry_run)
    out = study.out
    if not out.is_dir():
        done.remarks.append(f"There are no results in {out} yet")
    listed = _listed(study, participant_id, session)
    if not out.is_dir():
        if not listed:
            raise _nobody(study, participant_id)
        if dry_run:
            return done
    with single_writer(out, progress or Progress(), what="withdraw"):
        if not listed:
            # A mistyped identifier would leave the person's data where they are, and somebody in the belief that they are gone.
            sought = Withdrawal(dry_run=True)
            _Work(out, participant_id, session, sought).all()
            if not sought.removed:
                raise _nobody(study, participant_id)
        work = _Work(out, participant_id, session, done)
        if not dry_run:
            # First of all, so that whatever happens now nobody measures the images again.
            Withdrawn(out).add(participant_id, session)
        work.all()
    if not done.removed:
        done.remarks.append("Nothing was found that had been derived from this participant")
    done.remarks.append(
        "The raw images and the participants' table are untouched: removing these is not this program's"
    )
    return done


def _listed(study: Study, participant_id: str, session: str | None) -> bool:
    """Tell whether the participants' table has somebody of this identifier, or they have been withdrawn before."""
    if Withdrawn(study.out).holds(participant_id, session or ""):
        return True
    try:
        return participant_id in identifiers_of(study)
    except (TableError, OSError):
        # Without a table nobody can say; what is in the results is still found.
        return False


def _nobody(study: Study, participant_id: str) -> InvalidValueError:
    try:
        near = nearest(participant_id, identifiers_of(study))
    except (TableError, OSError):
        near = None
    return InvalidValueError(
        f"withdraw {participant_id}",
        f"Nobody is called so in {study.participants.file.name}, and nothing in {study.out.name} was derived from them: nothing "
        "was removed",
        "Check the identifier" + (f"; perhaps it is {near!r}" if near else ""),
    )


class _Work:
    """One withdrawal, step by step; a dry run takes the same steps and changes nothing."""

    def __init__(self, out: Path, participant_id: str, session: str | None, done: Withdrawal) -> None:
        self.out, self.id, self.session, self.done = out, participant_id, session, done
        self.lock = Lock(out)
        entities = Person(participant_id, session or "").entities
        # Of the whole participant also every session's files; a longer identifier that begins alike is somebody else.
        self._name = re.compile(rf"(?:^|[^A-Za-z0-9]){re.escape(entities)}(?![A-Za-z0-9])")
        self._text = re.compile(rf"(?<![A-Za-z0-9]){re.escape(participant_id)}(?![A-Za-z0-9])")

    def all(self) -> None:
        """Take every step, in order."""
        self.files()
        self.cohort()
        self.tables()
        self.stages()
        self.summaries()
        self.mentions()

    def files(self) -> None:
        """Remove files and folders that carry the participant's name."""
        person = Person(self.id, self.session or "")
        home = self.out / "derivatives" / person.folder.parts[0]
        if self.session is not None:
            home = self.out / "derivatives" / person.folder.parent
        self._remove(home, "derivatives")
        # An identifier such as ".." is no folder of a phantom.
        if self.session is None and self.id == Path(self.id).name != "..":
            self._remove(self.out / "phantoms" / self.id, "phantoms")
        for path in self._all():
            if self._name.search(path.name):
                self._remove(path, "file of the participant")
        subject = home.parent
        if self.session is not None and not self.done.dry_run and subject.is_dir() and not any(subject.iterdir()):
            subject.rmdir()

    def cohort(self) -> None:
        """Take the participant out of the analysis set, with a row in the flow."""
        try:
            cohort = Cohort.load(self.out)
        except (TableError, OSError, KeyError):
            # What cannot be read as a cohort is made again by the next run; its rows go with the other tables.
            return
        theirs = self._theirs(cohort.table)
        if not theirs.any():
            return
        self.done.removed["cohort.parquet"] = _rows(theirs)
        if self.done.dry_run:
            return
        left = int(cohort.flow["n_left"].iloc[-1]) - int(theirs.sum())
        said = {"step": "exclusion", "reason": "withdrawn", "n_removed": int(theirs.sum()), "n_left": left}
        flow = pd.concat([cohort.flow, pd.DataFrame([said])], ignore_index=True)
        table = cohort.table[~theirs].reset_index(drop=True)
        kept = {name: getattr(cohort, name) for name in ("dictionary", "simulated", "exposure", "notes", "sources")}
        Cohort(table, flow, **kept).save(self.out)

    def tables(self) -> None:
        """Take the participant's rows out of every table."""
        for path in self._all():
            if path.name == WITHDRAWN or path.name in _COHORT or path.suffix not in {*_TABLES, ".parquet"}:
                continue
            try:
                table = _read(path)
            except (OSError, ValueError):
                continue
            theirs = self._theirs(table)
            if not theirs.any():
                continue
            self.done.removed[self._relative(path)] = _rows(theirs)
            if not self.done.dry_run:
                _write(table[~theirs], path)

    def stages(self) -> None:
        """Mark what was made from the cohort as stale, in the record of stages and on the report."""
        if not self.done.removed:
            return
        self.done.stale = [stage for stage in self.lock.stages() if stage != "phantoms"]
        if self.done.dry_run or not self.done.stale:
            return
        self.lock.mark_stale(self.done.stale, "a participant was withdrawn")
        report = self.out / "report.html"
        if report.is_file():
            text = report.read_text(encoding="utf-8")
            if _BANNER not in text:
                with whole_file(report) as temporary:
                    temporary.write_text(re.sub(r"(<body[^>]*>)", rf"\1{_BANNER}", text, count=1), encoding="utf-8")

    def summaries(self) -> None:
        """Remove what was computed over everybody's scans and is made again by the next run."""
        if self.done.removed:
            for path in sorted((self.out / "qc").glob("drift*")):
                self._remove(path, "computed with the participant; the next run makes it again")

    def mentions(self) -> None:
        """Remove what still names the participant and is made again by a run; say where anything else does."""
        remade = {name for stage in self.lock.stages() for name in self.lock.outputs(stage)}
        others = 0
        for path in self._all():
            name = self._relative(path)
            page = path.suffix == ".html"
            if path.suffix not in _TEXTS or name in (WITHDRAWN, "study.toml") or (len(self.id) < _TELLING and not page):
                continue
            if not self._text.search(path.read_text(encoding="utf-8", errors="replace")):
                continue
            if self.done.dry_run and name in self.done.removed:
                continue
            if self.session is not None and not page and name != LOCK_NAME:
                others += 1  # which is what other visits of the participant leave behind
            elif name == LOCK_NAME or path.suffix in _TABLES:
                self.done.remarks.append(f"{name} still names {self.id}: look at it")
            elif name in remade or page or path.is_relative_to(self.out / "qc"):
                self._remove(path, "named the participant; the next run makes it again")
            else:
                self.done.remarks.append(f"{name} still names {self.id}: look at it")
        if others:
            self.done.remarks.append(f"Other sessions of {self.id} stay; {others:,} files name them")

    def _theirs(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Return which rows are the participant's."""
        if "participant_id" not in table:
            return pd.Series(False, index=table.index)
        theirs = table["participant_id"].astype("str") == self.id
        if self.session is not None and "session_id" in table:
            theirs &= table["session_id"].astype("str") == self.session
        return theirs

    def _remove(self, path: Path, what: str) -> None:
        inside = path.exists() and path.resolve().is_relative_to(self.out.resolve())
        if not inside or (path.is_dir() and path.resolve().parent == self.out.resolve()):
            return
        files = sum(part.is_file() for part in path.rglob("*")) if path.is_dir() else 1
        self.done.removed[self._relative(path)] = f"{what} ({files} file{'s' if files != 1 else ''})"
        if self.done.dry_run:
            return
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def _all(self) -> Iterator[Path]:
        """Yield every file of the results, hidden ones too; not those of a study whose raw images lie there."""
        gone = tuple(self.out / name for name in self.done.removed)
        for path in sorted(self.out.rglob("*")):
            if path.is_file() and not any(path.is_relative_to(part) for part in gone if part.is_dir()):
                yield path

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.out).as_posix()


_BANNER = (
    '<p role="alert" style="background:#fff3cd;border:1px solid #b58900;padding:.6em 1em;margin:1em">'
    "<strong>Out of date.</strong> A participant was withdrawn after this report was made. Run the study again.</p>"
)


def _read(path: Path) -> pd.DataFrame:
    """Return a table; of text files every field as the text that stands in it."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep=_TABLES[path.suffix], dtype="str", keep_default_na=False)


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, sep=_TABLES[path.suffix], index=False, lineterminator="\n")


def _rows(theirs: "pd.Series[bool]") -> str:
    count = int(theirs.sum())
    return f"{count} row{'s' if count != 1 else ''}"
