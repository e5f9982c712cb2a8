"""One writer at a time: a run holds its study's folder, and who died in it does not hold it for ever."""

import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muscle_bayes.errors import StudyFileError
from muscle_bayes.study.progress import Progress

_NAME = "writing"


@contextmanager
def single_writer(out: Path, progress: Progress, *, shard: str | None = None, what: str = "run") -> Iterator[None]:
    """Hold a study's folder, so that no second run writes into it.

    Jobs of an array hold their own shards and stand beside each other; a run of everything stands alone.

    Parameters
    ----------
    out : pathlib.Path
        Folder of the results; made where it does not exist.
    progress : Progress
        Told where the lock of a dead process is taken over.
    shard : str, optional
        Label of a part, such as `3-of-16`; the whole folder where left out.
    what : str
        What is done, for whoever meets the lock.

    Yields
    ------
    None

    Raises
    ------
    StudyFileError
        Where a living process, or one of another machine, writes into the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / (f"{_NAME}.lock" if shard is None else f"{_NAME}-{shard}.lock")
    mine = {**_identity(), "what": what, "since": datetime.now(UTC).isoformat(timespec="seconds")}
    _take(path, mine, progress)
    try:
        for other in sorted(out.glob(f"{_NAME}*.lock")):
            # Two shards may write at the same time; the whole folder and a shard may not.
            if other != path and (shard is None or other.name == f"{_NAME}.lock"):
                _free(other, progress)
        yield
    finally:
        if _read(path).get("token") == mine["token"]:
            path.unlink(missing_ok=True)


def _take(path: Path, mine: dict[str, Any], progress: Progress) -> None:
    """Put up a lock whose content is there with its name, so that nobody reads half of it."""
    written = path.with_name(f".{path.name}-{mine['token'][:12]}")
    written.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")
    try:
        while True:
            try:
                os.link(written, path)
                return
            except FileExistsError:
                _free(path, progress)
    finally:
        written.unlink(missing_ok=True)


def _free(path: Path, progress: Progress) -> None:
    """Remove the lock of a dead process; refuse where the holder may live."""
    holder = _read(path)
    if not holder and not path.exists():
        return
    since = f" since {holder['since']}" if "since" in holder else ""
    who = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown machine')}{since}"
    if not _is_dead(holder):
        here = all(holder.get(key) == value for key, value in _identity().items() if key in ("host", "machine"))
        raise StudyFileError(
            str(path),
            f"Another `muscle-bayes {holder.get('what', 'run')}` writes into this folder: {who}",
            "Wait for it, or end it"
            if here
            else f"Wait for it. Whether it still lives cannot be told from here: where it is surely gone, delete {path.name}",
        )
    moved = path.with_name(f".{path.name}-{uuid.uuid4().hex[:12]}")
    try:
        path.rename(moved)
    except FileNotFoundError:
        return
    if _read(moved).get("token") != holder.get("token"):
        # Between reading and renaming somebody else took the folder: that lock goes back.
        os.link(moved, path)
    else:
        progress.warn(f"The lock of {who} is taken over: that process is gone")
    moved.unlink()


def _identity() -> dict[str, Any]:
    """Return what tells this process from every other: machine, its boot, process, when that began."""
    return {
        "host": socket.gethostname(),
        "machine": _first_line("/etc/machine-id"),
        "boot": _first_line("/proc/sys/kernel/random/boot_id"),
        "pid": os.getpid(),
        "began": _began(os.getpid()),
        "token": _TOKEN,
    }


#: Of this process; a forked or spawned child that imports this module has another.
_TOKEN = uuid.uuid4().hex


def _is_dead(holder: dict[str, Any]) -> bool:
    """Tell whether the holder of a lock is surely gone; a process of another machine never is."""
    here = _identity()
    if not holder or any(holder.get(key) != here[key] for key in ("host", "machine")):
        return False
    if holder.get("boot") != here["boot"]:
        return True
    if holder.get("pid") == here["pid"] and holder.get("began") == here["began"]:
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, KeyError, ValueError):
        pass
    # The number may belong to another process by now, or to one that has ended and was not yet collected.
    began = _began(int(holder.get("pid", 0)))
    return began is not None and (began == "ended" or began != holder.get("began"))


def _began(pid: int) -> str | None:
    """Return when a process began, in ticks of the machine's clock; "ended" for a zombie, None where it cannot be told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else fields[19]


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any]:
    """Return a lock's content; nothing where it is not there or cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
