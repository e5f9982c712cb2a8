"""Specification: model files, formulas, priors, standardisation and design matrices."""

from muscle_bayes.specification.catalogue import list_models, load_model, read_model
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.sections import ExposureTerm, Priors, Standardise

__all__ = ["ExposureTerm", "Model", "Priors", "Standardise", "list_models", "load_model", "read_model"]
