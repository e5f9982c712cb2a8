"""Files that are either whole or not there, and their hashes."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the same folder, which becomes `path` when the block ends without an error.

    The content is on the disk before the name is: after a power cut there is the old file or the new one, and no half of either.

    Parameters
    ----------
    path : path
        File to be written; its folder is made.

    Yields
    ------
    pathlib.Path
        Where to write; it keeps the ending of `path`, so that writers that go by endings work.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files that only the owner can read; a study folder is shared.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        _to_disk(temporary)
        temporary.replace(path)
        _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Ask for a file, or the names in a folder, to be written; not every system and file system has this for folders."""
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's content.

    Parameters
    ----------
    path : path
        An existing file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
