"""Cohort: participants and measurements become one validated table with one row a participant."""

from muscle_bayes.cohort.cohort import Cohort
from muscle_bayes.cohort.dictionary import VARIABLES, Variable
from muscle_bayes.cohort.exposure import Exposure
from muscle_bayes.cohort.names import missing_column
from muscle_bayes.cohort.read import read_cohort

__all__ = ["VARIABLES", "Cohort", "Exposure", "Variable", "missing_column", "read_cohort"]
