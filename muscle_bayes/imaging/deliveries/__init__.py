"""Deliveries of scans: NIfTI by pattern, BIDS-like trees, NAKO, UK Biobank field 20201, DICOM; each to one scan a visit."""

from muscle_bayes.imaging.deliveries.delivery import FORMATS, DeliveredScan, Deliveries, Delivery
from muscle_bayes.imaging.deliveries.finding import find_deliveries, load_delivery
from muscle_bayes.imaging.deliveries.sequences import audit_sequences

__all__ = ["FORMATS", "DeliveredScan", "Deliveries", "Delivery", "audit_sequences", "find_deliveries", "load_delivery"]
