"""Results in sentences: numbers from estimand frames put into words, none of them beyond its Monte Carlo error."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from muscle_bayes.estimands.rounding import estimate_text, probability_text

Row = Mapping[Any, Any]

_PER_Z = re.compile(r"per (?P<span>[\d.]+) Z \([\d.]+ SD = (?P<size>[\d.,]+) ?(?P<unit>.*)\)")
_AT_ZERO = re.compile(r"(.+) = 0 Z")


def in_sentence(label: str) -> str:
    """Return a label as it is written within a sentence.

    Parameters
    ----------
    label : str
        Such as ``Chronic back pain`` or ``LMM``.

    Returns
    -------
    str
        ``chronic back pain``; abbreviations keep their capitals.
    """
    first = label.split(" ")[0]
    return label[:1].lower() + label[1:] if first[1:].islower() else label


def level_text(interval: float) -> str:
    """Return the probability of an interval, such as ``95 %``."""
    return f"{100 * interval:g} %"


def interval_name(method: str) -> str:
    """Return what the interval of a method is called."""
    return "confidence interval" if method == "ml" else "credible interval"


def share_text(events: int, n: int) -> str:
    """Return ``5,878 of 27,518 (21.4 %)``."""
    return f"{events:,} of {n:,} ({100 * events / n:.1f} %)" if n else f"{events:,} of {n:,}"


def chance_text(probability: float, effective_draws: float | None = None) -> str:
    """Return a posterior probability, its last digit at the first digit of its Monte Carlo error or before it.

    Parameters
    ----------
    probability : float
        Share of draws.
    effective_draws : float, optional
        Effective sample size of the draws; the error is that of a share of so many.

    Returns
    -------
    str
        Such as ``0.97`` or ``> 0.99``; empty where there is none.
    """
    if pd.isna(probability):
        return ""
    mcse = math.sqrt(probability * (1 - probability) / effective_draws) if effective_draws else math.nan
    return probability_text(probability, mcse=mcse)


def chance_words(probability: float, effective_draws: float | None = None) -> str:
    """Return a posterior probability as it is said: ``0.97``, ``greater than 0.99``."""
    text = chance_text(probability, effective_draws)
    return text.replace("> ", "greater than ").replace("< ", "less than ")


def contrast_words(row: Row) -> str:
    """Return the contrast of an odds ratio for a sentence.

    Parameters
    ----------
    row : mapping
        With `contrast` and, where the term interacts, `at`.

    Returns
    -------
    str
        ``per 2 Z (3.9 percentage points) at mean LMM``.
    """
    at = row.get("at") or ""
    contrast = str(row["contrast"]).removesuffix(f" at {at}") if at else str(row["contrast"])
    found = _PER_Z.fullmatch(contrast)
    if found:
        unit = "percentage points" if found["unit"] == "%" else found["unit"]
        contrast = f"per {found['span']} Z ({found['size']} {unit})".replace(" )", ")")
    return f"{contrast} at {at_words(at)}" if at else contrast


def at_words(at: str) -> str:
    """Return stated values of other variables: ``LMM = 0 Z`` as ``mean LMM``."""
    return " and ".join(_AT_ZERO.sub(r"mean \1", part) for part in at.split(", "))


def association_sentence(row: Row, outcome: str, *, method: str, effective_draws: float | None = None) -> str:
    """Say an odds ratio: direction where the interval has one, then the numbers.

    Parameters
    ----------
    row : mapping
        One row of `odds_ratios`.
    outcome : str
        As it is called in a sentence.
    method : str
        Engine of the fit.
    effective_draws : float, optional
        For the rounding of the probability.

    Returns
    -------
    str
        One sentence that claims an association, never an effect.
    """
    graded = str(row["contrast"]).startswith("per ")
    what = f"higher {row['label']}" if graded else f"{in_sentence(str(row['label']))} ({row['contrast']})"
    if row["lower"] > 1:
        finding = f"{what} went with higher odds of {outcome}"
    elif row["upper"] < 1:
        finding = f"{what} went with lower odds of {outcome}"
    else:
        finding = f"the data do not tell whether {what} goes with higher or with lower odds of {outcome}"
    return f"{finding[:1].upper()}{finding[1:]}: {_numbers(row, method, effective_draws)}."


def _numbers(row: Row, method: str, effective_draws: float | None) -> str:
    centre, limits = _split(estimate_text(row))
    where = f" {contrast_words(row)}" if str(row["contrast"]).startswith("per ") else ""
    text = f"odds ratio {centre}{where}, {level_text(row['interval'])} {interval_name(method)} {limits}"
    chance = chance_words(row["prob_gt_null"], effective_draws)
    return text + (f"; posterior probability of an odds ratio above 1: {chance}" if chance else "")


def interaction_sentence(row: Row, *, method: str, effective_draws: float | None = None) -> str:
    """Say how the odds ratio of one exposure changes with the other.

    Parameters
    ----------
    row : mapping
        Of `quantities.interaction_factors`: label (of the exposure), other, estimate, lower, upper, prob_gt_null.
    method : str
        Engine of the fit.
    effective_draws : float, optional
        For the rounding of the probability.

    Returns
    -------
    str
        One sentence.
    """
    label, other = row["label"], row["other"]
    if row["lower"] > 1:
        finding = f"the odds ratio of {label} was larger where {other} was higher"
    elif row["upper"] < 1:
        finding = f"the odds ratio of {label} was smaller where {other} was higher"
    else:
        finding = f"the data do not tell whether the odds ratio of {label} depends on {other}"
    centre, limits = _split(estimate_text(row))
    text = (
        f"{finding[:1].upper()}{finding[1:]}: with each further Z of {other} the odds ratio per {row['per']:g} Z of {label} "
        f"is multiplied by {centre} ({level_text(row['interval'])} {interval_name(method)} {limits})"
    )
    chance = chance_words(row["prob_gt_null"], effective_draws)
    return text + (f"; posterior probability of a factor above 1: {chance}." if chance else ".")


def sample_sentence(
    n: int, events: int, sites: int, outcome: str, *, simulated: bool, categories: Sequence[str] = ()
) -> str:
    """Say who was analysed and how many had the outcome."""
    who = f"{n:,} simulated participants" if simulated else f"{n:,} participants"
    where = f" at {sites} sites" if sites > 1 else ""
    if categories:
        ordered = f"{len(categories)} ordered categories, {categories[0]} to {categories[-1]}"
        return f"{who}{where} were analysed; the outcome, {outcome}, has {ordered}."
    return f"{who}{where} were analysed; {events:,} ({100 * events / n:.1f} %) had the outcome, {outcome}."


def forest_description(frame: pd.DataFrame) -> str:
    """Describe a forest plot with its numbers, for who cannot see it."""
    exposures = frame[frame["role"] == "exposure"]
    parts = [f"{row['label']} {row['contrast']}: {estimate_text(row)}" for row in exposures.to_dict("records")]
    adjusting = int((frame["role"] == "adjustment").sum())
    rest = f" {adjusting} adjustment terms are drawn in grey; the table gives their numbers." if adjusting else ""
    return f"Forest plot of odds ratios with {_level(frame)} intervals. {'; '.join(parts)}{'.' if parts else ''}{rest}"


def surface_description(frame: pd.DataFrame) -> str:
    """Describe the odds-ratio surface by its extremes within the support of the data."""
    held = frame[frame["supported"].astype(bool)] if "supported" in frame else frame
    if held.empty:
        return "Heatmap of odds ratios for combinations of two exposures; the data support none of the combinations."
    ordered = held.sort_values("estimate").to_dict("records")
    low, high = ordered[0], ordered[-1]
    return (
        "Heatmap of the odds ratio for combinations of two exposures against both at their reference. Where there are data it "
        f"runs from {estimate_text(low)} at {low['contrast']} to {estimate_text(high)} at {high['contrast']} "
        f"({_level(frame)} intervals)."
    )


def curve_description(frame: pd.DataFrame) -> str:
    """Describe an odds-ratio curve by its lowest and highest point."""
    ordered = frame.sort_values("estimate").to_dict("records")
    low, high = ordered[0], ordered[-1]
    return (
        f"Curve of the odds ratio, from {estimate_text(low)} ({low['contrast']}) to {estimate_text(high)} ({high['contrast']}) "
        f"({_level(frame)} intervals)."
    )


def nomogram_description(scale: pd.DataFrame) -> str:
    """Describe a nomogram's scale by the probabilities at its ends, within the totals of the analysis set."""
    kept = scale[~scale["extrapolated"].astype(bool)] if "extrapolated" in scale else scale
    if kept.empty:
        return "Nomogram: points for each predictor, and the probability at each total."
    first, last = dict(kept.iloc[0]), dict(kept.iloc[-1])
    return (
        "Nomogram: one axis of points for each predictor, and a scale from total points to probability. The probability runs "
        f"from {estimate_text(first, most=3)} at {first['total_points']:g} points to {estimate_text(last, most=3)} at "
        f"{last['total_points']:g} points ({_level(scale)} intervals)."
    )


def _split(text: str) -> tuple[str, str]:
    """Return ``1.22 (1.13 to 1.30)`` as estimate and limits."""
    centre, _, limits = text.partition(" (")
    return centre, limits.removesuffix(")")


def _level(frame: pd.DataFrame) -> str:
    return level_text(frame["interval"].iloc[0]) if len(frame) else "95 %"


def split_estimate(row: Row, most: int = 2) -> tuple[str, str]:
    """Return an estimate and its limits as texts of at most so many decimals: ``("1.22", "1.13 to 1.30")``."""
    return _split(estimate_text(row, most=most))
