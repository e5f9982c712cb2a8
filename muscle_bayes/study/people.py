"""Whose images are measured."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd


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
