"""Estimand frames as tables to read: risks, interaction in four cells, subgroups, outcomes side by side, boxes."""

from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.rounding import estimate_text, number_text, probability_text
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.tables import Table, whole_text
from muscle_bayes.report.text import at_words, level_text

_ERRORS = ("estimate", "lower", "upper", "mcse", "lower_mcse", "upper_mcse")


def percent_text(row: Any, most: int = 1) -> str:
    """Return a probability with its interval in percent, each number with the digits of its Monte Carlo error."""
    return estimate_text({key: 100 * row[key] for key in _ERRORS if key in row}, most=most)


def rows_by(frame: pd.DataFrame, *columns: str) -> dict[Any, dict[Any, Any]]:
    """Return the rows of a frame by the values of some columns; of one column by the value itself."""
    rows = frame.to_dict("records")
    return {row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns): row for row in rows}


def risk_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return standardised risks: one row an exposure and population.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `risks`.
    caption : str
        What it holds.

    Returns
    -------
    Table
        Risks under both levels in percent, cases per 1,000, risk ratio and its E-value, share beyond the support.
    """
    rows = []
    for (term, population), own in frame.groupby(["term", "population"], sort=False):
        by = rows_by(own, "estimand", "level")
        low, high = by["risk", "low"], by["risk", "high"]
        ratio, cases = by["risk ratio", ""], by["cases per 1,000", ""]
        outside = float(cases["outside_share"])
        rows.append(
            (
                f"{own['label'].iloc[0]}, {population_words(str(population))}",
                percent_text(low),
                percent_text(high),
                str(cases["text"]),
                estimate_text(ratio),
                f"{ratio['e_value']:.2f} ({ratio['e_value_limit']:.2f})",
                "" if np.isnan(outside) else f"{100 * outside:.0f} %",
                str(term),
            )
        )
    # Everyone first, then the groups, exposure after exposure.
    order = list(dict.fromkeys(row[-1] for row in rows))
    rows.sort(key=lambda row: (order.index(row[-1]), "everyone" not in row[0]))
    contrasts = [str(c) for c in dict.fromkeys(frame.loc[frame["estimand"] == "risk difference", "contrast"])]
    level = level_text(frame["interval"].iloc[0]) if len(frame) else "95 %"
    note = (
        f"Contrasts: {'; '.join(contrasts)}. In brackets {level} intervals, and for the E-value that of the interval's limit "
        "nearer to no association. Beyond the data: persons whom the contrast puts outside the 1st to 99th percentile of the "
        "exposure in their own sex and age band."
    )
    headings = (
        "Exposure, persons", "Risk, lower exposure (%)", "Risk, higher exposure (%)", "Cases per 1,000", "Risk ratio",
        "E-value", "Beyond the data",
    )  # fmt: skip
    return Table(caption, headings, tuple(row[:-1] for row in rows), frozenset(range(1, 7)), note=note)


def population_words(population: str) -> str:
    """Return a population of a frame for a cell: ``everyone (n = 27,518)``, ``female (n = 12,226)``."""
    who, bracket, size = population.partition(" (n = ")
    who = "everyone" if who in ("analysis set", "persons given") else who.split(" = ")[-1]
    return f"{who}{bracket}{size}"


def four_cell_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return the four cells of two exposures with the ratios within the levels of each (Knol & VanderWeele 2012).

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `interaction`.
    caption : str
        What it holds.

    Returns
    -------
    Table
        Rows: levels of the first exposure; columns: levels of the second. Odds ratios where there are no risks.
    """
    kind = "risk ratio" if (frame["estimand"] == "risk").any() else "odds ratio"
    short = "RR" if kind == "risk ratio" else "OR"
    ratios = rows_by(frame[frame["estimand"] == kind], "cell")
    risks = rows_by(frame[frame["estimand"] == "risk"], "cell")
    named = rows_by(frame, "estimand")
    within = {
        "11 / 01": f"{kind} of the first where the second is exposed",
        "11 / 10": f"{kind} of the second where the first is exposed",
    }
    inner = {cell: named[name] for cell, name in within.items()}
    # Cell 01 holds the first exposure's reference and the second's exposed level, cell 10 the other way round.
    first_low, second_high = str(ratios["01"]["contrast"]).split(", ")
    first_high, second_low = str(ratios["10"]["contrast"]).split(", ")

    def cell(name: str) -> str:
        ratio = "1 (reference)" if name == "00" else estimate_text(ratios[name])
        return f"{percent_text(risks[name])} %; {short} {ratio}" if name in risks else f"{short} {ratio}"

    first_name, second_name = first_low.split(" = ")[0], second_low.split(" = ")[0]
    rows = (
        (first_low, cell("00"), cell("01"), estimate_text(ratios["01"])),
        (first_high, cell("10"), cell("11"), estimate_text(inner["11 / 10"])),
        (f"{short} within {second_name}", estimate_text(ratios["10"]), estimate_text(inner["11 / 01"]), ""),
    )
    headings = ("", second_low, second_high, f"{short} within {first_name}")
    risk = "Risk with everyone at both levels (interval); " if len(risks) else ""
    note = (
        f"{risk}{short}: {kind} against the first cell, in the last column and row against the level beside or above."
    )
    return Table(caption, headings, rows, frozenset({3}), phrase=frozenset({1, 2}), note=note)


