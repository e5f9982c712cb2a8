"""Checks on what a model did not see, and of its form, as tables: left-out sites, optimism, residuals, cuts of a scale."""

import numpy as np
import pandas as pd

from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.rounding import estimate_text, number_text, probability_text
from muscle_bayes.report.estimand_tables import percent_text, rows_by
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.tables import Table, whole_text
from muscle_bayes.report.text import level_text


def left_out_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return what refits without each site say of it: calibration in the large, slope, c-statistic, prevalence.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `leave_one_site_out`.
    caption : str
        What it holds.

    Returns
    -------
    Table
        All sites together first; a site without an estimate says why under the table.
    """
    rows, notes = [], []
    for group, own in frame.groupby("group", sort=False):
        by = rows_by(own, "estimand")
        wanted = ("calibration intercept", "calibration slope", "c-statistic")
        cells = [estimate_text(by[name]) if name in by and np.isfinite(by[name]["estimate"]) else "" for name in wanted]
        observed = by.get("observed prevalence")
        replicated = by.get("replicated prevalence")
        cells.append("" if observed is None else number_text(100 * observed["estimate"], decimals=1))
        cells.append("" if replicated is None else percent_text(replicated))
        cells.append("" if replicated is None else probability_text(replicated["p_value"]))
        rows.append(
            ("All sites, each left out" if group == "all" else str(group), whole_text(own["n"].iloc[0]), *cells)
        )
        notes += [f"{group}: {note}." for note in dict.fromkeys(own.get("note", [])) if note and not pd.isna(note)]
    level = level_text(frame["interval"].iloc[0])
    headings = (
        "Site left out", "Persons", "Calibration intercept", "Calibration slope", "c-statistic", "Observed (%)",
        "Expected of a new site (%)", "p",
    )  # fmt: skip
    note = (
        f"In brackets {level} intervals. Intercept (slope held at 1): above 0 the probabilities are too low; slope below 1: too "
        "extreme. Expected: prevalence that the refit replicates for a new site with these persons. " + " ".join(notes)
    ).strip()
    return Table(caption, headings, tuple(rows), frozenset(range(1, 8)), note=note)


def optimism_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return each measure as it looks on the persons of the fit, its optimism, and corrected for it."""
    rows = []
    for name, own in frame.groupby("estimand", sort=False):
        by = rows_by(own, "version")
        words = str(name)
        rows.append(
            (
                words if words.startswith("c-") else sentence_case(words),
                *(estimate_text(by[version], most=3) for version in ("apparent", "optimism", "corrected")),
            )
        )
    how = {"bootstrap": "bootstrap samples", "kfold": "rounds of cross-validation"}
    attrs = frame.attrs
    runs = f"{attrs['runs']:,} {how.get(attrs.get('resampling', ''), 'runs')}" if "runs" in attrs else "refits"
    note = f"From {runs}; for other persons of the same sites."
    return Table(
        caption, ("Measure", "Apparent", "Optimism", "Corrected"), tuple(rows), frozenset({1, 2, 3}), note=note
    )


def residual_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return for each predictor how far the bins lie from what the model replicates."""
    rows = []
    for row in frame[frame["estimand"] == "lack of fit"].to_dict("records"):
        name = str(row.get("label") or "") or label_of(str(row["term"]))
        group = "" if row.get("group") in (None, "all") else f", {row['group']}"
        bins = frame[
            (frame["estimand"] == "residual") & (frame["term"] == row["term"]) & (frame["group"] == row["group"])
        ]
        rows.append(
            (
                f"{name}{group}",
                whole_text(len(bins)),
                whole_text(int(bins["outside"].astype(bool).sum())),
                number_text(row["estimate"], decimals=1),
                number_text(row["expected"], decimals=1),
                probability_text(row["p_value"]),
            )
        )
    headings = ("Predictor", "Bins", "Outside", "Sum of squares", "Expected", "p")
    note = "Sum of squared standardised residuals of the bins; p: share of replicated data where it is as large."
    return Table(caption, headings, tuple(rows), frozenset(range(1, 6)), note=note)


def cuts_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return the common odds ratio of an ordered outcome beside those of each cut of its scale."""
    terms = rows_by(frame[frame["cut"] == ""], "term")
    rows = []
    for cut, own in frame.groupby("cut", sort=False):
        by = rows_by(own, "term")
        known = [term in by and np.isfinite(by[term]["estimate"]) for term in terms]
        cells = [
            estimate_text(by[term]) if is_known else "no estimate" for term, is_known in zip(terms, known, strict=True)
        ]
        events = own["events"].iloc[0]
        rows.append(
            (f"{cut!s} or more" if cut else "All cuts together", "" if pd.isna(events) else whole_text(events), *cells)
        )
    level = level_text(frame["interval"].iloc[0])
    named = [f"{row['label']}, OR ({level} interval)" for row in terms.values()]
    headings = ("Cut of the scale", "Persons", *named)
    note = " ".join(str(sentence) for sentence in frame.attrs.get("findings", []))
    return Table(caption, headings, tuple(rows), frozenset(range(1, len(headings))), note=note)
