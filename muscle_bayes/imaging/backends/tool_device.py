"""The device that another tool is told to use; this process may have no torch to ask."""

import os
import re
import shutil

from muscle_bayes.errors import InvalidValueError

_KNOWN = re.compile(r"cpu|mps|(?:cuda|gpu)(?::\d+)?")


def tool_device(wanted: str | None) -> tuple[str, str | None]:
    """Choose a device for a tool.

    Parameters
    ----------
    wanted : str, optional
        "cpu", "cuda", "cuda:1" or "mps". Left out: a card where the driver's nvidia-smi is there, and not hidden by
        CUDA_VISIBLE_DEVICES, else the processor.

    Returns
    -------
    kind : {"cpu", "cuda", "mps"}
    number : str or None
        Of the card, where one was named.

    Raises
    ------
    InvalidValueError
        Where the device is none of these.
    """
    if wanted is None:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
        return ("cuda" if shutil.which("nvidia-smi") and not hidden else "cpu"), None
    if not _KNOWN.fullmatch(wanted):
        raise InvalidValueError("device", f"{wanted!r} is not known", "Choose cpu, cuda, cuda:N or mps")
    kind, _, number = wanted.partition(":")
    return kind.replace("gpu", "cuda"), number or None
