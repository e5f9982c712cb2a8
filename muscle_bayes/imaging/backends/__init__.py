"""What labels a scan: this project's networks, a trained nnU-Net or TotalSegmentator, behind one interface."""

from muscle_bayes.imaging.backends.opening import BACKENDS, Backend, open_backend
from muscle_bayes.imaging.backends.segmenting import save_labels, segment

__all__ = ["BACKENDS", "Backend", "open_backend", "save_labels", "segment"]
