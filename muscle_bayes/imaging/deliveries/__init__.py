"""Deliveries of scans: NIfTI by pattern, BIDS-like trees, NAKO, UK Biobank field 20201, DICOM; each to one scan a visit."""

from muscle_bayes.imaging.deliveries.delivery import FORMATS, DeliveredScan, Deliveries, Delivery
from muscle_bayes.imaging.deliveries.finding import find_deliveries, load_delivery

__all__ = ["FORMATS", "DeliveredScan", "Deliveries", "Delivery", "find_deliveries", "load_delivery"]
