"""Sections of one fit beyond its odds ratios, and of fits side by side: a sentence with the numbers, the figure, the table."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from muscle_bayes.report import check_tables, estimand_tables, text
from muscle_bayes.report.figures import drawing
from muscle_bayes.report.page import Fold, Numbering, Paragraph, Section
from muscle_bayes.report.quantities import effective_draws
from muscle_bayes.report.reading import reading_table
from muscle_bayes.report.results import FitResults

_ADDITIVE = (
    "Two questions are told apart here. Do the risks of both exposures together exceed what each alone would add (additive "
    "interaction: RERI, AP, S)? And does one exposure multiply the risk or the odds by more where the other is there "
    "(multiplicative interaction)? The answers may differ, and the first matters more for who would gain from a change."
)
_SUBGROUPS = (
    "Each subgroup has a fit of its own with the Z-scores of everyone; where that can be done, an estimate stands beside it that "
    "is partially pooled: odds ratios vary over the groups of one model, and those of small groups are drawn towards the others. "
    "Subgroups differ by chance as well: compare their intervals with everyone's, and read an odd one among many as what many "
    "comparisons bring."
)


def estimand_sections(item: FitResults, key: str, number: Numbering) -> list[Section]:
    """Return the sections of risks, interaction, subgroups and boxes, where their tables are there.

    Parameters
    ----------
    item : FitResults
        A fit that passed its gate.
    key : str
        Id of the fit's section.
    number : Numbering
        Of tables and figures.

    Returns
    -------
    list of Section
        In the order of the page.
    """
    outcome = text.in_sentence(item.fit.model.outcome_label)
    made = []
    if "risks" in item.tables:
        section = Section(f"{key}-risks", "Standardised risks")
        section.blocks.extend(Paragraph(words) for words in risk_sentences(item.tables["risks"], outcome))
        caption = f"Risks of {outcome} with everyone at a lower and at a higher exposure."
        fill(section, item, "risks", caption, number)
        made.append(section)
    if "interaction" in item.tables:
        section = Section(f"{key}-interaction", "Interaction", [Paragraph(_ADDITIVE)])
        sentence = additive_sentence(item)
        if sentence:
            section.blocks.append(Paragraph(sentence))
        caption = f"Risks of {outcome} in the four cells of both exposures, and measures of their interaction."
        fill(section, item, "interaction", caption, number)
        section.blocks.append(number.table(reading_table("interaction_measures", item)))
        made.append(section)
    return made


def stratified_sections(item: FitResults, key: str, number: Numbering) -> list[Section]:
    """Return the sections of subgroups and of the exposures' distributions."""
    outcome, made = text.in_sentence(item.fit.model.outcome_label), []
    if "subgroups" in item.tables:
        section = Section(f"{key}-subgroups", "Subgroups", [Paragraph(_SUBGROUPS)])
        fill(section, item, "subgroups", f"Odds ratios of {outcome} by subgroup.", number)
        made.append(section)
    if "distributions" in item.tables:
        section = Section(f"{key}-distributions", "Exposures with and without the outcome")
        fill(section, item, "distributions", f"Exposures of persons with and without {outcome}.", number)
        made.append(section)
    return made


def sensitivity_section(item: FitResults, key: str, number: Numbering) -> Section | None:
    """Return what other specifications say, where the study asked for them."""
    if "sensitivity" not in item.tables:
        return None
    frame = item.tables["sensitivity"]
    advice = "The figure shows every estimate with the choices that made it; the table says how far they lie apart."
    words = f"{sensitivity_words(frame)} {advice}"
    section = Section(f"{key}-sensitivity", "Sensitivity", [Paragraph(words)])
    fill(section, item, "sensitivity", "Estimates under every specification, in order.", number)
    return section


def sensitivity_words(frame: pd.DataFrame) -> str:
    """Say under how many specifications the model was refitted, and how many were not certified."""
    count = int(frame.attrs.get("specifications", frame["specification"].nunique()))
    failed = int(frame.attrs.get("not_certified", 0))
    tail = f", of which {failed:,} were not certified and have no estimate." if failed else ", all of them certified."
    return f"The model was refitted under {count:,} specifications{tail}"


