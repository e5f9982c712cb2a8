"""Specification: model files, formulas, priors, standardisation and design matrices."""

from muscle_bayes.specification.model import (
    ExposureTerm,
    Model,
    Priors,
    Standardise,
    list_models,
    load_model,
    read_model,
)

__all__ = ["ExposureTerm", "Model", "Priors", "Standardise", "list_models", "load_model", "read_model"]
