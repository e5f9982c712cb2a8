"""The section of one fit: odds ratios, figures, diagnostics, sites; or the red box of a failed gate."""

from collections.abc import Sequence

import pandas as pd

from muscle_bayes.report import fit_tables, methods, quantities, tables, text
from muscle_bayes.report.check_section import check_section
from muscle_bayes.report.estimand_sections import (
    estimand_sections,
    sensitivity_section,
    stratified_sections,
)
from muscle_bayes.report.figures import drawing
from muscle_bayes.report.key_result import gate_box
from muscle_bayes.report.page import Box, Bullets, Drawing, Fold, Numbering, Paragraph, Section
from muscle_bayes.report.quantities import effective_draws, sentence_case
from muscle_bayes.report.results import FitResults

_NOT_EFFECTS = (
    "The terms below are in the model to adjust the exposures. Their own odds ratios are adjusted for the wrong things to be "
    "read as effects (the Table 2 fallacy), and are given for completeness."
)


def fit_section(
    item: FitResults, key: str, title: str, short: str, number: Numbering, others: Sequence[FitResults] = ()
) -> Section:
    """Return the results of one fit.

    Parameters
    ----------
    item : FitResults
        The fit with its tables and figures.
    key : str
        Id of the section.
    title : str
        What the fit is called.
    short : str
        What the table of contents calls it.
    number : Numbering
        Of tables and figures.
    others : sequence of FitResults
        Fits to look for a maximum-likelihood fit of the same model in.

    Returns
    -------
    Section
        Without any estimate where the fit failed its gate.
    """
    fit = item.fit
    section = Section(key, f"Results: {title}", short=short)
    if item.model.question:
        section.blocks.append(Paragraph(item.model.question, style="question"))
    if not fit.diagnostics.passed:
        section.blocks.append(gate_box(fit))
        section.sections.append(_diagnostics(item, key, number))
        return section
    if item.problems:
        section.blocks.append(Box("warning", "Not everything could be made", tuple(item.problems)))
    if len(item.tables.get("odds_ratios", ())):
        section.sections.append(_odds_ratios(item, key, number))
    section.sections.extend(estimand_sections(item, key, number))
    section.sections.extend(_pictures(item, key, number))
    section.sections.extend(stratified_sections(item, key, number))
    checked, varied = check_section(item, key, number), sensitivity_section(item, key, number)
    section.sections.extend(part for part in (varied, checked) if part is not None)
    section.sections.append(_diagnostics(item, key, number))
    if fit.recipe.site:
        section.sections.append(_sites(item, key, number, others))
    return section


def _odds_ratios(item: FitResults, key: str, number: Numbering) -> Section:
    fit, frame, ess = item.fit, item.tables["odds_ratios"], effective_draws(item.fit)
    exposures, adjustment = (frame[frame["role"] == role] for role in ("exposure", "adjustment"))
    section = Section(f"{key}-odds-ratios", "Odds ratios")
    if len(exposures):
        section.blocks.append(Paragraph("Key result, at the top of the page, says these odds ratios in words."))
    outcome = text.in_sentence(fit.model.outcome_label)
    section.blocks.extend(
        _drawn(
            item, "forest", f"Odds ratios of {outcome} with their intervals.", text.forest_description(frame), number
        )
    )
    if len(exposures):
        caption = f"Odds ratios of {outcome} for the exposures."
        section.blocks.append(number.table(_table(exposures, caption, fit.method, ess)))
    factors, levels = quantities.interaction_factors(fit), quantities.odds_ratios_at_levels(fit)
    if len(levels):
        caption = "Odds ratios of each exposure at stated values of the other."
        section.blocks.append(number.table(_table(levels, caption, fit.method, ess)))
        caption = "Interaction on the odds-ratio scale: factor on the odds ratio for each Z of the other exposure."
        section.blocks.append(
            number.table(
                tables.odds_ratio_table(factors, caption, method=fit.method, effective_draws=ess, quantity="Factor")
            )
        )
        section.blocks.append(
            Paragraph(
                "This is interaction on the odds-ratio (multiplicative) scale. Whether the risks of both exposures add up to "
                "more than each alone would say (additive interaction) is another question; the section Interaction asks it."
                if "interaction" in item.tables
                else "This is interaction on the odds-ratio (multiplicative) scale. Whether the risks of both exposures add up to "
                "more than each alone would say (additive interaction) is another question, which these factors do not answer."
            )
        )
    if len(adjustment):
        section.blocks.append(Paragraph(_NOT_EFFECTS))
        caption = "Adjustment terms, not effects."
        section.blocks.append(number.table(_table(adjustment, caption, fit.method, ess)))
    return section


def _table(frame: pd.DataFrame, caption: str, method: str, ess: float | None) -> tables.Table:
    return tables.odds_ratio_table(frame, caption, method=method, effective_draws=ess)


