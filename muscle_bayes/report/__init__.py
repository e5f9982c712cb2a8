"""The report: one self-contained HTML page of a study."""

from importlib import import_module
from typing import Any

_HOME = {
    "FitResults": "results",
    "Phantoms": "results",
    "StudyResults": "results",
    "write_qc_page": "qc_page",
    "write_reading_tables": "export",
    "write_report": "html",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
