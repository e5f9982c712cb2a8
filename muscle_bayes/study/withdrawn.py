"""Who has withdrawn: salted hashes beside the results, so that nobody is measured or analysed again by mistake."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path

from muscle_bayes.cohort.files import whole_file

NAME = "withdrawn.tsv"
_HEADER = "salt\tsha256\n"


class Withdrawn:
    """The list of a study's folder.

    It holds no identifier, but whoever has both this file and a list of identifiers can find out who is on it: keep it as
    protected as the participants' table.

    Parameters
    ----------
    out : pathlib.Path
        Folder of the results.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self._salt, self._hashes = "", set[str]()
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines()[1:]:
                self._salt, _, digest = line.partition("\t")
                self._hashes.add(digest)

    def __len__(self) -> int:
        return len(self._hashes)

    def holds(self, participant_id: str, session_id: str = "") -> bool:
        """Tell whether a participant, or this session of theirs, was withdrawn.

        Parameters
        ----------
        participant_id, session_id : str
            The key.

        Returns
        -------
        bool
        """
        if not self._hashes:
            return False
        return any(self._digest(participant_id, session) in self._hashes for session in (None, session_id))

    def among(self, participant_ids: Iterable[str], session_ids: Iterable[str]) -> list[str]:
        """Return the identifiers of those who were withdrawn.

        Parameters
        ----------
        participant_ids, session_ids : iterable of str
            The keys.

        Returns
        -------
        list of str
        """
        if not self._hashes:
            return []
        return [who for who, session in zip(participant_ids, session_ids, strict=True) if self.holds(who, session)]

    def add(self, participant_id: str, session_id: str | None = None) -> Path:
        """Put a participant, or one session of theirs, on the list.

        Parameters
        ----------
        participant_id : str
            Whose.
        session_id : str, optional
            All sessions where left out.

        Returns
        -------
        pathlib.Path
            The list.
        """
        self._salt = self._salt or secrets.token_hex(16)
        self._hashes.add(self._digest(participant_id, session_id))
        with whole_file(self._path) as temporary:
            rows = "".join(f"{self._salt}\t{digest}\n" for digest in sorted(self._hashes))
            temporary.write_text(_HEADER + rows, encoding="utf-8")
        return self._path

    def _digest(self, participant_id: str, session_id: str | None) -> str:
        key = participant_id if session_id is None else f"{participant_id}\x1f{session_id}"
        return hmac.new(bytes.fromhex(self._salt), key.encode(), hashlib.sha256).hexdigest()
