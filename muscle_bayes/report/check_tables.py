"""Checks of a model as tables to read: predictive checks, calibration, discrimination, cross-validation, sensitivity."""

import numpy as np
import pandas as pd

from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.rounding import estimate_text, number_text
from muscle_bayes.report.estimand_tables import percent_text
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.tables import Table, whole_text
from muscle_bayes.report.text import level_text


def predictive_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return observed and replicated prevalence of each group.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `posterior_predictive`.
    caption : str
        What it holds.

    Returns
    -------
    Table
        Groups whose observed prevalence lies outside the interval say so.
    """
    rows = []
    for row in frame.to_dict("records"):
        name = "Everyone" if row["term"] == "all" else f"{row['label']}: {row['group']}"
        p = float(row["p_value"])
        shown = "< 0.01" if p < 0.01 else "> 0.99" if p > 0.99 else f"{p:.2f}"
        observed = number_text(100 * row["observed"], decimals=1)
        rows.append((name, whole_text(row["n"]), observed, percent_text(row), shown, "yes" if row["outside"] else ""))
    level = level_text(frame["interval"].iloc[0])
    headings = ("Group", "Persons", "Observed (%)", f"Replicated (%, {level} interval)", "p", "Outside")
    note = "p: share of replicated data sets with a higher prevalence than the observed; near 0 or 1 where the model misses."
    return Table(caption, headings, tuple(rows), frozenset(range(1, 5)), note=note)


def prior_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return what the priors allow before the data: prevalence and odds ratios."""
    rows = []
    for row in frame.to_dict("records"):
        label = str(row.get("label") or "")
        probability = row["scale"] == "probability"
        words = sentence_case(str(row["estimand"]).removeprefix("prior "))
        name = label if row["estimand"] == "prior odds ratio" and label not in ("", "nan") else words
        where = str(row["contrast"]) or (f"site {row['site']}" if probability else "")
        rows.append((name, where, f"{percent_text(row)} %" if probability else str(row["text"])))
    level = level_text(frame["interval"].iloc[0])
    headings = ("Quantity", "Contrast", f"Median ({level} of the prior)")
    return Table(caption, headings, tuple(rows), frozenset({2}), phrase=frozenset({1}))


def calibration_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return what each group was given and what it had, with the parts of the Brier score."""
    scores = frame[frame["estimand"] != "calibration curve"]
    wanted = ("mean forecast", "observed prevalence", "Brier score", "miscalibration", "discrimination", "uncertainty")
    rows = []
    for group, own in scores.groupby("group", sort=False):
        by = own.set_index("estimand")["estimate"]
        cells = [
            number_text(100 * by[name], decimals=1) if k < 2 else number_text(by[name], decimals=4)
            for k, name in enumerate(wanted)
            if name in by
        ]
        rows.append(("Everyone" if group == "all" else str(group), whole_text(own["n"].iloc[0]), *cells))
    headings = (
        "Group", "Persons", "Given (%)", "Observed (%)", "Brier score", "Miscalibration", "Discrimination", "Uncertainty",
    )  # fmt: skip
    note = "Brier score = miscalibration − discrimination + uncertainty (CORP: isotonic regression, no bins)."
    return Table(caption, headings, tuple(rows), frozenset(range(1, len(headings))), note=note)


def discrimination_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return c-statistic and Brier score for these persons and for persons like these."""
    rows = []
    for name, own in frame.groupby("estimand", sort=False):
        cells = [estimate_text(row, most=3) for row in own.to_dict("records")]
        words = str(name)
        rows.append((words if words.startswith("c-") else sentence_case(words), *cells[:2], *[""] * (2 - len(cells))))
    note = "Apparent values: of the persons whom the model was fitted to. Scaled: 1 less the score over that of the prevalence."
    headings = ("Measure", "These persons", "Persons like these (Bayesian bootstrap)")
    return Table(caption, headings, tuple(rows), frozenset({1, 2}), note=note)


def loo_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return the expected log predictive density of leaving one person out, of one or more models."""
    named = "model_name" in frame and frame["model_name"].astype(str).str.len().gt(0).any()
    words = {
        "elpd_loo": "Expected log predictive density",
        "p_loo": "Effective number of parameters",
        "elpd_loo difference": "Difference to the best",
    }
    rows = []
    for row in frame.to_dict("records"):
        name = words.get(str(row["estimand"]), str(row["estimand"]))
        bad = "" if pd.isna(row.get("n_bad", np.nan)) else whole_text(row["n_bad"])
        se = "" if pd.isna(row.get("se", np.nan)) else number_text(row["se"], decimals=1)
        cells = (name, estimate_text(row, most=1), se, bad)
        rows.append((f"{row['model_name']}: {name[:1].lower()}{name[1:]}", *cells[1:]) if named else cells)
    headings = (
        "Measure",
        f"Estimate ({level_text(frame['interval'].iloc[0])} interval)",
        "SE",
        "Persons with a high k-hat",
    )
    note = "PSIS-LOO: one more person of the same sites; a high k-hat means that the approximation does not hold for a person."
    return Table(caption, headings, tuple(rows), frozenset({1, 2, 3}), note=note)


def sensitivity_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return for each estimand the span over the specifications, and how many exclude no association."""
    rows = []
    for (estimand, term), own in frame.groupby(["estimand", "term"], sort=False):
        known = own[own["estimate"].notna()]
        if known.empty:
            continue
        null = 1.0 if "ratio" in str(estimand) else 0.0
        decimals = 2 if null else 3
        above, below = int((known["lower"] > null).sum()), int((known["upper"] < null).sum())
        standing = own[own["reference"].astype(bool)]
        names = " × ".join(label_of(part.removesuffix("_z")) for part in str(term).split(" × "))
        low, high = (
            number_text(value, decimals=decimals) for value in (known["estimate"].min(), known["estimate"].max())
        )
        rows.append(
            (
                f"{sentence_case(str(estimand)) if estimand != 'RERI' else 'RERI'}, {_labels(names, own)}",
                f"{len(known):,} of {len(own):,}",
                f"{low} to {high}",
                number_text(known["estimate"].median(), decimals=decimals),
                str(standing["text"].iloc[0]) if len(standing) else "",
                f"{above:,}",
                f"{below:,}",
            )
        )
    headings = (
        "Estimate", "With an estimate", "Lowest to highest", "Middle", "The model as it stands", "Interval above none",
        "Interval below none",
    )  # fmt: skip
    note = (
        "One specification is one refit. They share their persons and nobody drew them at random: how many agree is no "
        "probability."
    )
    return Table(caption, headings, tuple(rows), frozenset(range(1, 7)), note=note)


def _labels(names: str, own: pd.DataFrame) -> str:
    known = {"intermat": "InterMAT", "lmm": "LMM"}
    if "label" in own and own["label"].notna().any():
        return str(own["label"].dropna().iloc[0])
    return " × ".join(known.get(name, name) for name in names.split(" × "))