def across_section(
    tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Path], number: Numbering
) -> Section | None:
    """Return what several fits say together: symptom burden, and which model predicts best."""
    if not tables:
        return None
    section = Section("together", "Fits side by side")
    if "symptom_burden" in tables:
        frame = tables["symptom_burden"]
        table = estimand_tables.ratio_lines(
            frame, "Odds ratios of the same exposures for several outcomes.", "outcome", "Outcome"
        )
        if "symptom_burden" in figures:
            alt = "; ".join(", ".join(row) for row in table.rows)
            section.blocks.append(drawing(figures["symptom_burden"], number, "Symptom burden.", f"Forest plot. {alt}."))
        section.blocks.append(number.table(table))
        if not frame.attrs.get("comparable", True):
            section.blocks.append(
                Paragraph("Z-scores differ between the fits: per 2 Z is not the same contrast in each of them.")
            )
    if "model_comparison" in tables:
        words = (
            "Models of the same outcome and persons are compared by how well each predicts a person who was left out. "
            "A difference of less than about two standard errors is no reason to prefer one."
        )
        section.blocks.append(Paragraph(words))
        table = check_tables.loo_table(tables["model_comparison"], "Predictive comparison of models.")
        section.blocks.append(number.table(table))
    return section


def fill(
    section: Section, item: FitResults, name: str, caption: str, number: Numbering, *, folded: bool = False
) -> None:
    """Add figure and table of an estimand to a section, with the table's rows as the figure in words."""
    table = reading_table(name, item)
    if name in item.figures:
        words = "; ".join(" ".join(cell for cell in row if cell) for row in table.rows[:12])
        section.blocks.append(drawing(item.figures[name], number, caption, f"{caption} {words}."))
    if folded:
        section.blocks.append(Fold("The same as a table", (number.folded(table),)))
    else:
        section.blocks.append(number.table(table))


def risk_sentences(frame: pd.DataFrame, outcome: str) -> list[str]:
    """Say for each exposure what the risk of everyone would be under either level, if the model's reading were causal.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `risks`.
    outcome : str
        As it is called in a sentence.

    Returns
    -------
    list of str
        One sentence an exposure, and one about the data's support.
    """
    said = []
    for _, own in frame.groupby("term", sort=False):
        everyone = own[own["population"] == list(dict.fromkeys(own["population"]))[-1]]
        by = estimand_tables.rows_by(everyone, "estimand", "level")
        low, high, cases = by["risk", "low"], by["risk", "high"], by["cases per 1,000", ""]
        said.append(
            f"Standardised to the persons of the analysis set, the model's risk of {outcome} was "
            f"{estimand_tables.percent_text(low)} % with {_level(low)} and {estimand_tables.percent_text(high)} % with "
            f"{_level(high)}: a difference of {cases['text']} cases per 1,000 persons."
        )
    outside = frame["outside_share"].max()
    if pd.notna(outside) and outside > 0.05:
        said.append(
            f"These contrasts put up to {100 * outside:.0f} % of persons outside the range of the exposure among their own sex "
            "and age band; there the risks are the model's and not the data's."
        )
    return said


def _level(row: text.Row) -> str:
    """Return ``InterMAT 1 Z below each person's own value``; fixed levels as they are stated."""
    label, _, level = str(row["contrast"]).partition(": own value ")
    if not level:
        return f"everyone at {label}"
    return f"{label} {level[2:]} {'below' if level[0] in '-\N{MINUS SIGN}' else 'above'} each person's own value"


def additive_sentence(item: FitResults) -> str:
    """Say RERI with its interval and probability; empty where it was not estimated."""
    frame = item.tables["interaction"]
    suffix = "" if (frame["estimand"] == "RERI").any() else " (odds ratios)"
    rows = frame[frame["estimand"] == f"RERI{suffix}"]
    if rows.empty or pd.isna(rows["estimate"].iloc[0]):
        return ""
    row = rows.to_dict("records")[0]
    if row["lower"] > 0:
        finding = "The two exposures together carried more risk than each alone would add"
    elif row["upper"] < 0:
        finding = "The two exposures together carried less risk than each alone would add"
    else:
        finding = "The data do not tell whether the two exposures together carry more risk than each alone would add"
    centre, limits = text.split_estimate(row, most=3)
    chance = text.chance_words(row["prob_gt_null"], effective_draws(item.fit))
    level, name = text.level_text(row["interval"]), text.interval_name(item.fit.method)
    tail = f"; posterior probability of a RERI above 0: {chance}" if chance else ""
    return f"{finding}: RERI {centre} ({level} {name} {limits}) for {row['contrast']}{tail}."
