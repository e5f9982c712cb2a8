"""Quality of scans: faults found by plain rules, repaired only where asked, shown to reviewers, and decided by them."""

from muscle_bayes.imaging.quality.assessment import assess, assess_arrays, repair_arrays, repair_swap
from muscle_bayes.imaging.quality.findings import KINDS, Finding, Quality
from muscle_bayes.imaging.quality.reference import Reference, fit_reference, read_reference

__all__ = [
    "KINDS",
    "Finding",
    "Quality",
    "Reference",
    "assess",
    "assess_arrays",
    "fit_reference",
    "read_reference",
    "repair_arrays",
    "repair_swap",
]
