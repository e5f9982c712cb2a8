"""The prior set `published`: odds ratios of the 2025 paper, widened, for cohorts that did not produce them."""

import tomllib
from functools import cache
from math import exp, log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muscle_bayes.errors import PriorError
from muscle_bayes.specification.priors import Z_975, OddsRatioPrior

if TYPE_CHECKING:
    from muscle_bayes.specification.design import Design
    from muscle_bayes.specification.model import Model


@cache
def published_source() -> dict[str, Any]:
    """Return the published odds ratios and where they come from, as `published.toml` holds them."""
    return tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))


def published_priors(model: "Model") -> dict[str, OddsRatioPrior]:
    """Return the published prior of each exposure of a model that has one.

    The prior is normal on the log odds ratio: around the published estimate, with the standard error that its interval
    implies, times `widen`.

    Parameters
    ----------
    model : Model
        Its event, exposures and adjustment decide what applies.

    Returns
    -------
    dict of str to OddsRatioPrior
        Exposure -> prior; at least one.

    Raises
    ------
    PriorError
        Where no exposure has a published odds ratio for the model's outcome, or the model does not adjust for what the
        published odds ratios are adjusted for: they are then odds ratios of something else.
    """
    source = published_source()
    where = f"priors 'published' of model {model.name!r}"
    event = str(model.parsed_event)
    known = source["odds_ratios"].get(event, {})
    columns = {
        name: model.standardise[name].source
        for name in model.exposures
        if name in model.standardise and model.standardise[name].over == "all" and (name,) in model.parsed.terms
    }
    found = {name: known[column] for name, column in columns.items() if column in known}
    if not found:
        raise PriorError(
            where,
            f"{source['study']} has no odds ratio per Z of the whole sample for {event} and "
            f"{', '.join(model.exposures) or 'a model without exposures'}",
            f"Take 'weak' or 'sceptical'; published are {'; '.join(source['odds_ratios'])}, each for "
            f"{' and '.join(next(iter(source['odds_ratios'].values())))}",
        )
    names = model.parsed.names
    raw = {model.standardise[name].source if name in model.standardise else name for name in names}
    missing = [column for column in (*source["adjusted_for"], *known) if column not in raw]
    if missing:
        raise PriorError(
            where,
            f"the published odds ratios are adjusted for {', '.join(missing)}, this model is not",
            "Take 'weak' or 'sceptical', or add these to the formula",
        )
    return {name: _prior(row, source) for name, row in found.items()}


def stated_by_term(model: "Model") -> "Model":
    """Return a model with its published priors written out, for refits of parts of data that were already let in.

    Parameters
    ----------
    model : Model
        Any; one with another prior set comes back as it is.

    Returns
    -------
    Model
        With the same prior of every term, now as terms with a prior of their own, which no longer depend on what else is in
        the formula.
    """
    if model.priors.set != "published":
        return model
    terms = {**published_priors(model), **model.priors.terms}
    return model.model_copy(update={"priors": model.priors.model_copy(update={"set": "weak", "terms": terms})})


def _prior(row: dict[str, float], source: dict[str, Any]) -> OddsRatioPrior:
    half = source["widen"] * (log(row["upper"]) - log(row["lower"])) / 2
    low, high = log(row["or"]) - half, log(row["or"]) + half
    return OddsRatioPrior(
        or_95=(exp(low), exp(high)),
        per=row["per"],
        reason=f"set 'published': odds ratio {row['or']:g} ({row['lower']:g} to {row['upper']:g}) per {row['per']:g} Z in "
        f"{source['study']}, standard error ({half / Z_975 / source['widen']:.3f}) times {source['widen']:g}",
    )


def data_used_twice(design: "Design", *, overlaps_nako: bool = False) -> str:
    """Say why the published odds ratios come from the very data of a cohort.

    Parameters
    ----------
    design : Design
        The analysis set.
    overlaps_nako : bool
        Whether the user says that participants are in the published study.

    Returns
    -------
    str
        The reason, or an empty text where none is known.
    """
    source = published_source()
    if design.simulated:
        return "the cohort is simulated from the published figures"
    if overlaps_nako:
        return f"participants are also in {source['study']}"
    here = {str(level).strip().casefold() for level in design.recipe.site_levels}
    shared = [site for site in source["sites"] if site.casefold() in here]
    # One city may hold another study's scanner; two of the five are no chance.
    if len(shared) >= 2:
        return f"its sites {', '.join(shared)} are those of {source['study']}"
    return ""


def require_new_data(
    model: "Model", design: "Design", *, overlaps_nako: bool = False, force_published: bool = False
) -> str:
    """Refuse published priors for a cohort that they come from.

    Parameters
    ----------
    model : Model
        With its prior set.
    design : Design
        The analysis set.
    overlaps_nako : bool
        Whether the user says that participants are in the published study.
    force_published : bool
        Go on all the same.

    Returns
    -------
    str
        Empty, or, where forced, what the reader of every result has to know.

    Raises
    ------
    PriorError
        Where the data would be used twice and this is not forced.
    """
    reason = data_used_twice(design, overlaps_nako=overlaps_nako) if model.priors.set == "published" else ""
    if not reason:
        return ""
    if not force_published:
        raise PriorError(
            f"priors 'published' of model {model.name!r}",
            f"{reason}: the same data would be used twice, and intervals would be too narrow",
            "Take 'weak' or 'sceptical'; force_published=True goes on, and stays written with the fit",
        )
    return f"data used twice: the priors are the published odds ratios, and {reason}; intervals are too narrow"
