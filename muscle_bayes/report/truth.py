"""What a simulation put in, beside what its sample gave: a reader of simulated data can see how an estimate errs."""

from collections.abc import Mapping

import numpy as np

from muscle_bayes.report.page import Box
from muscle_bayes.report.results import FitResults


def truth_box(item: FitResults, truth: Mapping[str, Mapping[str, float]] | None) -> Box | None:
    """Say for each exposure which odds ratio the simulation put in, and where the estimate lies.

    Parameters
    ----------
    item : FitResults
        A fit to simulated data.
    truth : mapping of str to (mapping of str to float), optional
        Event -> log odds ratio of each column per unit, as `simulate_cohort` leaves it in ``attrs["truth"]``.

    Returns
    -------
    Box or None
        None where the truth of this fit's event is not known, or there is no table of odds ratios.
    """
    event = item.fit.model.parsed_event
    name = event.column if str(event) == f"{event.column} == 1" else str(event)
    frame = item.tables.get("odds_ratios")
    if truth is None or name not in truth or frame is None:
        return None
    labels = [column.label for column in item.fit.recipe.columns]
    draws = item.fit.coefficients()[:, 1:]
    unit = "standard errors" if item.fit.method == "ml" else "posterior standard deviations"
    said = []
    for row in frame[frame["role"] == "exposure"].to_dict("records"):
        term = str(row["term"])
        if term not in truth[name] or term not in item.model.exposures:
            continue
        contrast = item.model.exposures[term].contrast or 1.0
        known = truth[name][term]
        drawn = draws[:, labels.index(term)]
        off = abs(float(np.mean(drawn)) - known) / float(np.std(drawn, ddof=1))
        inside = row["lower"] <= np.exp(contrast * known) <= row["upper"]
        sentence = (
            f"{row['label']}: the simulation put in an odds ratio of {np.exp(contrast * known):.2f} per {contrast:g} Z, "
            f"this sample gave {row['text']}"
        )
        if inside:
            said.append(f"{sentence}; the interval holds it.")
        else:
            said.append(
                f"{sentence}; the interval misses it, {off:.1f} {unit} away. Of 95 % intervals one in twenty misses."
            )
    return Box("note", "What the simulation put in", tuple(said)) if said else None
