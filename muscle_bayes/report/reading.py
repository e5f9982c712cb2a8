"""Which table a reader gets of which estimand, one name for the page and for the files beside it."""

from collections.abc import Callable

from muscle_bayes.report import check_tables, estimand_tables, external_tables, quantities, tables, text
from muscle_bayes.report.quantities import effective_draws
from muscle_bayes.report.results import FitResults
from muscle_bayes.report.tables import Table

_READ: dict[str, tuple[str, Callable[[FitResults, str], Table]]] = {
    "odds_ratios": ("Odds ratios of {outcome}.", lambda item, caption: _odds_ratios(item, caption)),
    "risks": (
        "Standardised risks of {outcome}.",
        lambda item, caption: estimand_tables.risk_table(item.tables["risks"], caption),
    ),
    "interaction": (
        "Both exposures in four cells: risks of {outcome} and their ratios.",
        lambda item, caption: estimand_tables.four_cell_table(item.tables["interaction"], caption),
    ),
    "interaction_measures": (
        "Measures of interaction.",
        lambda item, caption: estimand_tables.measure_table(
            item.tables["interaction"], caption, effective_draws(item.fit)
        ),
    ),
    "subgroups": (
        "Odds ratios of {outcome} by subgroup.",
        lambda item, caption: estimand_tables.ratio_lines(item.tables["subgroups"], caption, "group", "Group"),
    ),
    "distributions": (
        "Exposures of persons with and without {outcome}.",
        lambda item, caption: estimand_tables.distribution_table(
            item.tables["distributions"], caption, text.in_sentence(item.fit.model.outcome_label)
        ),
    ),
    "prior_predictive": (
        "What the priors allow.",
        lambda item, caption: check_tables.prior_table(item.tables["prior_predictive"], caption),
    ),
    "posterior_predictive": (
        "Observed and replicated prevalence of {outcome}.",
        lambda item, caption: check_tables.predictive_table(item.tables["posterior_predictive"], caption),
    ),
    "calibration": (
        "Calibration of the probability of {outcome}.",
        lambda item, caption: check_tables.calibration_table(item.tables["calibration"], caption),
    ),
    "residuals": (
        "Binned residuals: what the model misses of the form of each predictor.",
        lambda item, caption: external_tables.residual_table(item.tables["residuals"], caption),
    ),
    "leave_one_site_out": (
        "Each site by a refit without it.",
        lambda item, caption: external_tables.left_out_table(item.tables["leave_one_site_out"], caption),
    ),
    "optimism": (
        "Apparent and optimism-corrected performance.",
        lambda item, caption: external_tables.optimism_table(item.tables["optimism"], caption),
    ),
    "proportionality": (
        "Odds ratios of {outcome} at each cut of its scale.",
        lambda item, caption: external_tables.cuts_table(item.tables["proportionality"], caption),
    ),
    "discrimination": (
        "Discrimination and Brier score.",
        lambda item, caption: check_tables.discrimination_table(item.tables["discrimination"], caption),
    ),
    "loo": (
        "Leave-one-out cross-validation.",
        lambda item, caption: check_tables.loo_table(item.tables["loo"], caption),
    ),
    "sensitivity": (
        "How far the specifications lie apart.",
        lambda item, caption: check_tables.sensitivity_table(item.tables["sensitivity"], caption),
    ),
    "by_outcome": ("The analysis set by outcome ({outcome}).", lambda item, caption: _by_outcome(item, caption)),
}


def reading_table(name: str, item: FitResults) -> Table:
    """Return the table that a reader gets of an estimand.

    Parameters
    ----------
    name : str
        Of `readable`.
    item : FitResults
        Whose `tables` hold the frame.

    Returns
    -------
    Table
        Texts, rounded by their Monte Carlo errors.
    """
    caption, make = _READ[name]
    return make(item, caption.format(outcome=text.in_sentence(item.fit.model.outcome_label)))


def readable(item: FitResults) -> list[str]:
    """Return the names of the reading tables that a fit has; none where it failed its gate."""
    if not item.fit.diagnostics.passed:
        return []
    frames = {*item.tables, *(["interaction_measures"] if "interaction" in item.tables else [])}
    frames |= {"by_outcome"} if item.fit.cohort is not None else set()
    return [name for name in _READ if name in frames]


def _odds_ratios(item: FitResults, caption: str) -> Table:
    """Return exposures and adjustment terms in one table, told apart by a column."""
    frame = item.tables["odds_ratios"]
    made = tables.odds_ratio_table(frame, caption, method=item.fit.method, effective_draws=effective_draws(item.fit))
    roles = ["exposure" if role == "exposure" else "adjustment, not an effect" for role in frame["role"]]
    rows = tuple((*row, role) for row, role in zip(made.rows, roles, strict=True))
    return Table(caption, (*made.headings, "Role"), rows, made.numeric, phrase=made.phrase, note=made.note)


def _by_outcome(item: FitResults, caption: str) -> Table:
    event = quantities.outcome_heading(item.fit)
    return tables.by_outcome_table(quantities.by_outcome(item.fit), caption, event)
