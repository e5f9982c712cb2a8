"""Find every delivery under a folder, each participant and session once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from muscle_bayes.errors import DeliveryError, ImageError, InvalidValueError
from muscle_bayes.imaging.deliveries.assembling import scan_of_files
from muscle_bayes.imaging.deliveries.delivery import (
    FORMATS,
    ROLES,
    DeliveredScan,
    Deliveries,
    Delivery,
    Participant,
    problem_row,
    where_of,
)
from muscle_bayes.imaging.deliveries.patterns import Folders, files_of

#: What each format may be told besides files and series.
SETTINGS = {
    "nifti": (),
    "bids": (),
    "nako": ("composed", "repeats"),
    "ukb20201": ("stations", "repeats"),
    "dicom": ("folder", "repeats"),
}

#: Formats whose files are images already.
_OF_FILES = ("nifti", "bids")


def find_deliveries(
    root: Path | str,
    format: str,
    patterns: Mapping[str, str] = {},
    people: Sequence[Participant] | None = None,
) -> Deliveries:
    """Find whose scans lie under a folder.

    Parameters
    ----------
    root : path
        Folder of the deliveries.
    format : {"nifti", "bids", "nako", "ukb20201", "dicom"}
        What they are.
    patterns : mapping of str to str
        Of `nifti`: role (water, fat, image, labels) -> pattern with `{participant_id}` and `{session_id}`. Of the others: `labels`
        as there, and what the format takes: `folder`, `repeats`, `stations`, `composed`, and for `dicom`, `ukb20201` and `nako`
        the series descriptions that mean water and fat.
    people : sequence of Participant, optional
        Whose; everybody's where left out. Where they or the deliveries have no sessions, participants alone are compared.

    Returns
    -------
    Deliveries
        What can be read, who cannot and why; each row of the study is in one of the two.

    Raises
    ------
    InvalidValueError
        Where there is no such format, or the format takes no such setting.
    ImageError
        Where there is no such folder, or the patterns contradict the format.
    """
    if format not in FORMATS:
        raise InvalidValueError("format", f"{format!r} is no format of deliveries", f"Choose {', '.join(FORMATS)}")
    _check_settings(format, patterns)
    root = Path(root)
    if not root.is_dir():
        raise ImageError(str(root), "There is no such folder", "Check root under [images]")
    listing = _module(format).find(root, patterns, people)
    result = Deliveries(problems=list(listing.problems), notes=list(listing.notes))
    unique = _each_once(listing.deliveries, result)
    if people is not None:
        unique = _of_people(unique, people, root, result)
    if format != "nifti" and "labels" in patterns:
        unique = _with_labels(unique, patterns["labels"], root, result)
    result.found = sorted(unique, key=lambda d: (d.participant_id, d.session_id))
    result.problems.sort(key=lambda row: (row["participant_id"], row["session_id"]))
    return result


def load_delivery(delivery: Delivery, scratch: Path | str) -> DeliveredScan:
    """Make one delivery a scan: stations stitched, DICOM converted, facts of the sequence read.

    Parameters
    ----------
    delivery : Delivery
        One of `find_deliveries`.
    scratch : path
        Folder for files on the way; it is left empty.

    Returns
    -------
    DeliveredScan
        Whole volumes; files that are images already are handed on as they are.

    Raises
    ------
    ImageError
        Why the delivery cannot be read, naming participant and file.
    MissingDependencyError
        Where a DICOM delivery meets an installation without muscle-bayes[scans].
    """
    if delivery.format in _OF_FILES:
        return scan_of_files(delivery)
    scratch = Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    # Copies of DICOM files hold names of people: they are gone as soon as the scan is in memory, or has failed.
    with TemporaryDirectory(prefix="delivery-", dir=scratch) as folder:
        scan: DeliveredScan = _module(delivery.format).load(delivery, Path(folder))
        return scan


def _check_settings(format: str, patterns: Mapping[str, str]) -> None:
    """Raise where a setting would be passed over in silence."""
    takes = SETTINGS[format]
    for key in patterns:
        if key not in ROLES and key not in takes:
            known = ", ".join(takes) or "nothing"
            raise InvalidValueError(
                key, f"The format {format} takes no setting {key!r}", f"It takes {known} besides files"
            )
    if patterns.get("repeats", "refuse") not in {"refuse", "last"}:
        raise InvalidValueError("repeats", f"{patterns['repeats']!r} is not known", 'Choose "refuse" or "last"')
    if not patterns.get("stations", "1").isdigit():
        raise InvalidValueError("stations", f"{patterns['stations']!r} is no number of stations", "Give a whole number")


def _module(format: str) -> Any:
    return import_module(f"muscle_bayes.imaging.deliveries.{format}")


def _each_once(deliveries: Sequence[Delivery], result: Deliveries) -> list[Delivery]:
    """Deliveries whose key occurs once; several of one key are a problem of that key."""
    by_key: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        by_key[delivery.participant_id, delivery.session_id].append(delivery)
    unique = []
    for (participant_id, session_id), several in by_key.items():
        if len(several) == 1:
            unique.append(several[0])
            continue
        names = ", ".join(
            path.name for delivery in several[:3] for paths in delivery.files.values() for path in paths[:1]
        )
        error = DeliveryError(
            where_of(participant_id, session_id),
            f"There are {len(several)} deliveries of it ({names})",
            "Keep the one that is meant, or tell visits apart by a session",
        )
        result.problems.append(problem_row(participant_id, session_id, error))
    return unique


def _of_people(
    deliveries: list[Delivery], people: Sequence[Participant], root: Path, result: Deliveries
) -> list[Delivery]:
    """Deliveries of the people asked for; whoever has none is a problem."""
    both = any(p.session_id for p in people) and any(d.session_id for d in [*deliveries, *_keyed(result.problems)])

    def key(participant_id: str, session_id: str) -> tuple[str, str]:
        return (participant_id, session_id if both else "")

    asked = {key(p.participant_id, p.session_id): p for p in people}
    chosen = [d for d in deliveries if key(d.participant_id, d.session_id) in asked]
    result.problems = [row for row in result.problems if key(row["participant_id"], row["session_id"]) in asked]
    there = {key(d.participant_id, d.session_id) for d in [*chosen, *_keyed(result.problems)]}
    others: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        if key(delivery.participant_id, delivery.session_id) not in asked:
            others[delivery.participant_id].append(delivery)
    # Where nobody is found, one example says how the delivery spells its identifiers.
    first = deliveries[0] if deliveries and not chosen else None
    for missing, person in asked.items():
        if missing in there:
            continue
        error = _not_there(person, others[person.participant_id], root, first)
        result.problems.append(problem_row(person.participant_id, person.session_id, error))
    left = len(deliveries) - len(chosen)
    if left:
        result.notes.append(f"{left:,} deliveries are of nobody in the table and were left alone")
    return chosen


def _not_there(person: Participant, others: Sequence[Delivery], root: Path, first: Delivery | None) -> DeliveryError:
    """Say that there is no delivery of somebody; of which other visits there is, or how the delivery spells identifiers."""
    problem = f"There is no delivery of it under {root.name}"
    remedy = "Fetch the delivery, or leave the participant out"
    if others:
        problem += f"; of this participant there is session {', '.join(d.session_id for d in others)}"
        remedy += "; if that is the visit that is meant, write session_id in the table as the delivery does"
    elif first is not None:
        problem += f"; nobody of the table is there. The delivery's first is {where_of(first.participant_id, first.session_id)}"
        remedy = "Write participant_id (and session_id) in the table as the delivery does, or check root"
    return DeliveryError(where_of(person.participant_id, person.session_id), problem, remedy)


def _keyed(rows: Sequence[Mapping[str, str]]) -> list[Delivery]:
    """Keys of problems, as deliveries without files."""
    return [Delivery(row["participant_id"], row["session_id"], "", {}) for row in rows]


def _with_labels(deliveries: list[Delivery], pattern: str, root: Path, result: Deliveries) -> list[Delivery]:
    """Add each one's label map; whose there is none is a problem."""
    folders = Folders()
    labelled = []
    for delivery in deliveries:
        try:
            found = files_of(root, {"labels": pattern}, delivery.participant_id, delivery.session_id, folders)
        except DeliveryError as error:
            result.problems.append(problem_row(delivery.participant_id, delivery.session_id, error))
            continue
        labelled.append(replace(delivery, files={**delivery.files, "labels": (found["labels"],)}))
    return labelled
