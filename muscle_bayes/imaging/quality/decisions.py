"""`qc_decisions.tsv`: what reviewers decided about scans, and corrected masks that supersede automatic labels by hash.

A reviewer passes a scan, excludes it, or corrects its labels. A corrected mask says which version of the automatic labels it
corrects (`corrects_sha256`); where the labels have changed since, it is refused, because it may undo what has become better.
"""

import csv
import datetime
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muscle_bayes.errors import DuplicateKeyError, InvalidValueError, MissingColumnError

DECISION_COLUMNS = (
    "participant_id",
    "session_id",
    "decision",
    "reviewer",
    "date",
    "comment",
    "corrected_mask",
    "corrects_sha256",
)
DECISIONS = ("pass", "exclude", "corrected")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: A row that begins so is a comment. The template ends with one, which shows how a row is filled in.
_COMMENT = "#"
_EXAMPLE = dict(
    zip(
        DECISION_COLUMNS,
        ("# example: sub-007", "", "exclude", "AB", "2026-03-31", "metal beside the spine", "", ""),
        strict=True,
    )
)


@dataclass(frozen=True)
class Decision:
    """What a reviewer decided about one scan.

    Attributes
    ----------
    participant_id, session_id : str
        Whose scan.
    decision : {"pass", "exclude", "corrected"}
        Take it as it is, leave it out, or take the corrected mask.
    reviewer, date, comment : str
        Who, when (YYYY-MM-DD) and why.
    corrected_mask : pathlib.Path or None
        Label map that supersedes the automatic one.
    corrects_sha256 : str
        SHA-256 of the automatic label map that was corrected.
    """

    participant_id: str
    session_id: str
    decision: str
    reviewer: str
    date: str
    comment: str = ""
    corrected_mask: Path | None = None
    corrects_sha256: str = ""


