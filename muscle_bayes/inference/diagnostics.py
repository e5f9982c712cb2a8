"""The gate: whether a fit may be used, and what a reader should know about it, in plain words."""

from dataclasses import dataclass, field
from textwrap import fill
from typing import Any, Literal

import numpy as np
import pandas as pd

from muscle_bayes.inference.draws import Draws
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.grouping import INTERCEPT
from muscle_bayes.specification.recipe import Recipe

RHAT_LIMIT = 1.01
ESS_LIMIT = 400
BFMI_LIMIT = 0.3
#: Below this maximum likelihood is visibly biased (Peduzzi et al. 1996, J Clin Epidemiol 49:1373), and priors decide much.
_EVENTS_PER_COEFFICIENT = 10


@dataclass(frozen=True)
class Finding:
    """One finding about a fit.

    Attributes
    ----------
    kind : {"failure", "warning", "note"}
        A failure closes the gate; a warning should be read; a note explains.
    text : str
        What was found and what to do.
    """

    kind: Literal["failure", "warning", "note"]
    text: str


@dataclass(frozen=True)
class Diagnostics:
    """What is known about the quality of a fit.

    Attributes
    ----------
    findings : tuple of Finding
        Failures first.
    measures : dict
        Single numbers: divergences, smallest BFMI, k-hat, ESS of the weights, ...
    parameters : pandas.DataFrame
        One row a parameter: mean, sd, 2.5 %, 97.5 %, mcse_mean, and r_hat, ess_bulk, ess_tail where chains were run.
    """

    findings: tuple[Finding, ...]
    measures: dict[str, Any] = field(default_factory=dict)
    parameters: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def passed(self) -> bool:
        """Whether no finding is a failure."""
        return not any(finding.kind == "failure" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The verdict and the measures in one line."""
        measures = ", ".join(
            f"{name} {f'{value:.3f}' if 'R-hat' in name else _short(value)}" for name, value in self.measures.items()
        )
        return f"{'passed' if self.passed else 'FAILED'}: {measures}"

    def __str__(self) -> str:
        """Return the verdict, the measures and the findings, one a line."""
        findings = (f"- {finding.kind}: {finding.text}" for finding in self.findings)
        return "\n".join([self.verdict, *(fill(line, 110, subsequent_indent="  ") for line in findings)])


def parameter_arrays(draws: Draws, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return every scalar parameter by its label.

    Parameters
    ----------
    draws : Draws
        Chains of draws.
    recipe : Recipe
        Labels.

    Returns
    -------
    dict of str to numpy.ndarray, shape (chains, draws)
        Intercept (or thresholds), coefficients, then SD and effects of each that varies by group.
    """
    named = {"Intercept": draws.intercept}
    if draws.thresholds is not None:
        named = {f"threshold[{k}]": draws.thresholds[..., k] for k in range(draws.thresholds.shape[-1])}
    named |= {column.label: draws.coefficients[..., i] for i, column in enumerate(recipe.columns)}
    factors = {factor.name: factor for factor in recipe.factors}
    for one, sd, effects in zip(recipe.varying, draws.sds, draws.effects, strict=True):
        named[f"{one.label}_sigma"] = sd
        named |= {f"{one.label}[{level}]": effects[..., j] for j, level in enumerate(factors[one.factor].levels)}
    return named


def summarise_parameters(draws: Draws, recipe: Recipe, *, weights_ess: float | None = None) -> pd.DataFrame:
    """Summarise every scalar parameter.

    Parameters
    ----------
    draws : Draws
        Chains of draws.
    recipe : Recipe
        Labels.
    weights_ess : float, optional
        Effective sample size of the importance weights; the draws are then independent and R-hat is not defined.

    Returns
    -------
    pandas.DataFrame
        One row a parameter.
    """
    if weights_ess is None:
        from arviz_stats.base import array_stats  # two seconds to import, and importance samplers have no chains
    rows = {}
    for label, values in parameter_arrays(draws, recipe).items():
        low, high = np.quantile(values, [0.025, 0.975])
        row = {"mean": values.mean(), "sd": values.std(ddof=1), "2.5 %": low, "97.5 %": high}
        if weights_ess is None:
            row |= {
                "mcse_mean": array_stats.mcse(values, chain_axis=0, draw_axis=1),
                "r_hat": array_stats.rhat(values, chain_axis=0, draw_axis=1),
                "ess_bulk": array_stats.ess(values, chain_axis=0, draw_axis=1, method="bulk"),
                "ess_tail": array_stats.ess(values, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95)),
            }
        else:
            row["mcse_mean"] = row["sd"] / np.sqrt(weights_ess)
        rows[label] = {name: float(value) for name, value in row.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def chain_findings(parameters: pd.DataFrame, divergences: int, bfmi: float) -> list[Finding]:
    """Judge chains by R-hat, effective sample size, divergences and energy.

    Parameters
    ----------
    parameters : pandas.DataFrame
        Of `summarise_parameters`.
    divergences : int
        Divergent transitions after tuning.
    bfmi : float
        Smallest Bayesian fraction of missing information of the chains.

    Returns
    -------
    list of Finding
        Failures.
    """
    found = []
    worst = parameters["r_hat"].idxmax()
    if not parameters["r_hat"].max() < RHAT_LIMIT:
        found.append(
            _fail(
                f"the chains disagree: R-hat of {worst} is {parameters['r_hat'].max():.3f}, not below {RHAT_LIMIT}; draw longer"
            )
        )
    for kind in ("ess_bulk", "ess_tail"):
        least = parameters[kind].idxmin()
        if not parameters[kind].min() >= ESS_LIMIT:
            found.append(
                _fail(
                    f"too few effective draws: {kind} of {least} is {parameters[kind].min():.0f}, below {ESS_LIMIT}; draw longer"
                )
            )
    if divergences:
        found.append(
            _fail(
                f"{divergences} divergent transitions: parts of the posterior were not reached; draw with a higher target_accept"
            )
        )
    if not bfmi >= BFMI_LIMIT:
        found.append(
            _fail(
                f"BFMI {bfmi:.2f} is below {BFMI_LIMIT}: the sampler explored poorly; the scale parameters are weakly identified"
            )
        )
    return found


def design_findings(design: Design, *, priors: bool = True) -> list[Finding]:
    """Look for separation, collinearity, empty cells and few sites.

    Parameters
    ----------
    design : Design
        The analysis set.
    priors : bool
        Whether the fit has priors; a maximum-likelihood fit has none.

    Returns
    -------
    list of Finding
        With priors, warnings and notes, because proper priors keep the posterior proper; only an outcome that does not vary
        is a failure. Without priors, separation is one too: the likelihood has no maximum.
    """
    recipe, y, found = design.recipe, design.y, []
    separated: Literal["failure", "warning"] = "warning" if priors else "failure"
    rests = "rests on its prior" if priors else "has no finite estimate"
    if y.min() == y.max():
        found.append(
            Finding(
                "failure",
                f"the outcome {'always' if y[0] else 'never'} happens among {len(y)} participants: there is nothing to estimate; "
                "check the outcome's coding and the model's event",
            )
        )
        return found
    for i, column in enumerate(recipe.columns):
        values = design.X[:, i] + recipe.centre[i]
        low, high = values[y == 0], values[y == 1]
        if low.max() < high.min() or high.max() < low.min():
            found.append(
                Finding(
                    separated,
                    f"separation: {column.label} alone tells all events from all others; its odds ratio {rests}",
                )
            )
        elif set(np.unique(values)) <= {0.0, 1.0} and (high.sum() == 0 or low.sum() == 0 or high.all() or low.all()):
            found.append(
                Finding(
                    separated,
                    f"quasi-separation: a cell of {column.label} by the outcome is empty; its odds ratio {rests}",
                )
            )
    fewer, coefficients = int(min(y.sum(), len(y) - y.sum())), 1 + len(recipe.columns)
    if fewer < _EVENTS_PER_COEFFICIENT * coefficients:
        found.append(
            Finding(
                "warning",
                f"few data: {fewer} {'events' if y.mean() <= 0.5 else 'non-events'} for {coefficients} coefficients (fewer than "
                f"{_EVENTS_PER_COEFFICIENT} for each); "
                + ("the priors decide much" if priors else "maximum likelihood is biased"),
            )
        )
    found += collinearity_findings(design)
    if recipe.site:
        events = np.bincount(design.site, weights=y, minlength=len(recipe.site_levels))
        persons = np.bincount(design.site, minlength=len(recipe.site_levels))
        for level, count, n in zip(recipe.site_levels, events, persons, strict=True):
            if count in (0, n):
                found.append(
                    Finding(
                        "warning",
                        f"site {level}: {int(count)} events among {n} participants; its effect rests on other sites and the prior",
                    )
                )
    found += few_sites_findings(design, priors=priors)
    return found


def collinearity_findings(design: Design) -> list[Finding]:
    """Return a warning where single coefficients are hard to tell apart.

    Parameters
    ----------
    design : Design
        The analysis set.

    Returns
    -------
    list of Finding
        One, or none.
    """
    spread = design.X.std(axis=0)
    if design.X.shape[1] < 2 or not (spread > 0).all():
        return []
    condition = np.linalg.cond(design.X / spread)
    if condition <= 30:
        return []
    text = f"collinearity: the scaled design has condition number {condition:.0f}, above 30; "
    return [Finding("warning", text + "single coefficients are hard to tell apart")]


def few_sites_findings(design: Design, *, priors: bool) -> list[Finding]:
    """Return a note where few sites tell little about their spread.

    Parameters
    ----------
    design : Design
        The analysis set.
    priors : bool
        Whether the fit has priors.

    Returns
    -------
    list of Finding
        One, or none.
    """
    sites = len(design.recipe.site_levels) if design.recipe.site else 10
    if sites >= 10:
        return []
    so = (
        "the site SD rests partly on its prior, and the intercept is less certain than a maximum-likelihood fit says"
        if priors
        else "the site SD has no interval here, and the Wald interval of the intercept is too narrow"
    )
    slopes = any(one.factor == design.recipe.site and one.column != INTERCEPT for one in design.recipe.varying)
    ratios = "the same holds for slopes and average odds ratios" if slopes else "odds ratios are not affected"
    return [Finding("note", f"{sites} sites tell little about how much sites differ: {so}; {ratios}")]


def _fail(text: str) -> Finding:
    return Finding("failure", text)


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.3g}"
