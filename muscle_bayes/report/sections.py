"""The sections of the page before and after the results of each fit."""

from typing import TYPE_CHECKING

import pandas as pd

from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.report import fit_tables, methods, quantities, tables, text
from muscle_bayes.report.key_result import fit_title
from muscle_bayes.report.page import (
    Box,
    Bullets,
    Code,
    FlowChart,
    FlowStep,
    Fold,
    Numbering,
    Paragraph,
    References,
    Section,
    reference,
)
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.results import StudyResults

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit

_METHOD_REFERENCES: dict[str, tuple[str, ...]] = {
    "laplace": (
        "Rue H, Martino S, Chopin N. Approximate Bayesian inference for latent Gaussian models by using integrated nested "
        "Laplace approximations. J R Stat Soc B 2009;71:319-392. doi:10.1111/j.1467-9868.2008.00700.x",
        "Vehtari A, Simpson D, Gelman A, Yao Y, Gabry J. Pareto smoothed importance sampling. J Mach Learn Res 2024;25(72):1-58.",
    ),
    "nuts": (
        "Hoffman MD, Gelman A. The No-U-Turn sampler: adaptively setting path lengths in Hamiltonian Monte Carlo. J Mach Learn "
        "Res 2014;15:1593-1623.",
    ),
    "ml": (),
}
_METHOD_REFERENCES["pymc"] = _METHOD_REFERENCES["nuts"]


def participants(results: StudyResults, number: Numbering) -> Section:
    """Return flow, cohort description and the analysis set by outcome."""
    section = Section("participants", "Participants")
    flow_section = Section("flow", "Flow")
    flow = results.fits[0].fit.flow if results.fits else results.flow
    flow_section.blocks.append(flow_chart(flow, several=len(results.fits) > 1))
    folded = [number.folded(tables.flow_table(flow, "Participant flow."))]
    for item in results.fits[1:]:
        if not item.fit.flow.equals(flow):
            caption = f"Participant flow of {fit_title(results, item)}."
            folded.append(number.folded(tables.flow_table(item.fit.flow, caption)))
    flow_section.blocks.append(Fold("The same as a table", tuple(folded)))
    cohort = Section("cohort", "Cohort")
    left = int(results.flow["n_left"].iloc[-1]) if len(results.flow) else 0
    caption = f"The cohort: {left:,} participants after exclusions, before complete cases were taken for a model."
    cohort.blocks.append(number.table(tables.cohort_table(results.summary, caption)))
    for item in results.fits[:1]:
        frame = quantities.by_outcome(item.fit)
        if len(frame):
            label = item.fit.model.outcome_label
            caption = f"The analysis set by outcome ({text.in_sentence(label)})."
            heading = quantities.outcome_heading(item.fit)
            cohort.blocks.append(number.table(tables.by_outcome_table(frame, caption, heading)))
    if results.notes:
        cohort.blocks.append(Box("note", "Notes on the data", tuple(results.notes)))
    section.sections.extend([flow_section, cohort])
    return section


def flow_chart(flow: pd.DataFrame, *, several: bool = False) -> FlowChart:
    """Return the flow chart: what was read, who left and why, who was analysed."""
    rows = flow.to_dict("records")
    steps = []
    for i, row in enumerate(rows):
        removed = int(row["n_removed"])
        last = i == len(rows) - 1
        title = "Read" if i == 0 else "Analysed" if last else "Left"
        reason = sentence_case(methods.missing_words(str(row["reason"])))
        if row["step"] == "complete cases" and removed:
            reason = f"Not complete ({reason[:1].lower()}{reason[1:]})"
        steps.append(FlowStep(title, int(row["n_left"]), removed, reason))
    whose = " of the first model" if several else ""
    return FlowChart(tuple(steps), f"From the table that was read to the analysis set{whose}.")


def methods_section(results: StudyResults, number: Numbering) -> Section:
    """Return how every fit was made."""
    section = Section("methods", "Methods")
    exposures = _exposure_definitions(results)
    if exposures:
        section.blocks.append(Bullets(tuple(exposures)))
    for i, item in enumerate(results.fits, 1):
        part = section
        if len(results.fits) > 1:
            part = Section(f"methods-{i}", fit_title(results, item), short=item.name)
            section.sections.append(part)
        earlier = [other for other in results.fits[: i - 1] if _same_design(other.fit, item.fit)]
        if earlier:
            same = f"Outcome, predictors, Z-scores and missing values are those of {earlier[0].name}."
            part.blocks.append(Paragraph(same))
        else:
            part.blocks.extend(_design_of(item.fit, number))
        part.blocks.extend(_inference_of(item.fit, number))
    return section


def _same_design(first: "Fit", second: "Fit") -> bool:
    return (
        first.data_hash == second.data_hash
        and first.model.formula == second.model.formula
        and first.model.parsed_event == second.model.parsed_event
    )


def _exposure_definitions(results: StudyResults) -> list[str]:
    """Say what each exposure column holds, and from which measurements it is."""
    described = results.dictionary.set_index("column")["description"]
    sources = {
        fit.recipe.constants[name].source: None
        for fit in (item.fit for item in results.fits)
        for name in fit.model.exposures
        if name in fit.recipe.constants
    }
    said = []
    for name in sources:
        unit = unit_of(name)
        if name in described:
            said.append(f"{label_of(name)}{f' ({unit})' if unit else ''}: {described[name]}.")
    found = results.exposure
    if found is not None and found.backend:
        region = f", region {found.region.replace('_', ' ')}" if found.region else ""
        said.append(
            f"Measured on {found.muscle} muscle, left and right together{region}, compartment by {found.compartment}, backend "
            f"{found.backend}; adipose tissue by {found.adipose}."
        )
    return said


