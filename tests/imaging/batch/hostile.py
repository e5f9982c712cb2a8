"""Tasks that do to their worker what bad scans do; imported by the workers."""

import os
from pathlib import Path


def work(task: tuple[str, Path]) -> str:
    """Return the name, raise, or end the process: always, or once."""
    name, folder = task
    if name == "raises":
        raise ValueError("a bad scan")
    if name == "kills":
        os._exit(9)
    if name == "kills once":
        mark = folder / "killed"
        if not mark.exists():
            mark.touch()
            os._exit(9)
    (folder / f"{name}.{os.getpid()}").touch()
    return name
