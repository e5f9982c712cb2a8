"""Inference: from a design and priors to a posterior, with diagnostics."""

from muscle_bayes.inference.engines import fit
from muscle_bayes.inference.fit import Fit
from muscle_bayes.inference.maximum import Maximum
from muscle_bayes.inference.storage import load_fit

__all__ = ["Fit", "Maximum", "fit", "load_fit"]
