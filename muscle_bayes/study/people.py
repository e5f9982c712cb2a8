"""Whose images are measured, and which files they are."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd

from muscle_bayes.errors import ImageError


@dataclass(frozen=True)
class Person:
    """Whose images are measured.

    Attributes
    ----------
    participant_id, session_id : str
        The key.
    bmi : float or None
        Body mass index, kg/m2, where it is known.
    simulated : bool
        Whether the images are phantoms.
    """

    participant_id: str
    session_id: str = ""
    bmi: float | None = None
    simulated: bool = False

    @property
    def entities(self) -> str:
        """BIDS entities of the person, `sub-X` or `sub-X_ses-Y`."""
        session = f"_ses-{_label(self.session_id)}" if self.session_id else ""
        return f"sub-{_label(self.participant_id)}{session}"

    @property
    def folder(self) -> Path:
        """BIDS folder of the person, relative to the data set."""
        return Path(*self.entities.split("_ses-", 1)[:1]) / (
            f"ses-{_label(self.session_id)}/anat" if self.session_id else "anat"
        )


def _label(identifier: str) -> str:
    """Return an identifier as a BIDS label, which is letters and digits; a hash keeps different ones apart."""
    bare = "".join(c for c in identifier if c.isascii() and c.isalnum())
    return bare if bare == identifier and bare else f"{bare}{sha256(identifier.encode()).hexdigest()[:6]}"


def people_of(table: pd.DataFrame) -> list[Person]:
    """Return the persons of a participant table.

    Parameters
    ----------
    table : pandas.DataFrame
        Of a Cohort.

    Returns
    -------
    list of Person
        In the order of the rows.
    """
    bmi = table["bmi_kg_m2"] if "bmi_kg_m2" in table else pd.Series(float("nan"), index=table.index)
    marks = table["simulated"] if "simulated" in table else pd.Series(0, index=table.index)
    return [
        Person(i, s, None if pd.isna(b) else float(b), bool(m == 1))
        for i, s, b, m in zip(table["participant_id"], table["session_id"], bmi, marks, strict=True)
    ]


def find_images(root: Path, patterns: Mapping[str, str], person: Person) -> dict[str, Path]:
    """Find the one file that each pattern means for a person.

    Parameters
    ----------
    root : pathlib.Path
        Folder that the patterns start from.
    patterns : mapping of str to str
        Role (water, fat, image, labels) -> pattern with `{participant_id}` and `{session_id}`; * and ? are wildcards.
    person : Person
        Whose.

    Returns
    -------
    dict of str to pathlib.Path
        Role -> file.

    Raises
    ------
    ImageError
        Where a pattern meets no file, or several.
    """
    where = f"participant {person.participant_id}" + (f", session {person.session_id}" if person.session_id else "")
    found: dict[str, Path] = {}
    for role, pattern in patterns.items():
        if any(sign in identifier for identifier in (person.participant_id, person.session_id) for sign in "/\\"):
            raise ImageError(where, "The identifier holds a slash, which no file name can", "Rename the participant")
        if "{session_id}" in pattern and not person.session_id:
            raise ImageError(
                where, f"The pattern of {role} needs a session and there is none", "Add session_id to the table"
            )
        filled = pattern.replace("{participant_id}", glob.escape(person.participant_id))
        filled = filled.replace("{session_id}", glob.escape(person.session_id))
        hits = sorted(root.glob(filled))
        if len(hits) != 1:
            what = f"{len(hits)} files ({', '.join(h.name for h in hits[:3])})" if hits else "no file"
            raise ImageError(
                where,
                f"{role} = {pattern!r} meets {what} under {root.name}",
                "Make the pattern meet exactly one file for each participant, or leave the participant out",
            )
        found[role] = hits[0]
    return found
