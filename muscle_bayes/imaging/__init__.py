"""Images to measurements: readers, fat signal fraction, compartments, adipose volume, the hull backend, segmentation."""

from importlib import import_module
from typing import Any

from muscle_bayes.imaging.fat_fraction import T1Correction
from muscle_bayes.imaging.hull import hull_compartment
from muscle_bayes.imaging.label_schemes import LabelMap, read_label_map
from muscle_bayes.imaging.labels import MUSCLES, SCHEME, Structure, label_id
from muscle_bayes.imaging.quantification import MEASUREMENT_COLUMNS, measure, quantify
from muscle_bayes.imaging.regions import REGIONS
from muscle_bayes.imaging.scan import Scan, read_scan
from muscle_bayes.imaging.schemes import read_scheme

__all__ = [
    "MEASUREMENT_COLUMNS",
    "MUSCLES",
    "REGIONS",
    "SCHEME",
    "LabelMap",
    "Scan",
    "Structure",
    "T1Correction",
    "hull_compartment",
    "label_id",
    "measure",
    "open_backend",
    "quantify",
    "read_label_map",
    "read_scan",
    "read_scheme",
    "segment",
    "validate",
]

#: Names that need more modules than measuring does, and torch when they are called.
_LATER = {"open_backend": "backends", "segment": "backends", "validate": "network.validation"}


def __getattr__(name: str) -> Any:
    """Load a name of the segmentation when it is first used."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
