"""Which estimands an ordered outcome has: odds ratios of a higher category, and probabilities of events that it is cut into."""

from typing import Any

from muscle_bayes.errors import EstimandError


def is_ordered(fit: Any) -> bool:
    """Say whether a fit is of an ordered outcome (family ``cumulative``)."""
    return bool(getattr(fit, "categories", None))


def require_event(fit: Any, what: str = "a probability") -> None:
    """Refuse an ordered outcome where the probability of an event is needed.

    Parameters
    ----------
    fit : Fit
        Of any family.
    what : str
        What an error names.

    Raises
    ------
    EstimandError
        Where the outcome is ordered.
    """
    if is_ordered(fit):
        labels = list(fit.categories)
        raise EstimandError(
            what,
            f"the fit is of an ordered outcome ({labels[0]} to {labels[-1]}), which does not happen or not",
            f"Say from which category on: fit.at_least({labels[len(labels) // 2]!r}) is this fit of that event",
        )


def odds_ratio_of(fit: Any) -> str:
    """Return what an odds ratio of a fit is of, in words: the outcome, or a higher category of it."""
    said = fit.provenance()
    if not is_ordered(fit):
        return str(said["outcome"])
    labels = list(fit.categories)
    return f"a higher category of {said['outcome']}, wherever the scale from {labels[0]} to {labels[-1]} is cut"