def _design_of(fit: "Fit", number: Numbering) -> list[object]:
    blocks: list[object] = [Paragraph(methods.model_paragraph(fit)), Code(str(fit.model.parsed))]
    if fit.recipe.constants:
        blocks.append(Paragraph(methods.standardisation_paragraph(fit)))
        blocks.append(
            number.table(fit_tables.constants_table(fit, "Z-scores: mean and standard deviation in raw units."))
        )
    blocks.append(Paragraph(methods.missing_paragraph(fit)))
    return blocks


def _inference_of(fit: "Fit", number: Numbering) -> list[object]:
    blocks: list[object] = [Paragraph(methods.prior_paragraph(fit))]
    priors = methods.priors_frame(fit)
    if len(priors):
        blocks.append(
            number.table(fit_tables.priors_table(priors, "Priors, as they are stated and as they were used."))
        )
    return [*blocks, Paragraph(methods.engine_paragraph(fit)), Paragraph(methods.summary_paragraph(fit))]


def failures_section(results: StudyResults, number: Numbering) -> Section:
    """Return who could not be measured."""
    section = Section("failures", "Participants that could not be measured")
    n = len(results.failures)
    section.blocks.append(
        Paragraph(
            f"{n:,} {'participant' if n == 1 else 'participants'} could not be measured and left the study at this step."
        )
    )
    section.blocks.append(number.table(tables.plain_table(results.failures, "What failed, where, and what to do.")))
    return section


def limitations(results: StudyResults) -> Section:
    """Return what the results cannot say; each sentence only where it is true of this study."""
    said = []
    if results.simulated:
        said.append("The data are simulated. Nothing here says anything about real people.")
    said.append(
        "Associations are not effects: pain may change how people move and so their muscle, and unmeasured causes of both may "
        "remain. Odds ratios of adjustment terms are adjusted for something else than they would need, and are not effects at all."
    )
    said.append(
        "Intervals and probabilities hold under the model: terms that are linear on the log-odds scale unless the formula bends "
        "them, no interactions but those in the formula, predictors measured without error, and the stated priors where the fit "
        "is Bayesian."
    )
    sources = {z.source for item in results.fits for z in item.fit.recipe.constants.values()}
    if any(name.startswith("intermat") for name in sources):
        said.append(
            "InterMAT depends on the sequence and the voxel size, and on the definition of adipose tissue: numbers of different "
            "protocols must not be compared. A two-point T1-weighted Dixon gives a fat signal fraction, not a proton density "
            "fat fraction."
        )
    if any(name.startswith(("lmm", "lean")) for name in sources):
        said.append(
            "LMM depends on the extent of the body that was measured, and carries the errors of BMI as a measure of size."
        )
    removed = sum(int(f.fit.flow.loc[f.fit.flow["step"] == "complete cases", "n_removed"].sum()) for f in results.fits)
    if removed:
        said.append(
            "Participants with missing values were left out, which is unbiased only under the assumption in the methods."
        )
    few = [item for item in results.fits if 0 < len(item.fit.recipe.site_levels) < 10]
    if few:
        sites = len(few[0].fit.recipe.site_levels)
        said.append(
            f"{sites} sites are few: how much sites differ, and so what would be seen at another site, rests partly on the prior."
            if few[0].fit.method != "ml"
            else f"{sites} sites are few: the fit says too little about how much sites differ."
        )
    if any("nomogram_scale" in item.tables for item in results.fits):
        left_out = any("leave_one_site_out" in item.tables for item in results.fits)
        beyond = "beyond refits without each site" if left_out else "in other data"
        said.append(f"The nomogram was not validated {beyond}. It is for research, not for clinical decisions.")
    return Section("limitations", "Limitations", [Bullets(tuple(said))])


def dictionary_section(results: StudyResults, number: Numbering) -> Section:
    """Return the data dictionary."""
    table = tables.plain_table(
        results.dictionary, "Columns of the cohort.", ("Column", "Unit", "Description"), ("column",)
    )
    return Section("dictionary", "Data dictionary", [number.table(table)])


def provenance(results: StudyResults, number: Numbering) -> Section:
    """Return what the page was made from, and how to cite it."""
    section = Section("provenance", "Provenance and citation")
    rows = []
    for item in results.fits:
        about = item.fit.provenance()
        rows.append(
            {
                "Fit": item.name,
                "Model": about["model"],
                "Method": about["method"],
                "Seed": str(about["seed"]),
                "Participants": f"{about['n']:,}",
                "Hash of the analysis set (SHA-256)": about["data_hash"],
            }
        )
    section.blocks.append(
        Paragraph(
            f"Seed of the study: {results.seed}. With the same data, seed and versions every number on this page comes out "
            "again. Tables, figures and posteriors lie beside this page, in tables/, figures/ and fits/."
        )
    )
    if rows:
        frame = pd.DataFrame(rows)
        section.blocks.append(
            number.table(tables.plain_table(frame, "Fits.", code=("Hash of the analysis set (SHA-256)",)), data=False)
        )
        versions = results.fits[0].fit.provenance()["versions"]
        software = pd.DataFrame({"Software": list(versions), "Version": list(versions.values())})
        section.blocks.append(number.table(tables.plain_table(software, "Software."), data=False))
        section.blocks.append(Paragraph(f"Cite the software as muscle-bayes, version {versions['muscle-bayes']}, and:"))
    cited = [line for item in results.fits for line in (*item.model.references, *_METHOD_REFERENCES[item.fit.method])]
    section.blocks.append(References(tuple(reference(line) for line in dict.fromkeys(cited))))
    return section
