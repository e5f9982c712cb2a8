"""The section of one fit that checks its model: a sentence with the numbers, the figure, the table."""

import pandas as pd

from muscle_bayes.estimands.rounding import number_text, probability_text
from muscle_bayes.report import text
from muscle_bayes.report.estimand_sections import fill
from muscle_bayes.report.page import Numbering, Paragraph, Section
from muscle_bayes.report.reading import reading_table
from muscle_bayes.report.results import FitResults


def check_section(item: FitResults, key: str, number: Numbering) -> Section | None:
    """Return the checks of the model: priors, replicated data, calibration, discrimination, cross-validation."""
    section = Section(f"{key}-checks", "Checks of the model")
    frames = item.tables
    if "prior_predictive" in frames:
        section.blocks.append(Paragraph(prior_sentence(frames["prior_predictive"])))
        fill(section, item, "prior_predictive", "What the priors allow before the data are seen.", number, folded=True)
    if "posterior_predictive" in frames:
        section.blocks.append(Paragraph(predictive_sentence(frames["posterior_predictive"])))
        caption = "Prevalence as observed and as replicated by the model."
        fill(section, item, "posterior_predictive", caption, number, folded=True)
    if "residuals" in frames:
        section.blocks.append(Paragraph(residual_sentence(frames["residuals"])))
        caption = "Observed less replicated prevalence in bins of each predictor."
        fill(section, item, "residuals", caption, number, folded=True)
    if "proportionality" in frames:
        section.blocks.extend(Paragraph(str(words)) for words in frames["proportionality"].attrs.get("findings", []))
        fill(section, item, "proportionality", "Odds ratios at each cut of the scale.", number, folded=True)
    if "calibration" in frames:
        section.blocks.append(Paragraph(calibration_sentence(frames["calibration"])))
        fill(section, item, "calibration", "Calibration, overall and by group.", number, folded=True)
    if "leave_one_site_out" in frames:
        section.blocks.append(Paragraph(left_out_sentence(frames["leave_one_site_out"])))
        fill(section, item, "leave_one_site_out", "Each site by a refit to the other sites.", number)
    for name, say in (
        ("discrimination", discrimination_sentence),
        ("optimism", optimism_sentence),
        ("loo", loo_sentence),
    ):
        if name in frames:
            section.blocks.append(Paragraph(say(frames[name])))
            section.blocks.append(number.table(reading_table(name, item)))
    return section if section.blocks else None


def prior_sentence(frame: pd.DataFrame) -> str:
    """Say what prevalence the priors allow; of an ordered outcome, what share of its middle category or higher."""
    if "categories" in frame.attrs:
        return _prior_share_sentence(frame)
    row = frame[frame["estimand"] == "prior prevalence"].iloc[0]
    low, high = (f"{100 * row[key]:.0f}" for key in ("lower", "upper"))
    return (
        f"Before the data, the priors allowed a prevalence among these persons of {low} to {high} % "
        f"({text.level_text(row['interval'])} of the prior); {100 * frame.attrs['observed_prevalence']:.1f} % were observed."
    )


def _prior_share_sentence(frame: pd.DataFrame) -> str:
    higher = frame[frame["estimand"] == "prior share of a category or higher"]
    place = len(higher) // 2
    row, observed = higher.iloc[place], sum(frame.attrs["observed_shares"][place + 1 :])
    low, high = (f"{100 * row[key]:.0f}" for key in ("lower", "upper"))
    return (
        f"Before the data, the priors allowed a share of {row['contrast']} among these persons of {low} to {high} % "
        f"({text.level_text(row['interval'])} of the prior); {100 * observed:.1f} % were observed."
    )


