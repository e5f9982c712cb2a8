"""The key result: the study's answer in numbers and words, or the red box of a fit that failed its gate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from muscle_bayes.estimands.labels import label_of
from muscle_bayes.report import methods, quantities, text
from muscle_bayes.report.page import Box, Bullets, Card, Cards, Paragraph, Section
from muscle_bayes.report.quantities import effective_draws, sentence_case
from muscle_bayes.report.results import FitResults, StudyResults
from muscle_bayes.report.truth import truth_box

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit

NO_CLAIM = "The results are associations. They show no cause and no effect of a treatment, and this page is not a medical device."


def gate_box(fit: "Fit") -> Box:
    """Return the red box of a fit that failed its gate."""
    reasons = tuple(sentence_case(f.text) + "." for f in fit.diagnostics.findings if f.kind == "failure")
    return Box(
        "failure",
        "This fit failed its gate: no estimate of it is shown",
        (
            *reasons,
            "Numbers from such a fit may be wrong in ways that nothing on this page would show. Mend the fit and run again.",
        ),
    )


def key_result(results: StudyResults) -> Section:
    """Return the answer of the study in numbers and words."""
    section = Section("result", "Key result")
    if not results.fits:
        section.blocks.append(Paragraph("No model was fitted."))
        return section
    for position, item in enumerate(results.fits):
        fit, frame = item.fit, item.tables.get("odds_ratios")
        if len(results.fits) > 1:
            section.blocks.append(Paragraph(fit_title(results, item), style="lead-in"))
        if not fit.diagnostics.passed:
            section.blocks.append(gate_box(fit))
            continue
        outcome = text.in_sentence(fit.model.outcome_label)
        sites = len(fit.recipe.site_levels)
        categories = tuple(fit.categories)
        sample = text.sample_sentence(fit.n, fit.events, sites, outcome, simulated=fit.simulated, categories=categories)
        section.blocks.append(Paragraph(sample, style="lead" if position == 0 else ""))
        if frame is None:
            section.blocks.append(Box("warning", "There is no table of odds ratios", tuple(item.problems)))
            continue
        exposures = frame[frame["role"] == "exposure"]
        if exposures.empty:
            section.blocks.append(Paragraph("The model names no exposure, so there is no key result to state."))
            continue
        if position == 0:
            meanings = exposure_meanings(results)
            cards = tuple(_card(row, fit, meanings) for row in exposures.to_dict("records"))
            section.blocks.append(Cards(cards))
        section.blocks.append(Bullets(tuple(result_sentences(item))))
        put_in = truth_box(item, results.truth)
        if put_in is not None:
            section.blocks.append(put_in)
    section.blocks.append(Paragraph(" ".join([*_adjusted(results.fits[0]), NO_CLAIM])))
    return section


def fit_title(results: StudyResults, item: FitResults) -> str:
    """Return what a fit is called: its model's title, with the fit's name where another fit has the same title."""
    title = item.model.title or item.name
    alike = [other for other in results.fits if (other.model.title or other.name) == title]
    return f"{title} ({item.name})" if len(alike) > 1 else title


def _adjusted(item: FitResults) -> list[str]:
    adjusted = methods.adjustment_words(item.fit)
    if not adjusted or not item.model.exposures:
        return []
    together = ", and the exposures for each other" if len(item.model.exposures) > 1 else ""
    return [f"Odds ratios are adjusted for {adjusted}{together}."]


def result_sentences(item: FitResults) -> list[str]:
    """Return one sentence for each exposure's odds ratio and each interaction of a fit."""
    fit, frame = item.fit, item.tables["odds_ratios"]
    outcome, ess = text.in_sentence(fit.model.outcome_label), effective_draws(fit)
    said = [
        text.association_sentence(row, outcome, method=fit.method, effective_draws=ess)
        for row in frame[frame["role"] == "exposure"].to_dict("records")
    ]
    factors = quantities.interaction_factors(fit)
    said += [
        text.interaction_sentence(row, method=fit.method, effective_draws=ess) for row in factors.to_dict("records")
    ]
    return said


def _card(row: text.Row, fit: "Fit", meanings: Mapping[str, str]) -> Card:
    centre, limits = text.split_estimate(row)
    chance = text.chance_text(row["prob_gt_null"], effective_draws(fit))
    return Card(
        label=str(row["label"]),
        meaning=meanings.get(str(row["label"]), ""),
        estimate=centre,
        interval=f"{text.level_text(row['interval'])} {text.interval_name(fit.method)} {limits}",
        contrast=text.contrast_words(row),
        chance=f"P(odds ratio > 1) {chance if chance[:1] in '<>' else '= ' + chance}" if chance else "",
    )


def exposure_meanings(results: StudyResults) -> dict[str, str]:
    """Return what each exposure is by its label, in the words of the data dictionary."""
    described = dict(zip(results.dictionary["column"], results.dictionary["description"], strict=True))
    sources = [
        item.fit.recipe.constants[name].source if name in item.fit.recipe.constants else name
        for item in results.fits
        for name in item.model.exposures
    ]
    # "Lean volume / BMI, LMM (voxels with ...)": the label itself and the definition in brackets are said elsewhere.
    return {
        label_of(name): described[name].split(" (")[0].removesuffix(f", {label_of(name)}")
        for name in dict.fromkeys(sources)
        if name in described
    }
