"""Zip archives from outside: looked at before anything is taken out, and nothing is written under a name of theirs.

Members are read into memory one by one under limits; whatever is written gets a number for a name, in a folder of ours. So no
name of a member ever becomes a path. Archives whose names try to be paths elsewhere are refused all the same: nobody who
delivers scans makes such an archive, so something else in it may be wrong too.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muscle_bayes.errors import ArchiveError


@dataclass(frozen=True)
class Limits:
    """What an archive of one visit may hold at most; a UK Biobank visit has some 1,300 members of 100 kB.

    Attributes
    ----------
    entries : int
        Members, folders included.
    member_bytes, total_bytes : int
        Uncompressed, of one member and of all.
    ratio : float
        Uncompressed over compressed size, of a member beyond `ratio_from_bytes` and of all; MR images compress 2 to 4 times.
    ratio_from_bytes : int
        Smaller ones may be empty slices, which compress well.
    name_length : int
        Characters of a member's name.
    """

    entries: int = 50_000
    member_bytes: int = 1 << 30
    total_bytes: int = 8 << 30
    ratio: float = 100.0
    ratio_from_bytes: int = 4 << 20
    name_length: int = 1024


LIMITS = Limits()

_REMEDY = "Do not unpack it by hand; fetch the delivery again from its source, and ask them if it stays so"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Attributes
    ----------
    name : str
        As the archive has it, printable; for messages only.
    content : bytes
        Uncompressed.
    """

    name: str
    content: bytes


def members(path: Path, where: str, limits: Limits = LIMITS) -> Iterator[Member]:
    """Read the members of an archive, one after the other.

    Parameters
    ----------
    path : pathlib.Path
        A zip archive.
    where : str
        Whose, for messages.
    limits : Limits
        What it may hold.

    Yields
    ------
    Member
        Files only; nested archives are handed on as they are, never opened.

    Raises
    ------
    ArchiveError
        Where it is no zip archive or a damaged one, encrypted, too large or too many for a visit, compressed beyond reason, or
        where members overlap, share a name, are links or devices, or have names that lead elsewhere. All that can be seen
        in the table of contents is looked at before the first member is read.
    """
    told = f"{where}, {shown(path.name)}"
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked(archive, path, told, limits)
            total = 0
            for entry in entries:
                content = _content(archive, entry, told, limits, limits.total_bytes - total)
                total += len(content)
                yield Member(shown(entry.filename), content)
    # zipfile raises a ValueError or RuntimeError for some broken tables and NotImplementedError, which is one, for methods that it
    # does not know; zlib its own error for broken data.
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        raise ArchiveError(told, f"It cannot be read as a zip archive ({_reason(error)})", _REMEDY) from error
    except zlib.error as error:
        raise ArchiveError(told, f"A member is damaged ({_reason(error)})", _REMEDY) from error


def shown(name: str) -> str:
    """Make a foreign name safe to print: escapes for what is not plain, and no longer than a line."""
    text = name.encode("unicode_escape").decode("ascii")
    return text if len(text) <= 80 else f"{text[:60]}...{text[-12:]}"


def _checked(archive: zipfile.ZipFile, path: Path, told: str, limits: Limits) -> list[zipfile.ZipInfo]:
    """Files of an archive, after everything that its table of contents tells has been looked at."""
    listed = archive.infolist()
    if len(listed) > limits.entries:
        _refuse(told, f"It has {len(listed):,} members, more than the {limits.entries:,} that one visit may have")
    files = []
    names: set[str] = set()
    for entry in listed:
        name = entry.orig_filename
        problem = _name_problem(name, limits) or _kind_problem(entry)
        if problem:
            _refuse(told, f"Member {shown(name)!r} {problem}")
        # Folders are compared too: a file and a folder of one name would be one path.
        folded = name.rstrip("/").casefold()
        if folded in names:
            _refuse(told, f"Member {shown(name)!r} is there twice")
        names.add(folded)
        if entry.is_dir():
            continue
        if entry.file_size > limits.member_bytes:
            _refuse(told, f"Member {shown(name)!r} has {_size(entry.file_size)}, more than a member may have")
        large = entry.file_size > limits.ratio_from_bytes
        if large and entry.file_size > limits.ratio * max(entry.compress_size, 1):
            _refuse(
                told, f"Member {shown(name)!r} is compressed {entry.file_size // max(entry.compress_size, 1):,} times"
            )
        files.append(entry)
    total = sum(entry.file_size for entry in files)
    packed = sum(entry.compress_size for entry in files)
    if total > limits.total_bytes:
        _refuse(told, f"It unpacks to {_size(total)}, more than one visit may have ({_size(limits.total_bytes)})")
    if packed > path.stat().st_size:
        _refuse(told, "Its members overlap, so that it unpacks to more than it holds")
    if total > 16 * limits.ratio_from_bytes and total > limits.ratio * max(packed, 1):
        _refuse(told, f"It is compressed {total // max(packed, 1):,} times")
    if not files:
        raise ArchiveError(told, "The archive is empty", "Fetch the delivery again from its source")
    return files


def _name_problem(name: str, limits: Limits) -> str | None:
    parts = re.split(r"[/\\]", name)
    if len(name) > limits.name_length:
        return "has a name that is too long"
    if "\0" in name:
        return "has a name with a NUL in it, which hides how it ends"
    if name.startswith(("/", "\\")):
        return "has an absolute path for a name"
    if re.match(r"[A-Za-z]:", name):
        return "has a drive letter in its name"
    if ".." in parts:
        return "has a name that leads out of its folder"
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        return "has control characters in its name"
    return None


def _kind_problem(entry: zipfile.ZipInfo) -> str | None:
    if entry.flag_bits & 0x1:
        return "is encrypted"
    # Archives made on Unix say what a member is; 0 is what other systems write.
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device or a pipe"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {entry.compress_type}, which deliveries do not use"
    return None


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, told: str, limits: Limits, left: int) -> bytes:
    """Read a member, counting: what the table of contents says of sizes is only a claim."""
    allowed = min(limits.member_bytes, left)
    parts, read = [], 0
    with archive.open(entry) as stream:
        while chunk := stream.read(_CHUNK):
            read += len(chunk)
            if read > allowed:
                _refuse(told, f"Member {shown(entry.filename)!r} unpacks to more than it may ({_size(allowed)})")
            parts.append(chunk)
    if read != entry.file_size:
        _refuse(told, f"Member {shown(entry.filename)!r} has {_size(read)} and says {_size(entry.file_size)}")
    return b"".join(parts)


def _refuse(told: str, problem: str) -> None:
    raise ArchiveError(told, problem, _REMEDY)


def _size(count: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:,} bytes"


def _reason(error: Exception) -> str:
    return shown(" ".join(str(error).split())[:120]) or type(error).__name__
