"""What a delivery is: the files of one participant's visit, and the scan that is made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Protocol

from muscle_bayes.errors import MuscleBayesError
from muscle_bayes.imaging.images import ImageSource

#: What a delivery may be.
FORMATS = ("nifti", "bids", "nako", "ukb20201", "dicom")

#: Keys of `patterns` that mean files of images or labels; other keys are settings of a format.
ROLES = ("water", "fat", "image", "labels")


class Participant(Protocol):
    """Whoever has a participant_id and a session_id ("" where there are no sessions)."""

    @property
    def participant_id(self) -> str:
        """Whose images."""

    @property
    def session_id(self) -> str:
        """Of which visit."""


@dataclass(frozen=True)
class Delivery:
    """Files of one visit of one participant.

    Attributes
    ----------
    participant_id, session_id : str
        The key; `session_id` is "" where the delivery has no sessions.
    format : {"nifti", "bids", "nako", "ukb20201", "dicom"}
        How the files are read.
    files : dict of str to tuple of pathlib.Path
        Role (water, fat, image, labels, or dicom where the contrasts are told apart inside) -> files or folders.
    settings : dict of str to str
        What else `patterns` said, such as the series descriptions that mean water and fat.
    """

    participant_id: str
    session_id: str
    format: str
    files: dict[str, tuple[Path, ...]]
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The participant and session, for messages."""
        return where_of(self.participant_id, self.session_id)


@dataclass
class Deliveries:
    """What was found.

    Attributes
    ----------
    found : list of Delivery
        One a participant and session, in order of both.
    problems : list of dict
        Whose delivery cannot be used: participant_id, session_id, error, where, problem, remedy.
    notes : list of str
        What else is under the folder.
    """

    found: list[Delivery] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class DeliveredScan:
    """One scan, ready to be labelled and measured.

    Attributes
    ----------
    images : dict of str to path or nibabel image
        Role (water, fat, image, labels) -> whole volume.
    facts : dict
        Sequence parameters that were stated; see `muscle_bayes.imaging.deliveries.facts`.
    sources : dict of str to tuple of pathlib.Path
        Role -> files or folders that it was made from.
    notes : list of str
        What a reader of the measurements must know.
    """

    images: dict[str, ImageSource]
    facts: dict[str, Any]
    sources: dict[str, tuple[Path, ...]]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def inputs(self) -> dict[str, dict[str, str]]:
        """Role -> name and sha256 of what it was made from; hashed when first asked for."""
        hashes = {paths: hash_of(paths) for paths in set(self.sources.values())}
        return {
            role: {
                "name": paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more",
                "sha256": hashes[paths],
            }
            for role, paths in self.sources.items()
        }


@dataclass
class Listing:
    """What one format's search returns, before keys are compared and people are chosen."""

    deliveries: list[Delivery] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def where_of(participant_id: str, session_id: str = "") -> str:
    """Name a participant and session for messages.

    Parameters
    ----------
    participant_id, session_id : str
        The key.

    Returns
    -------
    str
        Such as "participant 100001, session 30".
    """
    return f"participant {participant_id}" + (f", session {session_id}" if session_id else "")


def problem_row(participant_id: str, session_id: str, error: MuscleBayesError) -> dict[str, str]:
    """Describe a delivery that cannot be used, as a row of failures.tsv.

    Parameters
    ----------
    participant_id, session_id : str
        Whose.
    error : MuscleBayesError
        Why.

    Returns
    -------
    dict of str to str
        participant_id, session_id, error, where, problem, remedy.
    """
    return {
        "participant_id": participant_id,
        "session_id": session_id,
        "error": type(error).__name__,
        "where": error.where,
        "problem": error.problem,
        "remedy": error.remedy,
    }


def settings_of(patterns: Mapping[str, str], *, roles: Sequence[str] = ("labels",)) -> dict[str, str]:
    """Return what of the patterns is no pattern of files.

    Parameters
    ----------
    patterns : mapping of str to str
        As given to `find_deliveries`.
    roles : sequence of str
        Which keys are patterns of files in this format.

    Returns
    -------
    dict of str to str
        The rest.
    """
    return {key: value for key, value in patterns.items() if key not in roles}


def hash_of(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, or of the names and hashes of the files of several or of a folder.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files and folders.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    named = []
    for path in paths:
        below = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in below:
            with file.open("rb") as stream:
                name = file.relative_to(path).as_posix() if path.is_dir() else file.name
                named.append((name, file_digest(stream, "sha256").hexdigest()))
    if len(named) == 1 and not paths[0].is_dir():
        return named[0][1]
    return sha256("\n".join(f"{name} {digest}" for name, digest in named).encode()).hexdigest()
