"""torch when it is needed, one clear message when it is not there, and the device that computes."""

import os
import subprocess
from typing import TYPE_CHECKING, Any

from muscle_bayes.errors import InvalidValueError, MissingDependencyError

if TYPE_CHECKING:
    import torch


def require_torch(step: str = "segmentation") -> Any:
    """Return the torch module.

    Parameters
    ----------
    step : str
        What needs it, for the message.

    Returns
    -------
    module

    Raises
    ------
    MissingDependencyError
        Where torch or MONAI is not installed.
    """
    try:
        import monai  # noqa: F401
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            step,
            f"{error.name or 'torch'} is not installed; the statistics work without it, a network does not",
            "Install the extra: pip install 'muscle-bayes[segmentation]'",
        ) from error
    return torch


def choose_device(wanted: str | None = None) -> "torch.device":
    """Return the device to compute on.

    Parameters
    ----------
    wanted : str, optional
        "cpu", "cuda", "cuda:1" or "mps"; the fastest that is there where left out.

    Returns
    -------
    torch.device

    Raises
    ------
    InvalidValueError
        Where the device asked for is not there.
    """
    torch = require_torch()
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    if wanted is None:
        return torch.device(there[0])
    try:
        device = torch.device(wanted)
        number = device.index or 0
        usable = device.type in there and (device.type != "cuda" or number < torch.cuda.device_count())
    except RuntimeError:
        usable = False
    if not usable:
        raise InvalidValueError(
            "device", f"{wanted!r} is not there", f"Choose one of {', '.join(there)}, or leave it out"
        )
    return device


def device_words(device: "torch.device") -> str:
    """Return the device in words, for logs and sidecars."""
    torch = require_torch()
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def missed_card() -> str:
    """Say that there is a card which this installation of torch cannot use: a scan then takes minutes instead of seconds.

    Returns
    -------
    str
        One sentence; empty where torch uses the card, where there is none, or where CUDA_VISIBLE_DEVICES hides it.
    """
    torch = require_torch()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    if hidden or torch.cuda.is_available():
        return ""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    if "GPU " not in listed:
        return ""
    return f"nvidia-smi lists a card that torch {torch.__version__} cannot use: check the driver, or install a torch built for it"