def predictive_sentence(frame: pd.DataFrame) -> str:
    """Say how many groups' observed prevalence the model gives back."""
    groups, outside = frame[frame["term"] != "all"], frame[frame["outside"].astype(bool)]
    level = text.level_text(frame["interval"].iloc[0])
    words = f"The observed prevalence lay within the {level} interval of replicated data in "
    words += f"{len(groups) - len(outside[outside['term'] != 'all'])} of {len(groups)} groups"
    if len(outside):
        named = ", ".join("everyone" if r["term"] == "all" else f"{r['group']}" for _, r in outside.iterrows())
        return f"{words}; outside: {named}."
    return f"{words}."


def calibration_sentence(frame: pd.DataFrame) -> str:
    """Say the mean probability given, the observed share and the miscalibration of the Brier score."""
    by = frame[(frame["group"] == "all") & (frame["estimand"] != "calibration curve")].set_index("estimand")["estimate"]
    return (
        f"The model gave a probability of {100 * by['mean forecast']:.1f} % on average and {100 * by['observed prevalence']:.1f} % "
        f"had the outcome; miscalibration takes {number_text(by['miscalibration'], decimals=4)} of the Brier score of "
        f"{number_text(by['Brier score'], decimals=4)} (in the persons of the fit)."
    )


def discrimination_sentence(frame: pd.DataFrame) -> str:
    """Say the c-statistic for persons like these."""
    row = frame[frame["estimand"] == "c-statistic"].to_dict("records")[-1]
    centre, limits = text.split_estimate(row, most=3)
    return (
        f"The c-statistic was {centre} ({text.level_text(row['interval'])} interval {limits}; apparent, over persons like these): "
        "the probability that of two persons the one with the outcome was given the higher probability."
    )


def loo_sentence(frame: pd.DataFrame) -> str:
    """Say the effective number of parameters and whether the approximation holds."""
    row = frame[frame["estimand"] == "p_loo"].iloc[0]
    bad = int(row["n_bad"])
    holds = (
        "holds for every person" if not bad else f"does not hold for {bad:,} persons (Pareto k-hat above the threshold)"
    )
    return (
        f"By leave-one-out cross-validation (PSIS-LOO) the model uses {number_text(row['estimate'], decimals=1)} effective "
        f"parameters; the approximation {holds}."
    )


def residual_sentence(frame: pd.DataFrame) -> str:
    """Say against which predictors the bins lie further from the model than chance puts them."""
    tested = frame[frame["estimand"] == "lack of fit"]
    odd = [str(row["label"]) for row in tested.to_dict("records") if row["p_value"] < 0.05]
    words = ", ".join(
        f"{row['label']} (p {_p(row['p_value'])})" for row in tested.to_dict("records") if row["group"] == "all"
    )
    finding = f"more than chance would against {', '.join(dict.fromkeys(odd))}" if odd else "no further than by chance"
    return f"In bins of the predictors the observed prevalence lay {finding} from what the model replicates: {words}."


def _p(value: float) -> str:
    shown = probability_text(value)
    return shown if shown[:1] in "<>" else f"= {shown}"


def left_out_sentence(frame: pd.DataFrame) -> str:
    """Say calibration and discrimination over the sites, each by a refit that had not seen it."""
    by = {row["estimand"]: row for row in frame[frame["group"] == "all"].to_dict("records")}
    parts = []
    for name in ("calibration intercept", "calibration slope", "c-statistic"):
        if name in by and pd.notna(by[name]["estimate"]):
            centre, limits = text.split_estimate(by[name])
            parts.append(f"{name} {centre} ({limits})")
    level = text.level_text(frame["interval"].iloc[0])
    return f"Refitted without each site in turn and held against it: {', '.join(parts)} ({level} intervals)."


def optimism_sentence(frame: pd.DataFrame) -> str:
    """Say the c-statistic as it looks and corrected for optimism."""
    by = {row["version"]: row for row in frame[frame["estimand"] == "c-statistic"].to_dict("records")}
    apparent, corrected = (text.split_estimate(by[version], most=3)[0] for version in ("apparent", "corrected"))
    return f"Corrected for optimism by refits, the c-statistic was {corrected} in place of {apparent}."
