"""The figures of a demonstration's phantoms, as the stage that makes them calls them."""

# The report draws the same figure again at the width of a phone, so it is the report that knows how.
from muscle_bayes.report.agreement import agreement_figure

__all__ = ["agreement_figure"]