def measure_table(frame: pd.DataFrame, caption: str, effective: float | None = None) -> Table:
    """Return RERI, AP, S and the ratios that say how far the exposures are from multiplying.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `interaction`.
    caption : str
        What it holds.
    effective : float, optional
        Effective sample size of the draws, for the rounding of probabilities.

    Returns
    -------
    Table
        From standardised risks and from odds ratios beside each other.
    """
    names = {
        "RERI": ("RERI", "RERI (odds ratios)", "0"),
        "AP": ("AP", "AP (odds ratios)", "0"),
        "S": ("S", "S (odds ratios)", "1"),
        "Ratio of ratios": ("ratio of risk ratios", "ratio of odds ratios", "1"),
    }
    by = rows_by(frame, "estimand")
    rows = []
    for words, (risks, odds, null) in names.items():
        cells = [words, null]
        for name in (risks, odds):
            row = by.get(name)
            refused = row is None or not np.isfinite(row["estimate"])
            cells += (
                ["not given", ""] if row is None or refused else [estimate_text(row, most=3), _chance(row, effective)]
            )
        rows.append(tuple(cells))
    notes = dict.fromkeys(str(n).replace("<=", "≤").replace("= 0.000", "< 0.001") for n in frame["note"] if n)
    level = level_text(frame["interval"].iloc[0])
    headings = (
        "Measure", "No interaction", f"From standardised risks ({level} interval)", "P(above)",
        f"From odds ratios ({level} interval)", "P(above)",
    )  # fmt: skip
    note = (
        "RERI: relative excess risk due to interaction; AP: proportion of the joint risk that is due to interaction; S: "
        "synergy index; P(above): posterior probability of a value above that of no interaction. "
        + " ".join(sentence_case(text) + "." for text in notes)
    ).strip()
    return Table(caption, headings, tuple(rows), frozenset(range(1, 6)), note=note)


def _chance(row: Any, effective: float | None) -> str:
    p = float(row["prob_gt_null"])
    mcse = np.sqrt(p * (1 - p) / effective) if effective else float("nan")
    return probability_text(p, mcse=mcse)


def ratio_lines(frame: pd.DataFrame, caption: str, line: str, heading: str) -> Table:
    """Return odds ratios with one row a group (or an outcome) and one column an exposure.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `subgroups` or `symptom_burden`.
    caption : str
        What it holds.
    line : {"group", "outcome"}
        Column that names the rows.
    heading : str
        Heading of the first column.

    Returns
    -------
    Table
        With numbers of persons and events; a ratio of two groups' odds ratios has its own row.
    """
    shown = frame[frame["role"] == "exposure"]
    terms = rows_by(shown.iloc[::-1], "term") if len(shown) else {}
    terms = {term: terms[term] for term in dict.fromkeys(shown["term"])}
    keys = [line] if line == "outcome" else ["by", "group", "estimand"]
    if line == "group" and "pooling" in shown:
        keys.append("pooling")
    rows, notes = [], []
    for key, own in shown.groupby(keys, sort=False):
        first = own.iloc[0]
        if line == "outcome":
            name = str(key[0])
        elif first["by"] == "all":
            name = "Everyone"
        else:
            name = f"{first['by_label']}: {first['group']}"
            name += " (ratio of odds ratios)" if first["estimand"] == "ratio of odds ratios" else ""
            name += ", partially pooled" if first.get("pooling") == "partial" else ""
        held = rows_by(own, "term")
        cells = [
            estimate_text(held[term]) if term in held and np.isfinite(held[term]["estimate"]) else "no estimate"
            for term in terms
        ]
        rows.append((name, whole_text(first["n"]), whole_text(first["events"]), *cells))
        if str(first.get("note") or "") not in ("", "nan"):
            notes.append(f"{name}: {first['note']}.")
    level = level_text(frame["interval"].iloc[0])
    named = []
    for row in terms.values():
        at = str(row["at"]) if str(row.get("at") or "") not in ("", "nan") else ""
        per = str(row["contrast"]).split(" (")[0].split(" at ")[0].split(":")[0]
        where = f" at {at_words(at)}" if at and line == "group" else ""
        named.append(f"{row['label']}, OR {per}{where} ({level} interval)")
    headings = (heading, "Persons", "Events", *named)
    return Table(caption, headings, tuple(rows), frozenset(range(1, len(headings))), note=" ".join(notes))


def distribution_table(frame: pd.DataFrame, caption: str, outcome: str) -> Table:
    """Return medians and quartiles of the exposures with and without the outcome."""
    rows = []
    for (_, by, group), own in frame.groupby(["term", "by", "group"], sort=False):
        unit = own["scale"].iloc[0]
        who = "everyone" if by == "all" else own["by_label"].iloc[0] + ("" if group == "yes" else f": {group}")
        p = own["p_value"].iloc[0]
        cells = [f"{own['label'].iloc[0]}{f' ({unit})' if unit else ''}, {who}"]
        for happened in (False, True):
            row = own[own["outcome"] == happened].iloc[0]
            decimals = 2 if abs(row["estimate"]) < 10 else 1
            values = [number_text(row[key], decimals=decimals) for key in ("estimate", "lower", "upper")]
            known = f"{values[0]} ({values[1]} to {values[2]})" if values[0] else "too few"
            cells += [whole_text(row["n"]), known]
        rows.append((*cells, "" if pd.isna(p) else "< 0.0001" if p < 1e-4 else f"{p:.2g}"))
    headings = (
        "Exposure, persons", f"Without {outcome}", "Median (quartiles)", f"With {outcome}", "Median (quartiles)", "p",
    )  # fmt: skip
    note = "p: Mann-Whitney, with against without, not adjusted. Cells of fewer than 20 persons have no quantiles."
    return Table(caption, headings, tuple(rows), frozenset(range(1, 6)), note=note)
