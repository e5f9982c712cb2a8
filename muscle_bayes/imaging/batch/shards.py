"""Which participants belong to a job of an array, and the seed of each: both from the key alone, so that order never matters."""

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from muscle_bayes.errors import InvalidValueError


def _digest(participant_id: str, session_id: str) -> bytes:
    """Return a hash of the key; the separator is no character of an identifier, so that ("1", "2") is not ("12", "")."""
    return hashlib.sha256(f"{participant_id}\x1f{session_id}".encode()).digest()


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of`, counted from 1.

    A participant's part follows from a hash of the key: participants who are added later move nobody else.

    Attributes
    ----------
    number, of : int
        1 <= number <= of.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise InvalidValueError(
                "shard", f"{self.number}/{self.of} is no part of a whole", "Count from 1: 1/16, 2/16, ..., 16/16"
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `3/16`.

        Parameters
        ----------
        text : str
            Part and number of parts.

        Returns
        -------
        Shard

        Raises
        ------
        InvalidValueError
            Where it is anything else.
        """
        found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
        if found is None:
            raise InvalidValueError("shard", f"{text!r} is no part of a whole", "Write the part and their number: 3/16")
        return cls(int(found[1]), int(found[2]))

    def holds(self, participant_id: str, session_id: str = "") -> bool:
        """Tell whether a participant's scan belongs to this part.

        Parameters
        ----------
        participant_id, session_id : str
            The key.

        Returns
        -------
        bool
        """
        return int.from_bytes(_digest(participant_id, session_id)[:8], "big") % self.of == self.number - 1

    @property
    def label(self) -> str:
        """Name for folders and files: `3-of-16`."""
        return f"{self.number}-of-{self.of}"


def participant_seed(study_seed: int, participant_id: str, session_id: str = "") -> int:
    """Return the seed of one participant's scan.

    Parameters
    ----------
    study_seed : int
        Of the study.
    participant_id, session_id : str
        The key.

    Returns
    -------
    int
        31 bits of NumPy's `SeedSequence` of the study's seed and a hash of the key: the same in every order and every shard.
    """
    key = np.frombuffer(_digest(participant_id, session_id), dtype=">u4")
    return int(np.random.SeedSequence([study_seed, *(int(word) for word in key)]).generate_state(1)[0] >> 1)
