"""File patterns with `{participant_id}` and `{session_id}`: who is there, and which file each one's pattern means."""

import glob
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from muscle_bayes.errors import DeliveryError
from muscle_bayes.imaging.deliveries.delivery import where_of

_PLACEHOLDERS = ("{participant_id}", "{session_id}")
_WILD = re.compile(r"[*?\[]")


class Folders:
    """Listings of folders, each read once: a pattern for each of 30,000 people must not list one folder 30,000 times."""

    def __init__(self) -> None:
        self._names: dict[Path, list[str]] = {}

    def names(self, folder: Path) -> list[str]:
        """Sorted names in a folder, without the shadow files (`._name`) that macOS leaves on foreign disks."""
        if folder not in self._names:
            try:
                found = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("._"))
            except (FileNotFoundError, NotADirectoryError):
                found = []
            self._names[folder] = found
        return self._names[folder]

    def matching(self, root: Path, pattern: str) -> list[Path]:
        """Return what a glob pattern meets under a folder, as `Path.glob` does.

        Parameters
        ----------
        root : pathlib.Path
            Where the pattern starts.
        pattern : str
            Relative, with /; * ? and [] are wildcards within a name, ** is any depth.

        Returns
        -------
        list of pathlib.Path
            In order of their names.
        """
        if "**" in pattern:
            return sorted(path for path in root.glob(pattern) if not path.name.startswith("._"))
        reached = [root]
        for part in Path(pattern).parts:
            literal = _unescaped(part)
            if literal is not None:
                reached = [path / literal for path in reached if (path / literal).exists()]
            else:
                reached = [path / name for path in reached for name in self._matching_names(path, part)]
        return reached

    def _matching_names(self, folder: Path, part: str) -> list[str]:
        names = self.names(folder)
        # What stands before the first wildcard bounds the search, so a flat folder of a whole cohort costs a bisection.
        start = _WILD.search(part)
        prefix = part[: start.start()] if start else part
        first = bisect_left(names, prefix)
        found = []
        for name in names[first:]:
            if not name.startswith(prefix):
                break
            if fnmatchcase(name, part):
                found.append(name)
        return found


def _unescaped(part: str) -> str | None:
    """Name that a part of a pattern means, or None where it has wildcards; `glob.escape` writes * as [*]."""
    bare = re.sub(r"\[([*?\[])\]", "", part)
    return None if _WILD.search(bare) else re.sub(r"\[([*?\[])\]", r"\1", part)


def filled(pattern: str, participant_id: str, session_id: str) -> str:
    """Put an identifier into a pattern.

    Parameters
    ----------
    pattern : str
        With `{participant_id}` and `{session_id}`.
    participant_id, session_id : str
        Whose; wildcards in them are taken as they are.

    Returns
    -------
    str
        A glob pattern.
    """
    for placeholder, value in zip(_PLACEHOLDERS, (participant_id, session_id), strict=True):
        pattern = pattern.replace(placeholder, glob.escape(value))
    return pattern


def files_of(
    root: Path,
    patterns: Mapping[str, str],
    participant_id: str,
    session_id: str = "",
    folders: Folders | None = None,
) -> dict[str, Path]:
    """Find the one file that each pattern means for a participant.

    Parameters
    ----------
    root : pathlib.Path
        Folder that the patterns start from.
    patterns : mapping of str to str
        Role -> pattern with `{participant_id}` and `{session_id}`; * and ? are wildcards.
    participant_id, session_id : str
        Whose.
    folders : Folders, optional
        Listings that are shared between participants.

    Returns
    -------
    dict of str to pathlib.Path
        Role -> file (or folder of masks).

    Raises
    ------
    DeliveryError
        Where a pattern meets no file, or several, or the identifier cannot be part of a file's name.
    """
    folders = Folders() if folders is None else folders
    where = where_of(participant_id, session_id)
    if any(sign in identifier for identifier in (participant_id, session_id) for sign in "/\\\0"):
        raise DeliveryError(where, "The identifier holds a slash, which no file name can", "Rename the participant")
    if participant_id in {"", ".", ".."} or session_id in {".", ".."}:
        raise DeliveryError(where, "The identifier is no name of a file", "Rename the participant")
    found: dict[str, Path] = {}
    for role, pattern in patterns.items():
        if "{session_id}" in pattern and not session_id:
            raise DeliveryError(
                where, f"The pattern of {role} needs a session and there is none", "Add session_id to the table"
            )
        hits = folders.matching(root, filled(pattern, participant_id, session_id))
        if len(hits) != 1:
            what = f"{len(hits)} files ({', '.join(h.name for h in hits[:3])})" if hits else "no file"
            raise DeliveryError(
                where,
                f"{role} = {pattern!r} meets {what} under {root.name}",
                "Make the pattern meet exactly one file for each participant, or leave the participant out",
            )
        found[role] = hits[0]
    return found


def keys_of(root: Path, patterns: Iterable[str], folders: Folders | None = None) -> list[tuple[str, str]]:
    """List whose files patterns meet.

    Parameters
    ----------
    root : pathlib.Path
        Folder that the patterns start from.
    patterns : iterable of str
        With `{participant_id}` and perhaps `{session_id}`. An identifier is taken as short as the pattern allows.
    folders : Folders, optional
        Listings that are shared.

    Returns
    -------
    list of (str, str)
        participant_id and session_id, sorted.

    Raises
    ------
    DeliveryError
        Where a pattern does not say where the participant stands in it.
    """
    folders = Folders() if folders is None else folders
    keys: set[tuple[str, str]] = set()
    for pattern in patterns:
        if "{participant_id}" not in pattern:
            raise DeliveryError(
                repr(pattern),
                "The pattern has no {participant_id}, so nobody can say whose file it means",
                "Put {participant_id} where the identifier stands in the file's path",
            )
        anybody = pattern
        for placeholder in _PLACEHOLDERS:
            anybody = anybody.replace(placeholder, "*")
        expression = _expression(pattern)
        for path in folders.matching(root, re.sub(r"\*{2,}(?!/)", "*", anybody)):
            match = expression.fullmatch(path.relative_to(root).as_posix())
            if match:
                named = match.groupdict()
                keys.add((named["participant_id"], named.get("session_id") or ""))
    return sorted(keys)


def _expression(pattern: str) -> re.Pattern[str]:
    """Regular expression of a pattern; a placeholder that stands twice must mean the same both times."""
    text, named = "", set()
    for token in re.findall(r"\{participant_id\}|\{session_id\}|\*\*/|\*|\?|\[[^\]]*\]|.", pattern):
        if token in _PLACEHOLDERS:
            name = token[1:-1]
            text += f"(?P={name})" if name in named else f"(?P<{name}>[^/]+?)"
            named.add(name)
        elif token == "**/":
            text += "(?:.*/)?"
        elif token in "*?":
            text += "[^/]*" if token == "*" else "[^/]"
        else:
            text += token if len(token) > 1 else re.escape(token)
    return re.compile(text)
