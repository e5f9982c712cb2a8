"""A study from its file to its report: `run` does all stages and resumes, `demonstrate` shows them on simulated data."""

from importlib import import_module
from typing import Any

_HOME = {
    "Study": "settings",
    "load_study": "settings",
    "Progress": "progress",
    "StudyRun": "running",
    "run": "running",
    "measure": "scanning",
    "merge_shards": "sharding",
    "withdraw": "withdrawing",
    "start_study": "starting",
    "demonstrate": "demonstration",
    "train": "segmentation_training",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
