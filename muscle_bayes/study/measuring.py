"""The measurement stage: each participant's images are found, measured and kept; one bad participant stops nobody."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from muscle_bayes.errors import DeliveryError, EmptyTableError
from muscle_bayes.imaging.batch import Pool, Shard
from muscle_bayes.imaging.deliveries import Deliveries, Delivery, find_deliveries
from muscle_bayes.imaging.deliveries.delivery import where_of
from muscle_bayes.study.images_settings import ImagesSection
from muscle_bayes.study.missing_scans import failure_row, failure_table
from muscle_bayes.study.one_scan import finished_scan, measure_task
from muscle_bayes.study.people import Person
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.records import rows_from_text
from muscle_bayes.study.scan_quality import decisions_of
from muscle_bayes.study.scan_settings import WITHOUT_NETWORK, ScanSettings, backend_words
from muscle_bayes.study.scan_task import MeasuredScan, ScanTask


@dataclass
class Measured:
    """What came of the measurement stage.

    Attributes
    ----------
    table : pandas.DataFrame
        Measurement rows of everybody who could be measured.
    failures : pandas.DataFrame
        One row a participant who could not: `FAILURE_COLUMNS`.
    reused : int
        Participants whose images and settings had not changed since they were measured.
    notes : list of str
        What the measurements said about themselves, with how many participants it holds for.
    facts : pandas.DataFrame
        Sequence parameters, one row a scan.
    left : int
        Participants who were left for another run (`limit`).
    """

    table: pd.DataFrame
    failures: pd.DataFrame
    reused: int = 0
    notes: list[str] = field(default_factory=list)
    facts: pd.DataFrame = field(default_factory=pd.DataFrame)
    left: int = 0


def measure_people(
    people: Sequence[Person],
    images: ImagesSection,
    root: Path,
    out: Path,
    settings: ScanSettings,
    progress: Progress,
    workers: Callable[[], AbstractContextManager[Pool]],
    *,
    shard: Shard | None = None,
    limit: int | None = None,
) -> Measured:
    """Measure everybody; who cannot be measured becomes a row of failures.

    Parameters
    ----------
    people : sequence of Person
        Whose images.
    images : ImagesSection
        What the delivery is.
    root : pathlib.Path
        Folder of the delivery.
    out : pathlib.Path
        Folder of the study's results.
    settings : ScanSettings
        How scans are measured.
    progress : Progress
        Told after each person.
    workers : callable
        Opens where scans are measured; only called where there is something to measure.
    shard : Shard, optional
        Only this part of the participants.
    limit : int, optional
        At most this many scans that were not measured before.

    Returns
    -------
    Measured
        Rows and failures in the order of `people`, and how many were taken over from before.
    """
    people = [p for p in people if shard is None or shard.holds(p.participant_id, p.session_id)]
    deliveries = find_deliveries(root, images.format, images.patterns | images.settings, people)
    found, failed = _of_whom(people, deliveries)
    decisions = decisions_of(out)
    tasks = {}
    for number, delivery in found.items():
        if settings.backend != "labelmap":
            # Labels that somebody left beside the images are no input of a backend that makes its own.
            files = {role: paths for role, paths in delivery.files.items() if role != "labels"}
            delivery = replace(delivery, files=files)
        decision = decisions.get((people[number].participant_id, people[number].session_id))
        tasks[number] = ScanTask(people[number], delivery, out, settings, decision)
    done = _finished(tasks, progress)
    reused = len(done)
    waiting = [number for number in tasks if number not in done]
    left = max(len(waiting) - limit, 0) if limit is not None else 0
    waiting = waiting[: len(waiting) - left]
    for row in failed.values():
        progress.warn(_told(row))
    if waiting:
        with workers() as pool:
            progress.say(
                f"{len(waiting):,} scan{'s' if len(waiting) > 1 else ''} to measure, {pool.words}: {_how(pool, settings)}"
            )
            progress.start("measurements", len(waiting))
            for answer in pool.run(measure_task, [tasks[number] for number in waiting]):
                number = waiting[answer.number]
                if answer.value is not None:
                    done[number] = answer.value
                else:
                    # Whatever goes wrong with one person's images is that person's row, never the end of the cohort.
                    failed[number] = failure_row(people[number], answer.error or RuntimeError("no answer"))
                    progress.warn(_told(failed[number]))
                progress.advance(people[number].participant_id)
    said = f"{len(done):,} measured" + (f" ({reused:,} of them before)" if reused else "")
    if waiting:
        progress.finish(said + (f", {len(failed):,} failed" if failed else ""))
    measured = _collected(people, done, failed, reused, left)
    measured.notes += deliveries.notes
    return measured


def _told(row: Mapping[str, str]) -> str:
    """Say whose scan cannot be measured, and why."""
    return f"{where_of(row['participant_id'], row['session_id'])}: {row['problem']}"


def _how(pool: Pool, settings: ScanSettings) -> str:
    """Say by what scans are labelled; what no scan can do without is missed here, not after the first delivery was read."""
    if settings.backend in WITHOUT_NETWORK:
        return f"backend {settings.backend}, no network"
    (answer,) = pool.run(backend_words, [settings])
    if answer.error is not None:
        raise answer.error
    return str(answer.value)


def _of_whom(people: Sequence[Person], deliveries: Deliveries) -> tuple[dict[int, Delivery], dict[int, dict[str, str]]]:
    """Return each person's one delivery, or the row that says why there is none.

    Where the table or the delivery has no sessions, the participant alone says whose it is.
    """
    keys = {(person.participant_id, person.session_id): number for number, person in enumerate(people)}
    alone: dict[str, list[int]] = {}
    for number, person in enumerate(people):
        alone.setdefault(person.participant_id, []).append(number)

    def whose(participant_id: str, session_id: str) -> int | None:
        if (participant_id, session_id) in keys:
            return keys[participant_id, session_id]
        same = alone.get(participant_id, [])
        return same[0] if len(same) == 1 else None

    failed: dict[int, dict[str, str]] = {}
    for row in deliveries.problems:
        owner = whose(row["participant_id"], row["session_id"])
        if owner is not None:
            failed[owner] = {**row, "session_id": people[owner].session_id}
    found: dict[int, Delivery] = {}
    several: dict[int, list[str]] = {}
    for delivery in deliveries.found:
        owner = whose(delivery.participant_id, delivery.session_id)
        if owner is not None:
            found[owner] = delivery
            several.setdefault(owner, []).append(delivery.session_id)
    for number, sessions in several.items():
        failed.pop(number, None)
        if len(sessions) > 1:
            del found[number]
            error = DeliveryError(
                f"participant {people[number].participant_id}",
                f"There are scans of {len(sessions)} sessions ({', '.join(sorted(sessions))}) and the table names none",
                "Add session_id to the table",
            )
            failed[number] = failure_row(people[number], error)
    return found, failed


def _finished(tasks: Mapping[int, ScanTask], progress: Progress) -> dict[int, MeasuredScan]:
    """Return the scans that are done: their record says so, and what it names is still as it was written."""
    done: dict[int, MeasuredScan] = {}
    before = [number for number, task in tasks.items() if task.folder.is_dir()]
    if not before:
        return done
    progress.start("scans measured before", len(before))
    for number in before:
        task = tasks[number]
        try:
            about = (task.delivery, task.person, task.folder, task.settings)
            found = finished_scan(*about, root=task.out, picture=task.picture, decision=task.decision)
        except OSError:
            # What cannot be read now is measured again, and tells its reason there.
            found = None
        if found is not None:
            done[number] = found
        progress.advance(task.person.participant_id)
    progress.finish(f"{len(done):,} of {len(before):,} are up to date")
    return done


def _collected(
    people: Sequence[Person],
    done: Mapping[int, MeasuredScan],
    failed: Mapping[int, Mapping[str, str]],
    reused: int,
    left: int,
) -> Measured:
    """Put the tables together in the order of the participants, whatever the order in which scans were done."""
    numbers = sorted(done)
    failures = failure_table([failed[number] for number in sorted(failed)])
    table = rows_from_text([done[number].text for number in numbers]) if numbers else pd.DataFrame()
    notes = _gathered([done[number].notes for number in numbers])
    keys = [{"participant_id": people[n].participant_id, "session_id": people[n].session_id} for n in numbers]
    facts = pd.DataFrame([row | done[n].facts for row, n in zip(keys, numbers, strict=True)])
    return Measured(table, failures, reused, notes, facts, left)


def _gathered(each: Sequence[Sequence[str]]) -> list[str]:
    """Return the notes of all scans, each once: those that differ in figures and file names only stand as one example.

    Each scan's record holds its own.
    """
    alike: dict[str, dict[str, int]] = {}
    for notes in each:
        for note in set(notes):
            texts = alike.setdefault(_FIGURE.sub("#", _FILE.sub("#", note)), {})
            texts[note] = texts.get(note, 0) + 1
    return [
        f"{min(texts)}{', and the like' if len(texts) > 1 else ''} ({sum(texts.values()):,} of {len(each):,} scans)"
        for _, texts in sorted(alike.items())
    ]


_FILE = re.compile(r"[^\s,:;()]+\.(?:nii(?:\.gz)?|zip|dcm)\b")
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


def require_some(measured: Measured, people: int) -> None:
    """Refuse to go on where nobody could be measured.

    Parameters
    ----------
    measured : Measured
        What came of it.
    people : int
        How many there are.

    Raises
    ------
    EmptyTableError
        With the first reason.
    """
    if len(measured.table):
        return
    first = {"problem": "there are no participants", "remedy": "Check the table"}
    if len(measured.failures):
        first = {str(name): str(value) for name, value in measured.failures.iloc[0].items()}
    raise EmptyTableError(
        "measurements",
        f"None of {people:,} participants could be measured; the first: {first['problem']}",
        first["remedy"],
    )
