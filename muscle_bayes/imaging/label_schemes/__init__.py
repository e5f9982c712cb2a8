"""Label maps of other tools: which id means which muscle, published by each tool, and how its files are told apart."""

from muscle_bayes.imaging.label_schemes.published import PUBLISHED, PublishedScheme
from muscle_bayes.imaging.label_schemes.reading import LabelMap, read_label_map
from muscle_bayes.imaging.label_schemes.recognition import OWN, Scheme, is_scheme_name

__all__ = ["OWN", "PUBLISHED", "LabelMap", "PublishedScheme", "Scheme", "is_scheme_name", "read_label_map"]