def _pictures(item: FitResults, key: str, number: Numbering) -> list[Section]:
    """Return surface and nomogram."""
    frames, made = item.tables, []
    if "surface" in item.figures and "surface" in frames:
        about = (
            "Each cell compares a combination of both exposures with the reference (open dot), other terms alike. Hatched "
            "combinations hold too few participants to say anything about: the colours there would be the model's, not the data's."
        )
        section = Section(f"{key}-surface", "Both exposures together", [Paragraph(about)])
        caption = "Odds ratio of combinations of the two exposures"
        caption += "." if item.fit.method == "ml" else ", and the probability that it exceeds 1."
        section.blocks.extend(_drawn(item, "surface", caption, text.surface_description(frames["surface"]), number))
        made.append(section)
    curves = [name for name in item.figures if name.startswith("curve_") and name in frames]
    if curves:
        about = "Where a predictor enters by a spline its odds ratio is no one number: the curve is against the value at the dot."
        section = Section(f"{key}-curves", "Curves", [Paragraph(about)])
        for name in curves:
            label = str(frames[name].attrs.get("label", name.removeprefix("curve_")))
            caption = f"Odds ratio of {text.in_sentence(item.fit.model.outcome_label)} over {text.in_sentence(label)}."
            section.blocks.extend(_drawn(item, name, caption, text.curve_description(frames[name]), number))
        made.append(section)
    if "nomogram" in item.figures and "nomogram_scale" in frames:
        scale = frames["nomogram_scale"]
        site = str(scale.attrs.get("site_meaning", "")) if len(scale) else ""
        about = (
            "To read it: find a person's value on each axis, read its points at the top, add them up, and read the probability "
            "under the total. The band is the interval of the probability averaged over participants with that total; a single "
            "person's own interval differs. "
            + (f"Probabilities are for {site}. " if site and item.fit.recipe.site else "")
            + f"As a page to try values on: `figures/{item.name}_nomogram.html`. For research; not for clinical decisions."
        )
        section = Section(f"{key}-nomogram", "Nomogram", [Paragraph(about)])
        caption = f"Nomogram of the probability of {text.in_sentence(item.fit.model.outcome_label)}."
        section.blocks.extend(_drawn(item, "nomogram", caption, text.nomogram_description(scale), number))
        made.append(section)
    return made


def _drawn(item: FitResults, name: str, caption: str, alt: str, number: Numbering) -> list[Drawing]:
    return [drawing(item.figures[name], number, caption, alt)] if name in item.figures else []


def _diagnostics(item: FitResults, key: str, number: Numbering) -> Section:
    fit = item.fit
    section = Section(f"{key}-diagnostics", "Diagnostics")
    if fit.diagnostics.passed:
        warned = any(finding.kind == "warning" for finding in fit.diagnostics.findings)
        advice = "; read the warnings below before its numbers." if warned else "."
        section.blocks.append(Paragraph(f"The fit passed its gate{advice}", style="passed"))
    table = fit_tables.diagnostics_table(fit, "What was checked.")
    if table is not None:
        section.blocks.append(number.table(table))
    findings = fit.diagnostics.findings
    if findings:
        items = tuple(sentence_case(finding.text).rstrip(".") + "." for finding in findings)
        section.blocks.append(Bullets(items, tuple(finding.kind for finding in findings)))
    if fit.diagnostics.passed and len(fit.diagnostics.parameters):
        table = fit_tables.parameters_table(fit, "Every parameter of the model.")
        section.blocks.append(Fold("Every parameter of the model", (number.folded(table),)))
    return section


def _sites(item: FitResults, key: str, number: Numbering, others: Sequence[FitResults]) -> Section:
    fit = item.fit
    section = Section(f"{key}-sites", "Sites, intercept and site SD")
    if fit.method != "ml":
        site_sd = str(quantities.site_sd_summary(fit)["text"].iloc[0])
        if len(fit.recipe.site_levels) < 10:
            section.blocks.extend([Paragraph(words) for words in methods.few_sites_paragraphs(fit, site_sd)])
        else:
            section.blocks.append(
                Paragraph(f"The standard deviation of the site effects on the log-odds scale is {site_sd}.")
            )
    elif fit.maximum is not None and fit.maximum.site_sd is not None:
        section.blocks.append(
            Paragraph(
                f"The most likely standard deviation of the site effects on the log-odds scale is {fit.maximum.site_sd:.2f}."
            )
        )
    for other in others:
        same = (
            other.fit.method == "ml"
            and other.model.formula == item.model.formula
            and other.fit.data_hash == fit.data_hash
        )
        if same and fit.method != "ml" and other.fit.diagnostics.passed:
            caption = f"Intercept and site SD beside the maximum-likelihood fit {other.name}."
            section.blocks.append(number.table(fit_tables.likelihood_comparison(fit, other.fit, caption)))
    frame = quantities.site_table(fit)
    section.blocks.append(
        number.table(fit_tables.site_effects_table(frame, "Odds of each site against the typical site."))
    )
    return section
