"""Reporting checklists on the page: what the study answers of BARG and STROBE, and what is left to the authors."""

from collections.abc import Mapping

import pandas as pd

from muscle_bayes.report import check_section, estimand_sections, text
from muscle_bayes.report.page import Bullets, Fold, Numbering, Paragraph, Section
from muscle_bayes.report.results import FitResults
from muscle_bayes.report.tables import Table

_ORDER = ("to be written by the authors", "filled in in part", "filled in", "not applicable")


def study_facts(item: FitResults) -> dict[str, str]:
    """Return what a study has made of a fit, in sentences, for `Fit.report_checklist`.

    Parameters
    ----------
    item : FitResults
        With its tables.

    Returns
    -------
    dict of str to str
        Names of facts that the checklists ask for.
    """
    frames, facts = item.tables, {}
    if "prior_predictive" in frames:
        facts["prior_predictive"] = check_section.prior_sentence(frames["prior_predictive"])
    if "posterior_predictive" in frames:
        facts["posterior_predictive"] = check_section.predictive_sentence(frames["posterior_predictive"])
    if "risks" in frames:
        outcome = text.in_sentence(item.fit.model.outcome_label)
        facts["risks"] = " ".join(estimand_sections.risk_sentences(frames["risks"], outcome))
    if "sensitivity" in frames:
        facts["sensitivity"] = estimand_sections.sensitivity_words(frames["sensitivity"])
    asked = []
    if "subgroups" in frames:
        asked.append(f"Subgroups: {', '.join(str(name) for name in frames['subgroups'].attrs.get('by', []))}.")
    if "interaction" in frames:
        asked.append(estimand_sections.additive_sentence(item))
    if asked:
        crossed = [":".join(term) for term in item.fit.recipe.terms if len(term) > 1]
        product = f"Product terms in the model: {', '.join(crossed)}." if crossed else "The model has no product term."
        facts["interactions"] = " ".join([product, *asked])
    if frames:
        facts["other_analyses"] = f"Made of this fit: {', '.join(name.replace('_', ' ') for name in frames)}."
    return facts


def checklist(item: FitResults) -> pd.DataFrame:
    """Return both checklists as filled in from a fit and what a study made of it."""
    return item.fit.report_checklist(study_facts(item))


def checklist_tables(frame: pd.DataFrame) -> dict[str, Table]:
    """Return one table a checklist: item, what it asks, status, what the study says.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of `Fit.report_checklist`.

    Returns
    -------
    dict of str to Table
        Name -> table, with the source under it.
    """
    made = {}
    for name, own in frame.groupby("checklist", sort=False):
        rows = []
        for row in own.to_dict("records"):
            left = f"To be written: {row['authors']}" if row["authors"] else ""
            said = " ".join(part for part in (str(row["text"]), left) if part)
            rows.append((str(row["item"]), str(row["asks"]), str(row["status"]), said))
        made[str(name)] = Table(
            f"{name}: {str(frame.attrs['titles'][name])[:1].lower()}{str(frame.attrs['titles'][name])[1:]}.",
            ("Item", "What it asks for", "Status", "What the study says"),
            tuple(rows),
            prose=frozenset({3}),
            phrase=frozenset({1, 2}),
            note=f"Items in our words, after {frame.attrs['references'][name]}",
        )
    return made


def checklist_section(items: Mapping[str, FitResults], number: Numbering) -> Section | None:
    """Return the checklists of the first fit, folded, with how much is left to the authors.

    Parameters
    ----------
    items : mapping of str to FitResults
        Title -> fit; the first one's checklists are shown.
    number : Numbering
        Of tables.

    Returns
    -------
    Section or None
        None without a fit.
    """
    if not items:
        return None
    title, item = next(iter(items.items()))
    frame = checklist(item)
    whose = f" for {title}" if len(items) > 1 else ""
    words = (
        f"What reports are asked to say, filled in{whose} as far as the study knows it. The rest only its authors can write. "
        "The same as CSV, HTML and LaTeX lies in tables/."
    )
    section = Section("checklists", "Reporting checklists", [Paragraph(words)])
    counts = []
    for name, own in frame.groupby("checklist", sort=False):
        found = own["status"].value_counts()
        counts.append(
            f"{name}: " + ", ".join(f"{found[status]} {status}" for status in _ORDER if status in found) + "."
        )
    section.blocks.append(Bullets(tuple(counts)))
    for name, table in checklist_tables(frame).items():
        section.blocks.append(Fold(f"{name}, item by item", (number.folded(table),)))
    return section