def write_decision_template(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a table for reviewers to fill in; decisions that are in it already are kept.

    Parameters
    ----------
    path : path
        The table (TSV).
    rows : iterable of mapping
        participant_id, session_id and, where labels are automatic, labels_sha256; those to be looked at.

    Returns
    -------
    pathlib.Path
        The table. A row without a decision is no decision, nor is one that begins with #, such as the example at the end.
    """
    path = Path(path)
    before = _rows(path) if path.is_file() else []
    kept = [row for row in before if row.get("decision", "").strip() and not _is_comment(row)]
    known = {(row.get("participant_id", ""), row.get("session_id", "")) for row in kept}
    made = [{name: row.get(name, "") for name in DECISION_COLUMNS} for row in kept]
    for row in rows:
        key = (str(row["participant_id"]), str(row.get("session_id", "")))
        if key in known:
            continue
        known.add(key)
        blank = dict.fromkeys(DECISION_COLUMNS, "")
        made.append(
            blank
            | {
                "participant_id": key[0],
                "session_id": key[1],
                "corrects_sha256": str(row.get("labels_sha256", "") or ""),
            }
        )
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, DECISION_COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*made, _EXAMPLE])
    partial.replace(path)
    return path


def read_decisions(path: str | Path) -> dict[tuple[str, str], Decision]:
    """Read reviewers' decisions.

    Parameters
    ----------
    path : path
        Table (TSV) with `DECISION_COLUMNS`; paths of corrected masks start from its folder. Rows without a decision, and those
        that begin with #, are left out.

    Returns
    -------
    dict of (participant_id, session_id) to Decision

    Raises
    ------
    MissingColumnError
        Where a column is missing.
    DuplicateKeyError
        Where a scan has two decisions.
    InvalidValueError
        Where a row breaks a rule; the message names the row as a text editor counts it.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidValueError(str(path), "no such file", "Take the table that the scan run writes")
    rows = _rows(path)
    out: dict[tuple[str, str], Decision] = {}
    places: dict[tuple[str, str], int] = {}
    for line, row in enumerate(rows, 2):
        decision = _decision(row, f"{path.name}, line {line}", path.parent)
        if decision is None:
            continue
        key = (decision.participant_id, decision.session_id)
        if key in out:
            raise DuplicateKeyError(
                f"{path.name}, line {line}",
                f"participant {key[0]}{f', session {key[1]},' if key[1] else ''} has a decision in line {places[key]} as well",
                "Keep the one that holds",
            )
        out[key], places[key] = decision, line
    return out


def corrected_labels(decision: Decision, labels_sha256: str) -> Path:
    """Return the corrected mask that supersedes automatic labels.

    Parameters
    ----------
    decision : Decision
        With a corrected mask.
    labels_sha256 : str
        SHA-256 of the automatic labels as they are now.

    Returns
    -------
    pathlib.Path
        The corrected mask.

    Raises
    ------
    InvalidValueError
        Where the decision has no mask, or the mask was made against another version of the labels.
    """
    where = f"corrected mask of participant {decision.participant_id}"
    if decision.corrected_mask is None:
        raise InvalidValueError(
            where, f"the decision is {decision.decision!r} and names no mask", "Give corrected_mask"
        )
    if decision.corrects_sha256 != labels_sha256:
        raise InvalidValueError(
            where,
            f"{decision.corrected_mask.name} corrects another version of the labels (it was made against "
            f"{decision.corrects_sha256[:12]}, they are now {labels_sha256[:12]}), so it may undo what has changed since",
            "Look at the new labels, correct those, and put their SHA-256 into corrects_sha256",
        )
    return decision.corrected_mask


def mask_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as the sidecars give it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", restval="")
            names = [name.strip() for name in reader.fieldnames or []]
            missing = [name for name in DECISION_COLUMNS if name not in names and name not in ("comment", "session_id")]
            if missing:
                raise MissingColumnError(
                    path.name, f"lacks {', '.join(missing)}", "Keep the columns of the template, separated by tabs"
                )
            reader.fieldnames = names
            return [{key: (value or "") for key, value in row.items() if isinstance(key, str)} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError(
            path.name, f"cannot be read as a table ({error})", "Save it as text separated by tabs, in UTF-8"
        ) from error


def _is_comment(row: Mapping[str, str]) -> bool:
    return row.get("participant_id", "").lstrip().startswith(_COMMENT)


def _decision(row: Mapping[str, str], where: str, folder: Path) -> Decision | None:
    """Check one row; None where nothing is decided."""
    value = {name: row.get(name, "").strip() for name in DECISION_COLUMNS}
    value = {name: "" if text == "n/a" else text for name, text in value.items()}
    if not any(value.values()) or _is_comment(value):
        return None
    participant, word = value["participant_id"], value["decision"].lower()
    if not participant:
        raise InvalidValueError(where, "participant_id is empty", "Say whose scan the decision is about")
    if not word:
        return None
    if word not in DECISIONS:
        raise InvalidValueError(where, f"{value['decision']!r} is no decision", f"Choose from {', '.join(DECISIONS)}")
    if not value["reviewer"]:
        raise InvalidValueError(where, "a decision needs a reviewer", "Say who decided")
    try:
        datetime.date.fromisoformat(value["date"])
    except ValueError as error:
        raise InvalidValueError(where, f"{value['date']!r} is no date", "Write it as 2026-03-31") from error
    mask = value["corrected_mask"]
    if (word == "corrected") != bool(mask):
        problem = (
            "the decision is corrected and corrected_mask is empty"
            if not mask
            else f"a mask is given and the decision is {word}"
        )
        raise InvalidValueError(where, problem, "Give decision corrected with a mask, or another decision without one")
    path = None
    if mask:
        path = folder / mask
        if not path.is_file():
            raise InvalidValueError(where, f"there is no file {mask}", "Paths start from the folder of this table")
        if not _SHA256.fullmatch(value["corrects_sha256"]):
            raise InvalidValueError(
                where,
                "corrects_sha256 is not a SHA-256 (64 hexadecimal digits)",
                "Copy the hash of the labels that were corrected from the template or the sidecar",
            )
    return Decision(
        participant,
        value["session_id"],
        word,
        value["reviewer"],
        value["date"],
        value["comment"],
        path,
        value["corrects_sha256"],
    )
